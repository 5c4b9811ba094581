"""Whatever comes first, a round ends in the same decisions, every task is done once, and nothing leaves the edges."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from in_memory_swarm import play

from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.layouts.ring import IN_FLIGHT_MAX

ROUNDS = 3
KINDS = st.sampled_from(TopologyKind)
SEEDS = st.integers(0, 2**32)


@st.composite
def layouts(draw, kinds=KINDS, agents_max=14):
    request = LayoutRequest(
        agents=tuple(f"agent-{number:03}" for number in range(draw(st.integers(2, agents_max)))),
        strategies=("momentum", "mean_reversion", "mine")[: draw(st.integers(1, 3))],
        symbols=tuple(f"S{number}" for number in range(draw(st.integers(1, 6)))),
    )
    return lay_out(draw(kinds), request)


def targets(swarm):
    """What was decided and from which opinions, without who was given the work."""
    return {
        key: [(one.target, [(vote.task, vote.target, vote.confidence) for vote in one.votes]) for one in decided]
        for key, decided in swarm.decisions.items()
    }


@settings(deadline=None)
@given(topology=layouts(), seed=SEEDS, at_once=st.booleans())
def test_every_symbol_is_decided_once_and_every_task_done_once(topology, seed, at_once):
    swarm = play(topology, random.Random(seed), rounds=ROUNDS, at_once=at_once)
    rounds = range(1, ROUNDS + 1)
    keys = {f"{round}/{symbol}" for round in rounds for symbol in topology.request.symbols}
    assert {key: len(made) for key, made in swarm.decisions.items()} == dict.fromkeys(keys, 1)
    assert swarm.executed == dict.fromkeys((key for round in rounds for key in topology.task_keys(round)), 1)


@settings(deadline=None)
@given(topology=layouts(), seed=SEEDS)
def test_decisions_are_made_from_the_votes_on_all_tasks(topology, seed):
    swarm = play(topology, random.Random(seed), rounds=1)
    votes = [vote for (decision,) in swarm.decisions.values() for vote in decision.votes]
    assert sorted(vote.task for vote in votes) == sorted(topology.task_keys(1))
    assert all(vote.symbol == decision.symbol for (decision,) in swarm.decisions.values() for vote in decision.votes)


@settings(deadline=None)
@given(topology=layouts(agents_max=40), seed=SEEDS)
def test_edges_carry_what_was_expected_of_them(topology, seed):
    swarm = play(topology, random.Random(seed), rounds=ROUNDS)
    membership = 2
    expected = {edge: count - membership for edge, count in topology.messages_expected(ROUNDS).items()}
    assert {edge: swarm.carried[edge] for edge in topology.edges} == expected
    assert set(swarm.carried) <= set(topology.edges)


@settings(deadline=None)
@given(topology=layouts(), seed=SEEDS, other=SEEDS)
def test_decisions_do_not_depend_on_what_comes_first(topology, seed, other):
    one = play(topology, random.Random(seed), rounds=ROUNDS)
    another = play(topology, random.Random(other), rounds=ROUNDS)
    assert one.decisions == another.decisions


@settings(deadline=None)
@given(topology=layouts(), seed=SEEDS, other=SEEDS)
def test_rounds_that_overlap_end_in_the_same_decisions(topology, seed, other):
    one_by_one = play(topology, random.Random(seed), rounds=ROUNDS)
    at_once = play(topology, random.Random(other), rounds=ROUNDS, at_once=True)
    assert targets(one_by_one) == targets(at_once)


@settings(deadline=None)
@given(topology=layouts(agents_max=9), seed=SEEDS)
def test_messages_that_come_twice_change_no_decision(topology, seed):
    once = play(topology, random.Random(seed), rounds=2)
    twice = play(topology, random.Random(seed), rounds=2, copies=2)
    assert {key: made[0] for key, made in once.decisions.items()} == {
        key: made[0] for key, made in twice.decisions.items()
    }
    assert all(one == made[0] for made in twice.decisions.values() for one in made)
    assert set(twice.executed) == set(once.executed)


@settings(deadline=None)
@given(topology=layouts(kinds=st.just(TopologyKind.RING)), seed=SEEDS)
def test_no_lane_runs_away_from_the_lane_before_it(topology, seed):
    swarm = play(topology, random.Random(seed), rounds=3 * IN_FLIGHT_MAX, at_once=True)
    assert swarm.ahead_max <= IN_FLIGHT_MAX
    assert len(swarm.decisions) == 3 * IN_FLIGHT_MAX * len(topology.request.symbols)
