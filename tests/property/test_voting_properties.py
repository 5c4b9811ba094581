"""What holds for any votes: order is nothing, the target stays in range, and somebody owns all that is held."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.messages import Vote
from topologies.ownership import owners, ranking
from topologies.voting import decide, quorum_size, shares

# Nothing smaller than 1e-9 but 0: see test_tiny_decision_is_owned_as_well.
numbers = st.one_of(st.just(0.0), st.floats(1e-9, 1.0))
opinions = st.lists(st.tuples(st.sampled_from("abc"), numbers, st.sampled_from([-1, 1]), numbers), max_size=9)
strategy_sets = st.sets(st.sampled_from(["m", "r", "s"]), min_size=1).map(lambda names: tuple(sorted(names)))
crews = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), strategy_sets, min_size=1, max_size=12)


def votes_of(opinions):
    return [
        Vote(f"1/X/m@{number}", "X", agent, "m", sign * size, confidence)
        for number, (agent, size, sign, confidence) in enumerate(opinions)
    ]


@settings(deadline=None)
@given(opinions=opinions, data=st.data())
def test_order_of_votes_changes_nothing(opinions, data):
    votes = votes_of(opinions)
    shuffled = data.draw(st.permutations(votes))
    assert decide(votes, round=1, symbol="X") == decide(shuffled, round=1, symbol="X")


@settings(deadline=None)
@given(opinions=opinions)
def test_target_lies_among_those_of_the_winners(opinions):
    votes = votes_of(opinions)
    target = decide(votes, round=1, symbol="X").target
    same_side = [vote.target for vote in votes if vote.target * target > 0]
    assert target == 0.0 or min(same_side) - 1e-9 <= target <= max(same_side) + 1e-9
    assert -1.0 <= target <= 1.0


@settings(deadline=None)
@given(opinions=opinions)
def test_turning_every_vote_turns_the_decision(opinions):
    votes = votes_of(opinions)
    turned = votes_of([(agent, size, -sign, confidence) for agent, size, sign, confidence in opinions])
    assert decide(votes, round=1, symbol="X").target == -decide(turned, round=1, symbol="X").target


@settings(deadline=None)
@given(opinions=opinions)
def test_shares_add_up_to_all_of_a_position_and_to_none_without(opinions):
    decision = decide(votes_of(opinions), round=1, symbol="X")
    owned = shares(decision)
    assert math.fsum(owned.values()) == pytest.approx(1.0 if decision.target else 0.0)
    assert all(share >= 0.0 for share in owned.values())
    assert set(owned) <= {vote.agent for vote in decision.votes if vote.target * decision.target > 0}


@given(invited=st.integers(1, 200), quorum=st.floats(0.0, 1.0))
def test_quorum_is_at_least_the_share_and_at_most_all(invited, quorum):
    needed = quorum_size(invited, quorum)
    assert 1 <= needed <= invited
    assert needed >= invited * quorum - 1e-6
    assert needed == 1 or needed - 1 < invited * quorum


@settings(deadline=None)
@given(crew=crews, symbol=st.text(max_size=6), replicas=st.integers(1, 6))
def test_owners_cover_every_strategy_and_are_as_many_as_asked(crew, symbol, replicas):
    chosen, _ = owners(symbol, crew, replicas=replicas)
    known = {name for names in crew.values() for name in names}
    assert {name for agent in chosen for name in crew[agent]} == known
    assert min(replicas, len(crew)) <= len(chosen) <= max(replicas, len(known))
    assert list(chosen) == [agent for agent in ranking(symbol, list(crew)) if agent in chosen]


@settings(deadline=None)
@given(crew=crews, replicas=st.integers(1, 6), data=st.data())
def test_only_the_symbols_of_an_agent_that_leaves_move(crew, replicas, data):
    leaver = data.draw(st.sampled_from(sorted(crew)))
    left = {agent: names for agent, names in crew.items() if agent != leaver}
    for symbol in ("AAPL", "GOOG", "IBM", "MSFT"):
        before, _ = owners(symbol, crew, replicas=replicas)
        if leaver not in before:
            assert owners(symbol, left, replicas=replicas)[0] == before


@settings(deadline=None)
@given(names=st.sets(st.text("abcdefgh", min_size=1), min_size=2, max_size=12), replicas=st.integers(1, 6))
def test_one_owner_takes_the_place_of_one_that_leaves(names, replicas):
    crew = dict.fromkeys(names, ("m",))
    before, spares = owners("AAPL", crew, replicas=replicas, spares=1)
    left = {agent: able for agent, able in crew.items() if agent != before[0]}
    after, _ = owners("AAPL", left, replicas=replicas)
    assert set(before[1:]) <= set(after)
    assert tuple(agent for agent in after if agent not in before) == spares
