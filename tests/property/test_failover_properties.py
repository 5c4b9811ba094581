"""Whoever dies, at whatever moment: every symbol is decided, every task has one effect, as long as enough are left.

The coordinator's part is what it is: it buries the dead, starts the round under way once more then and when an office
is taken, and replaces the dead between rounds, or not at all.
"""

import random
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from in_memory_swarm import InMemorySwarm, play

from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.seats import DelegationSeat, MeshSeat, RingSeat

ROUNDS = 4
SEEDS = st.integers(0, 2**32)
MOMENTS = st.integers(0, 60)  # deliveries; most rounds of these sizes take fewer


class Shape(NamedTuple):
    """A topology in few words."""

    kind: TopologyKind
    agents: int
    strategies: int
    symbols: int

    def lay_out(self):
        request = LayoutRequest(
            agents=tuple(f"agent-{number:03}" for number in range(self.agents)),
            strategies=("momentum", "mean_reversion", "mine")[: self.strategies],
            symbols=tuple(f"S{number}" for number in range(self.symbols)),
        )
        return lay_out(self.kind, request)


shapes = st.builds(Shape, st.sampled_from(TopologyKind), st.integers(3, 13), st.integers(1, 3), st.integers(1, 5))


def is_survivable(topology, dead):
    """Say whether a topology promises to go on without these agents, with nobody put in their place.

    Mesh: each symbol has an owner left. Ring: no two that follow each other are dead. Star and hierarchy: every group
    has a majority left, and the leader or its deputy.
    """
    agents, seats = topology.agents, topology.seats.values()
    if len(dead) == len(agents):
        return False
    seat = topology.seats[agents[0]]
    if isinstance(seat, MeshSeat):
        return all({slot.owner for slot in slots} - dead for slots in seat.slots.values())
    if isinstance(seat, RingSeat):
        return not any(agents[place] in dead and agents[place - 1] in dead for place in range(len(agents)))
    offices = [post.office for seat in seats if isinstance(seat, DelegationSeat) for post in seat.posts]
    return all(
        set(office.holders) - dead and 2 * len(set(office.voters) - dead) > len(office.voters) for office in offices
    )


def play_with(topology, seed, deaths, *, is_replaced=False):
    """Play rounds; `deaths`: in which round, after how many deliveries, who."""
    swarm = InMemorySwarm(topology, random.Random(seed))
    for round in range(1, ROUNDS + 1):
        swarm.start(round)
        swarm.run(deaths=sorted((moment, agent) for when, moment, agent in deaths if when == round))
        swarm.ledger.end(round)
        if is_replaced:
            for agent in sorted(swarm.dead):
                swarm.revive(agent)
            swarm.run()
    return swarm


def check(swarm):
    """Check that all was decided, each task once, and as without any death."""
    ledger, calm = swarm.ledger, play(swarm.topology, random.Random(0), rounds=ROUNDS)
    assert (ledger.completed, ledger.failed) == (ROUNDS, 0)
    assert (ledger.tasks_lost, ledger.tasks_duplicated, ledger.tasks_failed) == (0, 0, 0)
    assert set(ledger.task_effects) == {key for r in range(1, ROUNDS + 1) for key in swarm.topology.task_keys(r)}
    assert {one.key: one.target for one in ledger.decisions} == {
        key: one.target for key, (one,) in calm.decisions.items()
    }


@settings(deadline=None, max_examples=200)
@given(shape=shapes, seed=SEEDS, data=st.data())
def test_any_one_agent_may_die_at_any_moment(shape, seed, data):
    topology = shape.lay_out()
    death = (data.draw(st.integers(1, ROUNDS)), data.draw(MOMENTS), data.draw(st.sampled_from(topology.agents)))
    assume(is_survivable(topology, {death[2]}))
    check(play_with(topology, seed, [death]))


@settings(deadline=None, max_examples=200)
@given(shape=shapes, seed=SEEDS, data=st.data())
def test_several_may_die_as_long_as_enough_are_left(shape, seed, data):
    topology = shape.lay_out()
    deaths = []
    for agent in data.draw(st.permutations(topology.agents))[:4]:
        if is_survivable(topology, {agent, *(gone for _, _, gone in deaths)}):
            deaths.append((data.draw(st.integers(1, ROUNDS)), data.draw(MOMENTS), agent))
    check(play_with(topology, seed, deaths))


@settings(deadline=None, max_examples=200)
@given(shape=shapes, seed=SEEDS, data=st.data())
def test_agents_that_are_replaced_may_die_one_after_the_other(shape, seed, data):
    topology = shape.lay_out()
    mortal = [agent for agent in topology.agents if is_survivable(topology, {agent})]
    dying = data.draw(st.lists(st.sampled_from(mortal), max_size=ROUNDS - 1)) if mortal else []
    deaths = [(round, data.draw(MOMENTS), agent) for round, agent in enumerate(dying, start=1)]
    check(play_with(topology, seed, deaths, is_replaced=True))


@pytest.mark.parametrize(
    ("kind", "dead", "is_enough"),
    [
        pytest.param("star", "a0", True, id="the hub"),
        pytest.param("star", "a0 a1", False, id="the hub and its deputy"),
        pytest.param("star", "a1 a2 a3", False, id="more than half of the group"),
        pytest.param("ring", "a0 a2", True, id="two apart"),
        pytest.param("ring", "a0 a4", False, id="two that follow each other"),
        pytest.param("mesh", "a0 a1 a2 a3", True, id="all but one"),
        pytest.param("mesh", "a0 a1 a2 a3 a4", False, id="all"),
        pytest.param("hierarchical", "a1", True, id="a leader of two workers"),
    ],
)
def test_what_is_enough(kind, dead, is_enough):
    """The condition itself, so that the tests above cannot come to assume too much."""
    agents = tuple(f"a{number}" for number in range(5))
    topology = lay_out(TopologyKind(kind), LayoutRequest(agents=agents, strategies=("m",), symbols=("X",)))
    assert is_survivable(topology, set(dead.split())) is is_enough
