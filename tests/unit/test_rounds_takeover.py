"""When a hub or a leader dies: its deputy carries on what was under way, and nobody obeys who came back too late."""

import pytest
from fixed_desk import FixedDesk, make_task, make_tick
from offices_at_hand import GROUP, ROOT, given, group_member, is_sent, reports, result, sent, star_member

from topologies.messages import Canvass, Claim, Grant, Refusal, Work
from topologies.round import Send, SetTimer, Took

SPOKES = ("s1", "s2", "s3")


def lose(machine, *peers):
    return [action for peer in peers for action in machine.on_peer(peer, is_alive=False)]


def regain(machine, *peers):
    return [action for peer in peers for action in machine.on_peer(peer, is_alive=True)]


def deputy_with(*works, desk=None):
    """Make the deputy of a star of three spokes that has had some work from the hub."""
    deputy = star_member("s1", spokes=SPOKES, desk=desk)
    for work in works:
        deputy.on_message("h", work)
    return deputy


def under_way(round=1, *symbols, own=(), finished=0):
    """What the hub tells its deputy of a round: its own tasks, and all of them."""
    tasks = tuple(make_task(f"{round}/{symbol}/momentum") for symbol in symbols or ("X", "Y"))
    mine = tuple(task for task in tasks if task.symbol in own)
    return Work("hub", 1, make_tick(round, *(symbols or ("X", "Y"))), mine, standby=tasks, finished=finished)


def take_over(deputy):
    """Let the hub die and one more spoke agree: two of four voters are no majority, three are."""
    asked = lose(deputy, "h")
    assert sent(asked, Canvass) == dict.fromkeys(("s2", "s3"), Canvass("hub", 2))
    assert deputy.on_message("s2", Grant("hub", 2)) == []
    return deputy.on_message("s3", Grant("hub", 2))


def test_deputy_carries_on_the_rounds_under_way_under_its_own_token():
    took, *actions = take_over(deputy_with(under_way(1)))
    assert took == Took("hub", 2)
    assert sent(actions, Claim) == dict.fromkeys(("s2", "s3"), Claim("hub", 2))
    assert SetTimer(1, 2.0, "hub") in actions
    assert {work.token for work in sent(actions).values()} == {2}
    assert set(sent(actions)) == {"s2", "s3"}  # what falls to itself, it does itself


def test_new_holder_decides_when_all_have_answered():
    deputy = deputy_with(under_way(1, "X", "Y", "Z"))
    actions = take_over(deputy)
    for spoke, keys in given(actions).items():
        actions = deputy.on_message(spoke, result(spoke, *(key.split("/")[1] for key in keys)))
    (report,) = reports(actions)
    assert [decision.symbol for decision in report.decisions] == ["X", "Y", "Z"]
    assert (report.office, report.token) == ("hub", 2)
    tasks = [vote.task for decision in report.decisions for vote in decision.votes]
    assert tasks == ["1/X/momentum", "1/Y/momentum", "1/Z/momentum"]


def test_deputy_does_not_compute_again_what_it_has_answered():
    desk = FixedDesk("s1")
    deputy = deputy_with(under_way(1, "X", own=("X",)), desk=desk)
    take_over(deputy)
    assert desk.worked == ["1/X/momentum"]


def test_rounds_that_were_over_are_not_carried_on():
    deputy = deputy_with(under_way(1), under_way(2, finished=1), under_way(3, finished=2))
    actions = take_over(deputy)
    assert {action.round for action in actions if isinstance(action, SetTimer)} == {3}


def test_deputy_without_a_majority_leaves_the_office_alone():
    deputy = deputy_with(under_way(1))
    lose(deputy, "h", "s2")
    assert deputy.on_message("s3", Grant("hub", 2)) == []  # two of four
    assert deputy.on_tick(make_tick(2)) == []
    assert deputy.duties() == []


def test_members_refuse_the_old_hub_once_they_have_promised():
    spoke = star_member("s2", spokes=SPOKES)
    lose(spoke, "h")
    assert spoke.on_message("s1", Canvass("hub", 2)) == [Send("s1", Grant("hub", 2))]
    assert spoke.on_message("h", under_way(1)) == [Send("h", Refusal("hub", 2))]
    assert len(sent(spoke.on_message("s1", Work("hub", 2, make_tick(1), ())), type(result("s2")))) == 1


def test_old_hub_drops_what_it_had_under_way_when_it_hears_of_the_new_one():
    hub = star_member("h", spokes=SPOKES)
    hub.on_tick(make_tick(1))
    hub.on_message("s1", Claim("hub", 2))
    assert hub.on_message("s2", result("s2", "X")) == hub.on_timer(1, "hub") == hub.on_tick(make_tick(2)) == []
    assert hub.duties() == []


def test_old_hub_that_is_given_work_by_the_new_one_says_nothing_in_its_name():
    """A report goes out under the highest token seen: it must be one's own."""
    hub = star_member("h", spokes=SPOKES)
    hub.on_tick(make_tick(1, "X", "Y"))
    hub.on_message("s2", result("s2", "X"))
    (answer,) = hub.on_message("s1", Work("hub", 2, make_tick(1, "X", "Y"), ()))
    assert answer == Send("s1", result("h"))
    assert hub.on_timer(1, "hub") == []


def test_old_hub_that_was_only_slow_stands_above_the_promise_and_carries_on():
    hub = star_member("h", spokes=SPOKES)
    hub.on_tick(make_tick(1))
    asked = hub.on_message("s2", Refusal("hub", 2))
    assert sent(asked, Canvass) == dict.fromkeys(SPOKES, Canvass("hub", 3))
    assert hub.on_timer(1, "hub") == []  # for the time being it holds nothing
    assert hub.on_message("s2", Grant("hub", 3)) == []
    assert hub.on_message("s3", Grant("hub", 3))[0] == Took("hub", 3)
    again = hub.on_tick(make_tick(1, attempt=2))
    assert {work.token for work in sent(again).values()} == {3}


def test_hub_without_a_majority_keeps_still_until_it_has_one_again():
    hub = star_member("h", spokes=SPOKES)
    hub.on_tick(make_tick(1))
    lose(hub, "s2", "s3")
    assert reports(hub.on_message("s1", result("s1", "X"))) == []
    assert hub.on_timer(1, "hub") == []
    assert len(reports(regain(hub, "s2"))) == 1


def test_open_tasks_of_a_dead_spoke_are_asked_of_another():
    hub = star_member("h", spokes=SPOKES)
    shared = given(hub.on_tick(make_tick(1, "X", "Y", "Z")))
    again = given(lose(hub, "s2"))
    assert [key for keys in again.values() for key in keys] == shared["s2"]
    assert "s2" not in again


def test_answered_tasks_of_a_dead_spoke_are_not_asked_again():
    hub = star_member("h", spokes=SPOKES)
    shared = given(hub.on_tick(make_tick(1, "X", "Y", "Z")))
    hub.on_message("s2", result("s2", shared["s2"][0].split("/")[1]))
    assert lose(hub, "s2") == []


def test_spoke_that_is_back_is_told_of_the_ticks_since():
    hub = star_member("h", spokes=SPOKES)
    lose(hub, "s3")
    for round in (1, 2):
        for spoke, keys in given(hub.on_tick(make_tick(round))).items():
            hub.on_message(spoke, result(spoke, *("X" for _ in keys), round=round))
    regain(hub, "s3")
    told = sent(hub.on_tick(make_tick(3)))
    assert [tick.round for tick in told["s3"].earlier] == [1, 2]
    assert told["s1"].earlier == told["s2"].earlier == ()


def test_new_holder_tells_everybody_of_the_ticks_they_may_have_missed():
    deputy = deputy_with(under_way(1, finished=0), under_way(2, finished=1))
    told = sent(take_over(deputy))
    assert all([tick.round for tick in work.earlier] == [1] for work in told.values())


def test_appointed_holder_claims_its_office_as_soon_as_it_can_be_heard():
    assert sent(star_member("h", token=3).on_start(), Claim) == dict.fromkeys(("s1", "s2"), Claim("hub", 3))
    assert star_member("h").on_start() == []
    assert star_member("s1", token=3).on_start() == []


def test_appointed_holder_is_followed_by_who_had_another_token():
    spoke = star_member("s2", token=1)
    assert spoke.on_message("h", Claim("hub", 3)) == []
    assert spoke.on_message("h", Claim("hub", 1)) == [Send("h", Refusal("hub", 3))]


# ---- a leader in the middle


def work_from(root, *symbols, round=1, token=1):
    tasks = tuple(make_task(f"{round}/{symbol}/momentum") for symbol in symbols)
    return Work(ROOT.name, token, make_tick(round, *symbols), tasks)


def leader_dies(standby=("X", "Y")):
    """Let the deputy of a group take over from its leader, with a round under way."""
    deputy = group_member("w1")
    tasks = tuple(make_task(f"1/{symbol}/momentum") for symbol in standby)
    deputy.on_message("l", Work(GROUP.name, 1, make_tick(1, *standby), (), standby=tasks))
    asked = lose(deputy, "l")
    assert sent(asked, Canvass) == {"w2": Canvass("group", 2)}
    return deputy, deputy.on_message("w2", Grant("group", 2))


def test_new_leader_tells_the_group_and_both_holders_above():
    _, actions = leader_dies()
    assert sent(actions, Claim) == dict.fromkeys(("w2", "r", "c"), Claim("group", 2))


def test_new_leader_answers_the_root_for_what_was_under_way():
    deputy, actions = leader_dies()
    assert given(actions) == {"w2": ["1/X/momentum"]}  # the other half it does itself
    (up,) = deputy.on_message("w2", result("w2", "X", office="group"))
    assert (up.to, [vote.agent for vote in up.message.votes]) == ("r", ["w2", "w1"])


def test_new_leader_is_given_the_next_work_of_the_root():
    deputy, _ = leader_dies()
    shared = given(deputy.on_message("r", work_from("r", "X", "Y", round=2)))
    assert list(shared) == ["w2"]


def test_new_leader_refuses_an_old_root():
    deputy, _ = leader_dies()
    deputy.on_message("c", Claim(ROOT.name, 2))
    assert deputy.on_message("r", work_from("r", "X", round=2)) == [Send("r", Refusal("root", 2))]
    assert given(deputy.on_message("c", work_from("c", "X", "Y", round=2, token=2)))


@pytest.mark.parametrize(("alive", "is_led"), [(["w2"], True), ([], False)])
def test_leader_answers_only_with_its_group_behind_it(alive, is_led):
    leader = group_member("l")
    leader.on_message("r", work_from("r", "X"))
    lose(leader, *({"w1", "w2"} - set(alive)))
    assert any(is_sent(action, type(result("l"))) for action in leader.on_timer(1, "group")) is is_led
