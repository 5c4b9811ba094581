"""Which queued tasks move, from whom to whom, and what a victim still gives."""

import pytest
from fixed_desk import make_task

from topologies.stealing import Backlog, Steal, StolenTasks, apply_steals, confirm, imbalance, plan_steals


def backlog(agent, number, *, strategies="m", running=0, task_s=1.0, mark=""):
    queued = tuple(make_task(f"1/S/{agent}{index}{mark}", strategies[0]) for index in range(number))
    return Backlog(agent=agent, strategies=frozenset(strategies), queued=queued, running=running, task_s=task_s)


def moves(steals):
    return [(steal.task.key.rsplit("/", 1)[1], steal.victim, steal.thief) for steal in steals]


@pytest.mark.parametrize(
    ("backlogs", "value"),
    [
        pytest.param([], 0.0, id="nobody"),
        pytest.param([backlog("a", 0), backlog("b", 0)], 0.0, id="all idle"),
        pytest.param([backlog("a", 4), backlog("b", 4)], 0.0, id="even"),
        pytest.param([backlog("a", 4), backlog("b", 0)], 1.0, id="one idle"),
        pytest.param([backlog("a", 4), backlog("b", 3)], 0.25, id="a quarter"),
        pytest.param([backlog("a", 1, task_s=4.0), backlog("b", 4)], 0.0, id="by time and not by number"),
        pytest.param([backlog("a", 1, running=3), backlog("b", 4)], 0.0, id="what runs counts"),
    ],
)
def test_imbalance(backlogs, value):
    assert imbalance(backlogs) == pytest.approx(value)


@pytest.mark.parametrize(
    ("backlogs", "expected"),
    [
        pytest.param([backlog("a", 4), backlog("b", 0)], [("a3", "a", "b"), ("a2", "a", "b")], id="half, from the end"),
        pytest.param([backlog("a", 4), backlog("b", 4)], [], id="even"),
        pytest.param([backlog("a", 10), backlog("b", 8)], [], id="below the least imbalance"),
        pytest.param([backlog("a", 0, running=9), backlog("b", 0)], [], id="what runs stays"),
        pytest.param([backlog("a", 4), backlog("b", 0, strategies="r")], [], id="who cannot do it"),
        pytest.param([backlog("a", 3), backlog("b", 0, task_s=5.0)], [], id="who would take longer"),
        pytest.param([backlog("a", 2, task_s=0.05), backlog("b", 0, task_s=0.05)], [], id="not worth the move"),
        pytest.param([backlog("a", 4, mark="#0"), backlog("b", 0)], [], id="replicas stay"),
        pytest.param(
            [backlog("a", 3), backlog("b", 0, task_s=0.4), backlog("c", 0)],
            [("a2", "a", "b"), ("a1", "a", "b")],
            id="to who would end it first",
        ),
    ],
)
def test_tasks_move_when_they_are_done_sooner_for_it(backlogs, expected):
    assert moves(plan_steals(backlogs, stolen=())) == expected


def test_plan_lowers_the_imbalance():
    backlogs = [backlog("a", 12), backlog("b", 2), backlog("c", 0, task_s=2.0)]
    after = apply_steals({one.agent: one for one in backlogs}, plan_steals(backlogs, stolen=()))
    assert imbalance(backlogs) == 1.0
    assert imbalance(list(after.values())) < 0.3


def test_task_is_stolen_once_in_an_epoch():
    book = StolenTasks()
    first = [backlog("a", 2), backlog("b", 0)]
    steals = plan_steals(first, stolen=book.keys(epoch=1))
    book.note(steals, epoch=1)
    after = apply_steals({one.agent: one for one in first}, steals)
    back = [after["b"], backlog("a", 0, task_s=0.1)]  # now a is idle, and fast
    assert plan_steals(back, stolen=book.keys(epoch=1)) == ()
    assert moves(plan_steals(back, stolen=book.keys(epoch=2))) == [("a1", "b", "a")]


def test_steals_of_an_earlier_epoch_are_not_noted():
    book = StolenTasks()
    assert book.keys(epoch=3) == frozenset()
    book.note([Steal(make_task("1/S/x"), "a", "b")], epoch=2)
    assert book.keys(epoch=3) == frozenset()


def test_victim_gives_only_what_is_still_in_its_queue():
    a = backlog("a", 4)
    begun, still = a.queued[3], a.queued[2]
    steals = [Steal(begun, "a", "b"), Steal(still, "a", "b"), Steal(still, "a", "c"), Steal(a.queued[0], "z", "b")]
    assert confirm(a.queued[:3], victim="a", steals=steals) == (Steal(still, "a", "b"),)


def test_applying_a_steal_twice_moves_the_task_once():
    before = {one.agent: one for one in (backlog("a", 1), backlog("b", 0))}
    steal = Steal(before["a"].queued[0], "a", "b")
    assert {agent: len(one.queued) for agent, one in apply_steals(before, [steal, steal]).items()} == {"a": 0, "b": 1}
