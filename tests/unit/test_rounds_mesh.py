"""One peer of a mesh: it votes, waits for all the invited, and at its deadline settles for a quorum of them."""

import pytest
from fixed_desk import FixedDesk, make_tick, vote

from topologies.kinds import Role
from topologies.messages import Ballot, Join, Leave
from topologies.round import Report, Send, SetTimer
from topologies.rounds import create_round
from topologies.rounds.mesh import ROUNDS_KEPT
from topologies.seats import MeshSeat, MeshSlot

FIVE = "abcde"


def seat_of(agent, quorum=0.66, spares="", **owners):
    slots = {
        symbol: tuple(MeshSlot(owner, ("momentum",)) for owner in group)
        for symbol, group in (owners or {"X": FIVE}).items()
    }
    others = {slot.owner for group in slots.values() for slot in group} | set(spares)
    spares_of = dict.fromkeys(slots, tuple(spares))
    return MeshSeat(agent, Role.PEER, ("momentum",), slots, spares_of, quorum, 2.0, tuple(sorted(others - {agent})))


def peer(agent="a", quorum=0.66, desk=None, **owners):
    return create_round(seat_of(agent, quorum, **owners), desk or FixedDesk(agent))


def ballot(agent, *symbols, round=1, slot=None, target=1.0):
    number = FIVE.index(agent) if slot is None else slot
    keys = [f"{round}/{symbol}/momentum#{number}" for symbol in symbols or ("X",)]
    return Ballot(round, tuple(vote(agent, key, target=target) for key in keys))


def deliver(peer, *senders, round=1):
    return [action for sender in senders for action in peer.on_message(sender, ballot(sender, round=round))]


def reports(actions):
    return [action for action in actions if isinstance(action, Report)]


def ballots(actions):
    return {action.to: action.message for action in actions if isinstance(action, Send)}


def voters(report):
    return [vote.agent for decision in report.decisions for vote in decision.votes]


def test_tick_makes_an_owner_vote_and_set_its_deadline():
    actions = peer().on_tick(make_tick(1))
    assert actions == [SetTimer(1, 2.0), *(Send(other, ballot("a")) for other in "bcde")]


@pytest.mark.parametrize("agent", ["z", "s"])
def test_peer_that_has_no_voice_feeds_its_windows_and_is_silent(agent):
    desk = FixedDesk(agent)
    machine = peer(agent, desk=desk, spares="s")
    assert machine.on_tick(make_tick(1)) == []
    assert (desk.fed, desk.worked) == ([1], [])


def test_ballot_holds_the_votes_on_shared_symbols_only():
    actions = peer(X="ab", Y="ca", Z="bc").on_tick(make_tick(1, "X", "Y", "Z"))
    assert actions[1:] == [Send("b", ballot("a", "X", slot=0)), Send("c", ballot("a", "Y", slot=1))]


def test_decision_comes_with_the_last_of_the_invited():
    first = peer()
    first.on_tick(make_tick(1))
    assert deliver(first, "e", "c", "b") == []
    (report,) = deliver(first, "d")
    (decision,) = report.decisions
    assert (report.round, decision.symbol, voters(report)) == (1, "X", list(FIVE))


def test_only_the_holder_of_the_first_voice_reports():
    second = peer("b")
    second.on_tick(make_tick(1))
    assert deliver(second, "a", "c", "d", "e") == []


def test_ballots_that_come_before_the_tick_are_kept():
    first = peer()
    assert deliver(first, "b", "c", "d", "e") == []
    assert [type(action) for action in first.on_tick(make_tick(1))] == [SetTimer, *[Send] * 4, Report]


def test_ballots_of_a_later_round_do_not_make_the_rounds_before_it_forgotten():
    first = peer()
    deliver(first, "b", round=3)
    first.on_tick(make_tick(1))
    assert len(reports(deliver(first, "b", "c", "d", "e", round=1))) == 1


def test_sole_owner_decides_at_once():
    actions = peer(X="a").on_tick(make_tick(1))
    assert [type(action) for action in actions] == [SetTimer, Report]


@pytest.mark.parametrize(
    ("quorum", "heard", "decides"),
    [
        pytest.param(0.66, "bcd", True, id="1 of 5 silent"),
        pytest.param(0.66, "bc", False, id="2 of 5 silent"),
        pytest.param(0.6, "bc", True, id="2 of 5 silent, three fifths needed"),
        pytest.param(1.0, "bcd", False, id="1 of 5 silent, all needed"),
        pytest.param(0.0, "", True, id="all silent, none needed"),
    ],
)
def test_deadline_settles_for_a_quorum_of_the_invited(quorum, heard, decides):
    first = peer(quorum=quorum)
    first.on_tick(make_tick(1))
    assert deliver(first, *heard) == []
    assert [voters(report) for report in first.on_timer(1, "")] == ([["a", *heard]] if decides else [])


def test_first_voice_that_spoke_reports_at_the_deadline_if_the_very_first_is_silent():
    second = peer("b")
    second.on_tick(make_tick(1))
    deliver(second, "c", "d", "e")
    (report,) = second.on_timer(1, "")
    assert voters(report) == ["b", "c", "d", "e"]


def test_symbols_settle_each_when_it_can():
    first = peer(X="ab", Y="ac")
    first.on_tick(make_tick(1, "X", "Y"))
    (early,) = first.on_message("b", ballot("b", "X", slot=1))
    assert [decision.symbol for decision in early.decisions] == ["X"]
    (late,) = first.on_message("c", ballot("c", "Y", slot=1))
    assert [decision.symbol for decision in late.decisions] == ["Y"]


def test_what_comes_after_the_end_reopens_nothing():
    first = peer()
    first.on_tick(make_tick(1))
    deliver(first, "b", "c", "d", "e")
    assert first.on_timer(1, "") == deliver(first, "b", "c") == first.on_tick(make_tick(1)) == []


def test_second_ballot_of_an_owner_does_not_count():
    first = peer()
    first.on_tick(make_tick(1))
    assert deliver(first, "b", "b", "b", "b", "c") == []


def test_first_vote_of_a_voice_stands():
    first = peer(X="abc")
    first.on_tick(make_tick(1))
    first.on_message("b", ballot("b"))
    first.on_message("c", ballot("c", slot=1, target=-1.0))  # somebody else with the same voice
    (report,) = first.on_message("c", ballot("c"))
    assert [one.target for one in report.decisions[0].votes] == [1.0, 1.0, 1.0]


def test_tick_that_comes_twice_is_voted_on_once():
    first = peer()
    first.on_tick(make_tick(1))
    assert first.on_tick(make_tick(1)) == []


def test_next_attempt_at_a_round_sends_and_reports_again_and_computes_nothing():
    desk = FixedDesk("a")
    first = peer(desk=desk)
    first.on_tick(make_tick(1))
    (report,) = deliver(first, "b", "c", "d", "e")
    again = first.on_tick(make_tick(1, attempt=2))
    assert (set(ballots(again)), reports(again)) == (set("bcde"), [report])
    assert desk.worked == ["1/X/momentum#0"]


def test_rounds_are_apart():
    first = peer()
    first.on_tick(make_tick(1))
    first.on_tick(make_tick(2))
    assert deliver(first, "b", "c", round=1) + deliver(first, "d", "e", round=2) == []
    assert [report.round for report in deliver(first, "b", "c", round=2)] == [2]


@pytest.mark.parametrize("message", [Join("b", "peer", "r"), Leave("b", 1)])
def test_other_messages_are_no_business_of_a_peer(message):
    assert peer().on_message("b", message) == []


def test_rounds_long_past_are_forgotten():
    first = peer()
    for round in range(1, ROUNDS_KEPT + 2):
        first.on_tick(make_tick(round))
    assert deliver(first, "b", "c", "d", "e", round=1) == first.on_timer(1, "") == []
    assert len(deliver(first, "b", "c", "d", "e", round=2)) == 1


# ---- when an owner dies


def lose(machine, peer):
    return machine.on_peer(peer, is_alive=False)


def test_spare_speaks_for_an_owner_that_is_dead_and_tells_all_who_have_a_voice():
    desk = FixedDesk("s")
    spare = peer("s", desk=desk, spares="s")
    lose(spare, "c")
    actions = spare.on_tick(make_tick(1))
    assert desk.worked == ["1/X/momentum#2"]
    assert ballots(actions) == dict.fromkeys("abde", Ballot(1, (vote("s", "1/X/momentum#2"),)))


def test_owners_tell_the_spare_how_they_voted_when_it_comes_to_speak():
    first = peer(spares="s")
    first.on_tick(make_tick(1))
    assert ballots(lose(first, "c")) == {"s": ballot("a")}
    deliver(first, "b", "d", "e")
    (report,) = first.on_message("s", Ballot(1, (vote("s", "1/X/momentum#2"),)))
    assert voters(report) == ["a", "b", "s", "d", "e"]


def test_owner_speaks_for_a_dead_one_itself_if_there_is_no_spare():
    desk = FixedDesk("a")
    first = peer(desk=desk, X="abc")
    first.on_tick(make_tick(1))
    first.on_message("b", ballot("b"))
    actions = lose(first, "c")
    assert desk.worked == ["1/X/momentum#0", "1/X/momentum#2"]
    assert [vote.task for vote in ballots(actions)["b"].votes] == ["1/X/momentum#0", "1/X/momentum#2"]
    assert [voters(report) for report in reports(actions)] == [["a", "b", "a"]]


def test_vote_that_came_before_its_owner_died_is_not_cast_again():
    desk = FixedDesk("a")
    first = peer(desk=desk, X="abc")
    first.on_tick(make_tick(1))
    deliver(first, "c")
    lose(first, "c")
    assert desk.worked == ["1/X/momentum#0"]
    assert [voters(report) for report in deliver(first, "b")] == [["a", "b", "c"]]


def test_last_vote_of_the_dead_is_passed_on_by_whoever_has_its_voice_now():
    """Its ballot reached this agent, maybe nobody else: without it they would wait for their deadline."""
    first = peer(X="abc")
    first.on_tick(make_tick(1))
    deliver(first, "c")
    assert ballots(lose(first, "c")) == {"b": Ballot(1, (vote("a", "1/X/momentum#0"), vote("c", "1/X/momentum#2")))}


def test_whoever_comes_to_have_the_first_voice_reports_what_its_owner_may_not_have():
    second = peer("b", X="abc")
    second.on_tick(make_tick(1))
    assert deliver(second, "a", "c") == []  # a reports, as far as b knows
    (report,) = reports(lose(second, "a"))
    assert voters(report) == ["a", "b", "c"]


def test_spare_reports_in_place_of_a_dead_reporter():
    spare = peer("s", spares="s", X="abc")
    lose(spare, "a")
    spare.on_tick(make_tick(1))
    (report,) = [*deliver(spare, "b"), *deliver(spare, "c")]
    assert voters(report) == ["s", "b", "c"]


def test_owner_that_is_back_gets_the_ballots_of_the_latest_rounds():
    first = peer(spares="s")
    lose(first, "c")
    for round in (1, 2):
        first.on_tick(make_tick(round))
    actions = first.on_peer("c", is_alive=True)
    sent = [(action.to, action.message.round) for action in actions if isinstance(action, Send)]
    assert sent == [("c", 1), ("c", 2)]
    assert set(ballots(first.on_tick(make_tick(3)))) == set("bcde")


def test_nobody_votes_on_an_earlier_round_with_later_prices():
    desk = FixedDesk("a")
    first = peer(desk=desk, X="abc")
    first.on_tick(make_tick(1))
    first.on_tick(make_tick(2))
    lose(first, "c")
    assert desk.worked == ["1/X/momentum#0", "2/X/momentum#0", "2/X/momentum#2"]


@pytest.mark.parametrize(
    ("dead", "duties"),
    [("", {"a": ["X"], "b": ["Y"]}), ("b", {"a": ["X"], "s": ["Y"]}), ("a", {"s": ["X"], "b": ["Y"]})],
)
def test_each_symbol_is_one_agent_s_duty(dead, duties):
    found = {}
    for agent in set("abs") - set(dead):
        machine = peer(agent, X="ab", Y="ba", spares="s")
        for gone in dead:
            lose(machine, gone)
        found[agent] = machine.duties()
    assert {agent: symbols for agent, symbols in found.items() if symbols} == duties
