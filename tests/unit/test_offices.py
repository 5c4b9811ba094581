"""The vote on an office: tokens in order, a majority for the deputy, and no way back for who was passed over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.messages import Canvass, Claim, Grant, Refusal
from topologies.offices import POKES_BETWEEN, OfficeView, Succession
from topologies.round import Send, Took
from topologies.seats import Office, holder_of, next_token

GROUP = ("h", "d", "x", "y", "z")


class Voter:
    """One agent's view of an office, and its part in the vote on it."""

    def __init__(self, me, *, token=1, dead=(), voters=GROUP):
        self.dead = set(dead)
        self.view = OfficeView(Office("hub", voters[:2], voters, token), me, is_dead=self.dead.__contains__)
        self.succession = Succession(self.view)

    def lose(self, *agents):
        self.dead.update(agents)
        return self.succession.consider()

    def on(self, sender, message):
        match message:
            case Canvass():
                return self.succession.on_canvass(message)
            case Grant():
                return self.succession.on_grant(sender, message)
            case Refusal():
                return self.succession.on_refusal(message.token)
            case Claim():
                return [] if self.view.accepts(message.token) else [Send(sender, Refusal("hub", self.view.promised))]

    def standing(self, *, without="h"):
        """Become a candidate, and return the token."""
        return self.lose(without)[0].message.token


@pytest.mark.parametrize(("token", "holder"), [(1, "h"), (2, "d"), (3, "h"), (4, "d"), (101, "h")])
def test_tokens_belong_to_the_holders_in_turn(token, holder):
    assert holder_of(Office("hub", ("h", "d"), GROUP), token) == holder


@pytest.mark.parametrize(
    ("agent", "after", "token"), [("h", 1, 3), ("h", 2, 3), ("d", 1, 2), ("d", 2, 4), ("d", 7, 8), ("h", 0, 1)]
)
def test_next_token_is_the_first_of_ones_own_above(agent, after, token):
    assert next_token(Office("hub", ("h", "d"), GROUP), agent, after=after) == token


def test_deputy_that_takes_the_holder_for_dead_asks_all_others_alive():
    deputy = Voter("d", dead=["y"])
    assert deputy.lose("h") == [Send(voter, Canvass("hub", 2)) for voter in ("x", "z")]


@pytest.mark.parametrize("me", ["x", "h"])
def test_nobody_else_asks(me):
    assert Voter(me).lose("y", *({"h"} - {me})) == []


def test_deputy_takes_the_office_with_the_third_of_five_votes():
    deputy = Voter("d")
    token = deputy.standing()
    assert deputy.on("x", Grant("hub", token)) == []
    assert not deputy.view.is_held_here
    assert deputy.on("y", Grant("hub", token)) == [Took("hub", token)]
    assert (deputy.view.holder, deputy.view.is_held_here) == ("d", True)
    assert deputy.on("z", Grant("hub", token)) == []


@pytest.mark.parametrize(
    ("sender", "grant"),
    [
        pytest.param("x", Grant("hub", 2), id="the same voter twice"),
        pytest.param("stranger", Grant("hub", 2), id="nobody of the group"),
        pytest.param("y", Grant("hub", 4), id="for another token"),
    ],
)
def test_vote_that_does_not_count(sender, grant):
    deputy = Voter("d")
    deputy.standing()
    deputy.on("x", Grant("hub", 2))
    assert deputy.on(sender, grant) == []
    assert not deputy.view.is_held_here


def test_deputy_of_nobody_else_needs_nobody_else():
    alone = Voter("d", voters=("h", "d"))
    assert alone.lose("h") == []  # one of two is no majority
    assert not alone.view.is_held_here


def test_member_that_sees_the_holder_alive_keeps_the_question_in_mind():
    member = Voter("x")
    assert member.on("d", Canvass("hub", 2)) == []
    assert member.view.promised == 1
    assert member.lose("h") == [Send("d", Grant("hub", 2))]
    assert member.lose("y") == []


def test_member_that_misses_the_holder_grants_at_once():
    member = Voter("x", dead=["h"])
    assert member.on("d", Canvass("hub", 2)) == [Send("d", Grant("hub", 2))]


def test_grant_is_a_promise_to_follow_no_older_token():
    member = Voter("x", dead=["h"])
    member.on("d", Canvass("hub", 2))
    assert not member.view.accepts(1)
    assert member.view.accepts(2)
    assert member.view.holder == "d"


def test_holder_that_is_alive_says_so_to_the_candidate():
    assert Voter("h").on("d", Canvass("hub", 2)) == [Send("d", Claim("hub", 1))]


def test_candidate_whose_holder_turns_out_alive_makes_it_stand_anew():
    deputy, holder, member = Voter("d"), Voter("h"), Voter("x")
    token = deputy.standing()
    (claim,) = holder.on("d", Canvass("hub", token))
    (refusal,) = deputy.on("h", claim.message)
    assert refusal == Send("h", Refusal("hub", token))
    canvass = Send("x", Canvass("hub", 3))
    assert canvass in holder.on("d", refusal.message)
    assert not holder.view.is_held_here  # until a majority says so
    assert member.on("h", canvass.message) == [Send("h", Grant("hub", 3))]  # who sees it alive grants as well
    assert [holder.on(voter, Grant("hub", 3)) for voter in "xy"] == [[], [Took("hub", 3)]]


def test_old_token_is_refused_after_a_newer_one():
    member = Voter("x")
    assert [member.view.accepts(token) for token in (1, 4, 3, 1, 4, 5)] == [True, True, False, False, True, True]
    assert (member.view.holder, member.view.seen) == ("h", 5)


def test_question_with_a_token_that_is_too_old_is_refused():
    member = Voter("x", token=5, dead=["h"])
    assert member.on("d", Canvass("hub", 4)) == [Send("d", Refusal("hub", 5))]


def test_candidate_told_of_a_higher_promise_stands_above_it_at_its_turn():
    deputy = Voter("d", token=3)
    deputy.standing()
    assert deputy.on("x", Refusal("hub", 9)) == []
    asked = [action for _ in range(POKES_BETWEEN) for action in deputy.succession.poke()]
    assert {action.message for action in asked} == {Canvass("hub", 10)}


@pytest.mark.parametrize("me", GROUP)
def test_vote_that_is_settled_is_not_set_in_motion_again(me):
    voter = Voter(me)
    assert [voter.succession.poke() for _ in range(2 * POKES_BETWEEN)] == [[]] * (2 * POKES_BETWEEN)


def test_possible_holders_take_turns_to_stand_again():
    turns = {}
    for me in ("h", "d"):
        voter = Voter(me)
        voter.view.promised = 6  # to somebody who never took the office
        turns[me] = [bool(voter.succession.poke()) for _ in range(2 * POKES_BETWEEN)]
    assert all(sum(asked) == 2 for asked in turns.values())
    assert not any(one and other for one, other in zip(turns["h"], turns["d"], strict=True))


@pytest.mark.parametrize(
    ("dead", "has_majority"), [("", True), ("x", True), ("xy", True), ("xyz", False), ("dxyz", False)]
)
def test_holder_with_more_than_half_of_its_group_out_of_reach_has_no_majority(dead, has_majority):
    assert Voter("h", dead=dead).view.has_majority is has_majority


def test_claim_goes_to_those_alive():
    voter = Voter("h", dead=["x"])
    assert voter.view.claim({"z", "x", "d", "h"}) == [Send("d", Claim("hub", 1)), Send("z", Claim("hub", 1))]


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_no_token_ever_has_two_holders_and_holders_follow_each_other_in_order(data):
    """Any messages lost, delayed and reordered, any beliefs, true or not."""
    voters = {me: Voter(me) for me in GROUP}
    wire, taken = [], []
    for _ in range(data.draw(st.integers(5, 60))):
        me = data.draw(st.sampled_from(GROUP))
        match data.draw(st.sampled_from(["lose", "regain", "poke", "deliver", "deliver", "deliver", "drop"])):
            case "lose":
                actions = voters[me].lose(data.draw(st.sampled_from([one for one in GROUP if one != me])))
            case "regain":
                voters[me].dead.clear()
                actions = voters[me].succession.consider()
            case "poke":
                actions = voters[me].succession.poke()
            case "drop" if wire:
                wire.pop(data.draw(st.integers(0, len(wire) - 1)))
                continue
            case "deliver" if wire:
                sender, me, message = wire.pop(data.draw(st.integers(0, len(wire) - 1)))
                actions = voters[me].on(sender, message)
            case _:
                continue
        for action in actions:
            if isinstance(action, Took):
                taken.append((action.token, me))
                wire += [(me, claim.to, claim.message) for claim in voters[me].view.claim(GROUP)]
            else:
                wire.append((me, action.to, action.message))
    assert len({token for token, _ in taken}) == len(taken)
    assert all(holder_of(Office("hub", ("h", "d"), GROUP), token) == me for token, me in taken)
    for voter in voters.values():
        assert voter.view.seen <= voter.view.promised
        assert voter.view.seen in {1, *(token for token, _ in taken)}
