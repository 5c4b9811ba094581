"""One peer of a mesh: it votes, waits for all the invited, and at its deadline settles for a quorum of them."""

import pytest
from fixed_desk import FixedDesk, make_tick, vote
from topologies.open_rounds import OPEN_MAX, TooManyOpenRounds

from topologies.kinds import Role
from topologies.messages import Ballot, Join, Leave
from topologies.round import Report, Send, SetTimer
from topologies.rounds import create_round
from topologies.seats import MeshSeat

FIVE = ("a", "b", "c", "d", "e")


def peer(agent="a", quorum=0.66, **owners):
    seat = MeshSeat(agent, Role.PEER, ("momentum",), owners or {"X": FIVE}, quorum, 2.0)
    return create_round(seat, FixedDesk(agent))


def ballot(agent, *symbols, round=1):
    return Ballot(round, tuple(vote(agent, f"{round}/{symbol}/momentum@{agent}") for symbol in symbols or ("X",)))


def deliver(peer, *senders, round=1):
    return [action for sender in senders for action in peer.on_message(sender, ballot(sender, round=round))]


def test_tick_makes_an_owner_vote_and_set_its_deadline():
    actions = peer().on_tick(make_tick(1))
    assert actions == [SetTimer(1, 2.0), *(Send(other, ballot("a")) for other in "bcde")]


def test_peer_that_owns_nothing_feeds_its_windows_and_is_silent():
    desk = FixedDesk("z")
    machine = create_round(MeshSeat("z", Role.PEER, ("momentum",), {"X": FIVE}, 0.66, 2.0), desk)
    assert machine.on_tick(make_tick(1)) == []
    assert (desk.fed, desk.worked) == ([1], [])


def test_ballot_holds_the_votes_on_shared_symbols_only():
    actions = peer(X=("a", "b"), Y=("c", "a"), Z=("b", "c")).on_tick(make_tick(1, "X", "Y", "Z"))
    assert actions[1:] == [Send("b", ballot("a", "X")), Send("c", ballot("a", "Y"))]


def test_decision_comes_with_the_last_of_the_invited():
    first = peer()
    first.on_tick(make_tick(1))
    assert deliver(first, "e", "c", "b") == []
    (report,) = deliver(first, "d")
    (decision,) = report.decisions
    assert (report.round, decision.symbol, [vote.agent for vote in decision.votes]) == (1, "X", list(FIVE))


def test_only_the_first_owner_reports():
    second = peer("b")
    second.on_tick(make_tick(1))
    assert deliver(second, "a", "c", "d", "e") == []


def test_ballots_that_come_before_the_tick_are_kept():
    first = peer()
    assert deliver(first, "b", "c", "d", "e") == []
    assert [type(action) for action in first.on_tick(make_tick(1))] == [SetTimer, *[Send] * 4, Report]


def test_sole_owner_decides_at_once():
    actions = peer(X=("a",)).on_tick(make_tick(1))
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
    actions = first.on_timer(1)
    voters = [[vote.agent for vote in report.decisions[0].votes] for report in actions]
    assert voters == ([["a", *heard]] if decides else [])


def test_symbols_settle_each_when_it_can():
    first = peer(X=("a", "b"), Y=("a", "c"))
    first.on_tick(make_tick(1, "X", "Y"))
    (early,) = first.on_message("b", ballot("b", "X"))
    assert [decision.symbol for decision in early.decisions] == ["X"]
    (late,) = first.on_message("c", ballot("c", "Y"))
    assert [decision.symbol for decision in late.decisions] == ["Y"]


@pytest.mark.parametrize("heard", [pytest.param("bcde", id="complete"), pytest.param("b", id="without a quorum")])
def test_what_comes_after_the_end_reopens_nothing(heard):
    first = peer()
    first.on_tick(make_tick(1))
    deliver(first, *heard)
    first.on_timer(1)
    assert first.on_timer(1) == []
    assert deliver(first, "b", "c", "d", "e") == []
    assert first.on_tick(make_tick(1)) == []


def test_second_ballot_of_an_owner_does_not_count():
    first = peer()
    first.on_tick(make_tick(1))
    assert deliver(first, "b", "b", "b", "b", "c") == []


def test_first_ballot_of_an_owner_stands():
    first = peer(X=("a", "b", "c"))
    first.on_tick(make_tick(1))
    first.on_message("b", ballot("b"))
    first.on_message("b", Ballot(1, (vote("b", "1/X/momentum@b", target=-1.0),)))
    (report,) = first.on_message("c", ballot("c"))
    assert [one.target for one in report.decisions[0].votes] == [1.0, 1.0, 1.0]


def test_tick_that_comes_twice_is_voted_on_once():
    first = peer()
    first.on_tick(make_tick(1))
    assert first.on_tick(make_tick(1)) == []


def test_rounds_are_apart():
    first = peer()
    first.on_tick(make_tick(1))
    first.on_tick(make_tick(2))
    assert deliver(first, "b", "c", round=1) + deliver(first, "d", "e", round=2) == []
    assert [report.round for report in deliver(first, "b", "c", round=2)] == [2]


@pytest.mark.parametrize("message", [Join("b", "peer", "r"), Leave("b", 1)])
def test_other_messages_are_no_business_of_a_peer(message):
    assert peer().on_message("b", message) == []


def test_rounds_that_never_end_are_bounded():
    first = peer()
    for round in range(1, OPEN_MAX + 1):
        first.on_tick(make_tick(round))
    with pytest.raises(TooManyOpenRounds, match=f"{OPEN_MAX} rounds are open, the oldest is 1"):
        first.on_tick(make_tick(OPEN_MAX + 1))
