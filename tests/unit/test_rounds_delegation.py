"""Leaders and hubs give work and gather answers; workers and spokes do it; nobody waits beyond a deadline."""

import pytest
from fixed_desk import FixedDesk, make_task, make_tick, vote
from offices_at_hand import given, group_member, reports, result, sent, star_member

from topologies.messages import Join, Refusal, Result, Work
from topologies.round import Send, SetTimer


def hub(*spokes):
    return star_member("h", spokes=spokes or ("s1", "s2"))


def work(*tasks, round=1, office="root", token=1, **more):
    return Work(office, token, make_tick(round, *{task.symbol for task in tasks} or {"X"}), tasks, **more)


X, Y = make_task("1/X/momentum"), make_task("1/Y/momentum")


def test_tick_is_shared_out_among_the_branches():
    actions = hub().on_tick(make_tick(1, "X", "Y"))
    assert actions[0] == SetTimer(1, 2.0, "hub")
    assert given(actions) == {"s1": ["1/Y/momentum"], "s2": ["1/X/momentum"]}


def test_branch_without_a_task_is_sent_the_tick_all_the_same():
    actions = hub("s1", "s2", "s3").on_tick(make_tick(1))
    assert sorted(map(len, given(actions).values())) == [0, 0, 1]
    assert [work.tick for work in sent(actions).values()] == [make_tick(1)] * 3


def test_work_names_the_office_and_its_token():
    machine = star_member("h", token=3)
    assert {(work.office, work.token) for work in sent(machine.on_tick(make_tick(1))).values()} == {("hub", 3)}


def test_deputy_alone_is_told_all_tasks_of_the_round_and_which_rounds_are_over():
    machine = hub()
    machine.on_tick(make_tick(1))
    machine.on_message("s1", result("s1", "X"))
    machine.on_message("s2", result("s2", "X"))
    told = sent(machine.on_tick(make_tick(2, "X", "Y")))
    assert [task.key for task in told["s1"].standby] == ["2/X/momentum", "2/Y/momentum"]
    assert told["s2"].standby == ()
    assert {work.finished for work in told.values()} == {1}


def test_spoke_feeds_the_tick_and_answers_its_tasks():
    desk = FixedDesk("s2")
    actions = star_member("s2", desk=desk).on_message("h", work(X, office="hub"))
    assert actions == [Send("h", result("s2", "X"))]
    assert (desk.fed, desk.worked) == ([1], ["1/X/momentum"])


def test_worker_asked_again_answers_from_memory():
    desk = FixedDesk("s2")
    spoke = star_member("s2", desk=desk)
    first = spoke.on_message("h", work(X, office="hub"))
    assert spoke.on_message("h", work(X, office="hub")) == first
    assert desk.worked == ["1/X/momentum"]


def test_worker_is_fed_the_ticks_it_missed_before_the_one_it_works_on():
    desk = FixedDesk("s2")
    order = Work("hub", 1, make_tick(4), (make_task("4/X/momentum"),), earlier=(make_tick(2), make_tick(3)))
    star_member("s2", desk=desk).on_message("h", order)
    assert (desk.fed, desk.worked) == ([2, 3, 4], ["4/X/momentum"])


def test_leader_passes_work_down_and_the_votes_up():
    middle = group_member("l")
    assert given(middle.on_message("r", work(X, Y))) == {"w1": ["1/Y/momentum"], "w2": ["1/X/momentum"]}
    assert middle.on_message("w2", result("w2", "X", office="group")) == []
    (up,) = middle.on_message("w1", result("w1", "Y", office="group"))
    assert up == Send("r", Result("root", 1, (vote("w2", "1/X/momentum"), vote("w1", "1/Y/momentum"))))


@pytest.mark.parametrize("order", ["s1 s2", "s2 s1"])
def test_hub_decides_when_the_last_spoke_has_answered(order):
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    last = [machine.on_message(spoke, result(spoke, "X" if spoke == "s2" else "Y")) for spoke in order.split()]
    assert last[0] == []
    ((report,),) = last[1:]
    assert ([decision.key for decision in report.decisions], report.office, report.token) == (["1/X", "1/Y"], "hub", 1)


def test_deadline_decides_what_was_voted_on_without_the_silent_branch():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    machine.on_message("s2", result("s2", "X"))
    (report,) = machine.on_timer(1, "hub")
    assert [(decision.symbol, decision.target) for decision in report.decisions] == [("X", 1.0)]


def test_leader_passes_up_what_it_has_at_its_deadline_and_says_what_is_missing():
    middle = group_member("l")
    middle.on_message("r", work(X, Y))
    middle.on_message("w2", result("w2", "X", office="group"))
    assert middle.on_timer(1, "group") == [
        Send("r", Result("root", 1, (vote("w2", "1/X/momentum"),), unanswered=("1/Y/momentum",)))
    ]


def test_tasks_that_a_branch_gives_up_are_asked_of_others():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    again = given(machine.on_message("s1", result("s1", unanswered=("1/Y/momentum",))))
    assert list(again.values()) == [["1/Y/momentum"]]
    assert machine.on_message("s2", result("s2", "X")) == []
    (report,) = machine.on_message(next(iter(again)), result("s2", "Y"))
    assert len(report.decisions) == 2


def test_what_comes_after_the_end_reopens_nothing():
    machine = hub()
    machine.on_tick(make_tick(1))
    (spoke,) = (to for to, keys in given(hub().on_tick(make_tick(1))).items() if keys)
    assert len(machine.on_message(spoke, result(spoke, "X"))) == 1
    assert machine.on_message("s1", result("s1", "X")) == []
    assert machine.on_timer(1, "hub") == []


def test_work_that_comes_twice_is_given_once():
    machine, middle = hub(), group_member("l")
    machine.on_tick(make_tick(1))
    middle.on_message("r", work(X))
    assert machine.on_tick(make_tick(1)) == middle.on_message("r", work(X)) == []


def test_next_attempt_at_a_round_asks_only_for_what_is_not_known():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    machine.on_message("s2", result("s2", "X"))
    again = machine.on_tick(make_tick(1, "X", "Y", attempt=2))
    assert sorted(key for keys in given(again).values() for key in keys) == ["1/Y/momentum"]


def test_next_attempt_at_a_round_that_is_over_reports_it_again():
    machine = hub()
    machine.on_tick(make_tick(1))
    (first,) = machine.on_message("s2", result("s2", "X"))
    again = machine.on_tick(make_tick(1, attempt=2))
    assert reports(again) == [first]
    assert not any(given(again).values())


def test_second_answer_of_a_branch_does_not_count():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y"))
    assert machine.on_message("s1", result("s1", "Y")) == []
    assert machine.on_message("s1", result("s1", "Y")) == []


@pytest.mark.parametrize(
    ("sender", "message", "answer"),
    [
        pytest.param("s1", Work("elsewhere", 9, make_tick(2), ()), [], id="work of an office not known here"),
        pytest.param("s1", result("s1", "X", round=9), [], id="a result of a round not begun"),
        pytest.param("s1", result("s1", "X", office="elsewhere"), [], id="a result for another office"),
        pytest.param("s1", Join("s1", "spoke", "r"), [], id="a join"),
        pytest.param("s1", Refusal("elsewhere", 9), [], id="a refusal for another office"),
    ],
)
def test_messages_out_of_place_do_nothing(sender, message, answer):
    machine = hub()
    machine.on_tick(make_tick(1))
    assert machine.on_message(sender, message) == answer


def test_timer_of_a_round_not_begun_does_nothing():
    assert hub().on_timer(1, "hub") == []


def test_hub_gives_less_to_a_spoke_that_still_owes_answers():
    machine = hub()
    machine.on_tick(make_tick(1, "X", "Y", "Z"))
    machine.on_message("s2", result("s2", "X", "Z"))  # s1 owes one answer, the round is still open
    assert {spoke: len(keys) for spoke, keys in given(machine.on_tick(make_tick(2, "X", "Y", "Z"))).items()} == {
        "s1": 1,
        "s2": 2,
    }


def test_work_for_which_nobody_was_meant_is_shared_among_all():
    """Every agent carries every strategy: what those meant for it can no longer do, anybody can."""
    middle = group_member("l")
    shared = given(middle.on_message("r", work(make_task("1/X/mine", "mine"), make_task("1/Y/mine", "mine"))))
    assert sorted(shared.values()) == [["1/X/mine"], ["1/Y/mine"]]
