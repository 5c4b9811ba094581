"""Leaders and hubs give work and gather answers; workers and spokes do it; nobody waits beyond a deadline."""

import pytest
from fixed_desk import FixedDesk, make_task, make_tick, vote

from topologies.distribution import UnmatchedCapability
from topologies.kinds import Role
from topologies.messages import Join, Result, Work
from topologies.round import Send, SetTimer
from topologies.rounds import create_round
from topologies.seats import Branch, StarSeat, TreeSeat

WORKER = {"momentum": 1}


def branches(*names):
    return tuple(Branch(name, WORKER) for name in names)


def hub(*spokes):
    return create_round(StarSeat("h", Role.HUB, (), "", branches(*spokes or ("s1", "s2")), 2.0), FixedDesk("h"))


def root(*children):
    return create_round(TreeSeat("r", Role.LEADER, (), "", branches(*children or ("c1", "c2")), 2.0), FixedDesk("r"))


def leader():
    return create_round(TreeSeat("l", Role.LEADER, (), "r", branches("w1", "w2"), 1.0), FixedDesk("l"))


def result(agent, *symbols, round=1):
    return Result(round, tuple(vote(agent, f"{round}/{symbol}/momentum") for symbol in symbols))


def given(actions):
    """Name the tasks given to each branch."""
    return {action.to: [task.key for task in action.message.tasks] for action in actions if isinstance(action, Send)}


@pytest.mark.parametrize("boss", [hub, root])
def test_tick_is_shared_out_among_the_branches(boss):
    actions = boss("b1", "b2").on_tick(make_tick(1, "X", "Y"))
    assert actions[0] == SetTimer(1, 2.0)
    assert given(actions) == {"b1": ["1/Y/momentum"], "b2": ["1/X/momentum"]}


def test_branch_without_a_task_is_sent_the_tick_all_the_same():
    actions = hub("s1", "s2", "s3").on_tick(make_tick(1))
    assert sorted(map(len, given(actions).values())) == [0, 0, 1]
    assert [action.message.tick for action in actions[1:]] == [make_tick(1)] * 3


@pytest.mark.parametrize(
    "seat",
    [
        pytest.param(StarSeat("w", Role.SPOKE, ("momentum",), "boss", (), 2.0), id="spoke"),
        pytest.param(TreeSeat("w", Role.WORKER, ("momentum",), "boss", (), 2.0), id="worker"),
    ],
)
def test_worker_feeds_the_tick_and_answers_its_tasks(seat):
    desk = FixedDesk("w")
    actions = create_round(seat, desk).on_message("boss", Work(make_tick(1), (make_task("1/X/momentum"),)))
    assert actions == [Send("boss", result("w", "X"))]
    assert (desk.fed, desk.worked) == ([1], ["1/X/momentum"])


def test_leader_passes_work_down_and_the_votes_up():
    middle = leader()
    tasks = (make_task("1/X/momentum"), make_task("1/Y/momentum"))
    down = given(middle.on_message("r", Work(make_tick(1, "X", "Y"), tasks)))
    assert down == {"w1": ["1/Y/momentum"], "w2": ["1/X/momentum"]}
    assert middle.on_message("w2", result("w2", "X")) == []
    (up,) = middle.on_message("w1", result("w1", "Y"))
    assert (up.to, [(vote.task, vote.agent) for vote in up.message.votes]) == (
        "r",
        [("1/X/momentum", "w2"), ("1/Y/momentum", "w1")],
    )


@pytest.mark.parametrize("order", ["s1 s2", "s2 s1"])
def test_hub_decides_when_the_last_spoke_has_answered(order):
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    last = [machine.on_message(spoke, result(spoke, "X" if spoke == "s2" else "Y")) for spoke in order.split()]
    assert last[0] == []
    assert [decision.key for decision in last[1][0].decisions] == ["1/X", "1/Y"]


def test_deadline_decides_without_the_silent_branch():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    machine.on_message("s2", result("s2", "X"))
    (report,) = machine.on_timer(1)
    assert [(decision.symbol, decision.target) for decision in report.decisions] == [("X", 1.0), ("Y", 0.0)]


def test_leader_passes_up_what_it_has_at_its_deadline():
    middle = leader()
    middle.on_message("r", Work(make_tick(1), (make_task("1/X/momentum"),)))
    assert middle.on_timer(1) == [Send("r", Result(1, ()))]


def test_what_comes_after_the_end_reopens_nothing():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    machine.on_timer(1)
    assert machine.on_message("s1", result("s1", "Y")) == []
    assert machine.on_timer(1) == []
    assert machine.on_tick(make_tick(1, "X", "Y")) == []


def test_work_that_comes_twice_is_given_once():
    machine, middle = hub(), leader()
    work = Work(make_tick(1), (make_task("1/X/momentum"),))
    machine.on_tick(make_tick(1))
    middle.on_message("r", work)
    assert machine.on_tick(make_tick(1)) == middle.on_message("r", work) == []


def test_second_answer_of_a_branch_does_not_count():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    assert machine.on_message("s1", result("s1", "Y")) == []
    assert machine.on_message("s1", result("s1", "Y")) == []


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        pytest.param("stranger", result("stranger", "X"), id="a result from no branch"),
        pytest.param("s1", Work(make_tick(2), ()), id="work from below"),
        pytest.param("s1", result("s1", "X", round=9), id="a result of a round not begun"),
        pytest.param("s1", Join("s1", "spoke", "r"), id="a join"),
    ],
)
def test_messages_out_of_place_do_nothing(sender, message):
    machine = hub()
    machine.on_tick(make_tick(1))
    assert machine.on_message(sender, message) == []


def test_timer_of_a_round_not_begun_does_nothing():
    assert hub().on_timer(1) == []


def test_hub_gives_less_to_a_spoke_that_still_owes_answers():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y", "Z"))
    machine.on_message("s2", result("s2", "X", "Z"))
    machine.on_timer(1)  # s1 owes one answer
    assert {spoke: len(keys) for spoke, keys in given(machine.on_tick(make_tick(2, "X", "Y", "Z"))).items()} == {
        "s1": 1,
        "s2": 2,
    }


def test_hub_forgives_a_spoke_whose_answers_came_late():
    machine = hub()
    machine.on_tick(make_tick(1, *"UVWXYZ"))
    machine.on_message("s2", result("s2", *"UVW"))
    machine.on_timer(1)
    machine.on_message("s1", result("s1", *"XYZ"))  # late, but now nothing is owed
    shared = given(machine.on_tick(make_tick(2, *"UVWXYZ")))
    assert {spoke: len(keys) for spoke, keys in shared.items()} == {"s1": 3, "s2": 3}


def test_work_that_nobody_below_can_do_is_an_error():
    with pytest.raises(UnmatchedCapability, match="the branches here can run: momentum"):
        leader().on_message("r", Work(make_tick(1), (make_task("1/X/mine", "mine"),)))
