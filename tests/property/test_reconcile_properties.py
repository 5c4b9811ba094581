"""Whatever exists, is wanted and was left half done: reconciliation leaves no double, no stranger, no overdraft."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxes.reconcile import (
    Create,
    Kill,
    Observed,
    OpenCreate,
    ReconcilePolicy,
    Situation,
    WantedAgent,
    reconcile,
)
from tests.unit.reconcile_world import World

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AGENTS = ["a", "b", "c", "d"]

ages = st.sampled_from([0, 10, 59, 60, 200, 2999, 3000, 3590]).map(lambda seconds: NOW - timedelta(seconds=seconds))
generations = st.integers(1, 3)
policies = st.builds(
    ReconcilePolicy,
    capacity=st.integers(0, 8),
    grace_s=st.sampled_from([0.0, 60.0]),
    rotations_max=st.integers(0, 3),
    idle_s_max=st.sampled_from([0.0, 60.0, 500.0]),
)


@st.composite
def situations(draw):
    observed = [
        Observed(
            id=f"sb-{number}",
            agent=draw(st.sampled_from([*AGENTS, "stranger"])),
            generation=draw(generations),
            started_at=draw(ages),
            ends_at=NOW + timedelta(seconds=draw(st.sampled_from([1, 100, 199, 200, 300]))),
        )
        for number in range(draw(st.integers(0, 7)))
    ]
    spares = {one.id: draw(ages) for one in observed if draw(st.integers(0, 5)) == 0}
    wanted = [draw(wanted_agent(name, observed, spares)) for name in AGENTS if draw(st.integers(0, 4))]
    keys = draw(st.sets(st.tuples(st.sampled_from([*AGENTS, "stranger"]), generations), max_size=5))
    settled = {(agent.name, agent.generation) for agent in wanted if agent.sandbox}
    creates = [
        OpenCreate(agent=agent, generation=generation, opened_at=draw(ages), is_ours=draw(st.booleans()))
        for agent, generation in sorted(keys - settled)
    ]
    return Situation(observed=observed, wanted=wanted, creates=creates, spares=spares)


@st.composite
def wanted_agent(draw, name, observed, spares):
    generation = draw(generations)
    own = [one.id for one in observed if (one.agent, one.generation) == (name, generation) and one.id not in spares]
    sandbox = draw(st.sampled_from(["", "gone", *own]))
    return WantedAgent(name=name, generation=generation, sandbox=sandbox, bound_at=draw(ages))


@settings(max_examples=400, deadline=None)
@given(situation=situations(), policy=policies)
def test_after_the_actions_there_is_nothing_more_to_do(situation, policy):
    world = World.of(situation, policy, now=NOW)
    world.apply(world.decide())
    assert world.decide() == ()


@settings(max_examples=400, deadline=None)
@given(situation=situations(), policy=policies)
def test_no_agent_has_two_sandboxes_unless_one_is_taking_over(situation, policy):
    world = World.of(situation, policy, now=NOW)
    world.apply(world.decide())
    number = Counter(one.agent for one in world.observed.values() if one.id not in world.spares)
    for name, agent in world.wanted.items():
        is_making = (name, agent.generation) in world.creates
        made_here = [key for key, create in world.creates.items() if key[0] == name and create.is_ours]
        assert number[name] <= (2 if is_making or made_here else 1)


@settings(max_examples=400, deadline=None)
@given(situation=situations(), policy=policies)
def test_nothing_unknown_outlives_the_grace_and_nothing_known_is_killed_as_unknown(situation, policy):
    world = World.of(situation, policy, now=NOW)
    actions = world.apply(world.decide())
    for one in world.observed.values():
        is_known = one.agent in world.wanted or one.id in world.spares
        assert is_known or NOW - one.started_at < timedelta(seconds=policy.grace_s)
    unknown = {action.sandbox for action in actions if isinstance(action, Kill) and action.reason == "unknown"}
    names = {agent.name for agent in situation.wanted}
    assert not any(one.agent in names or one.id in situation.spares for one in situation.observed if one.id in unknown)


@settings(max_examples=400, deadline=None)
@given(situation=situations(), policy=policies)
def test_capacity_is_not_exceeded_by_what_is_made(situation, policy):
    world = World.of(situation, policy, now=NOW)
    actions = world.apply(world.decide())
    if any(isinstance(action, Create) for action in actions):
        assert len(world.observed) + len(world.pending) <= policy.capacity


@settings(max_examples=200, deadline=None)
@given(situation=situations(), policy=policies, seed=st.integers(0, 10))
def test_order_of_what_is_observed_does_not_matter(situation, policy, seed):
    rng = random.Random(seed)

    def shuffled(values):
        return rng.sample(list(values), len(values))

    turned = Situation(
        observed=shuffled(situation.observed),
        wanted=shuffled(situation.wanted),
        creates=shuffled(situation.creates),
        spares=dict(shuffled(situation.spares.items())),
    )
    assert reconcile(turned, policy, now=NOW) == reconcile(situation, policy, now=NOW)


@settings(max_examples=150, deadline=None)
@given(situation=situations(), minutes=st.integers(5, 150))
def test_with_room_enough_every_agent_soon_has_its_one_sandbox_for_good(situation, minutes):
    """Also over the end of sessions, of which there are several in the longest of these times."""
    world = World.of(situation, ReconcilePolicy(capacity=30), now=NOW)
    without = Counter()
    for minute in range(minutes):
        world.apply(world.decide())
        world.pass_time(60)
        if minute >= 3:
            alive = {one.agent for one in world.observed.values() if one.id not in world.spares}
            without.update(world.wanted.keys() - alive)
    assert not without
    world.apply(world.decide())
    bound = {agent.sandbox for agent in world.wanted.values() if agent.sandbox}
    rotating = {key for key, create in world.creates.items() if create.is_ours}
    assert bound | world.spares.keys() <= world.observed.keys()
    assert len(world.observed) == len(bound) + len(world.spares) + len(rotating)
