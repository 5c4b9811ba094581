"""Exact probabilities against adding up all outcomes, and simulation against exact ones where those are too many."""

import random
from collections import Counter
from itertools import compress, product

import pytest

from topologies import reliability as reliability_module
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.reliability import estimate, reliability, serves, wilson

BOTH = pytest.mark.parametrize("has_failover", [False, True], ids=["bare", "failover"])
KINDS = pytest.mark.parametrize("kind", list(TopologyKind))


def layout(kind, agents, *, strategies="mr", symbols=3, **more):
    names = tuple(f"a{number:03}" for number in range(agents))
    traded = tuple(f"S{number}" for number in range(symbols))
    return lay_out(
        TopologyKind(kind), LayoutRequest(agents=names, strategies=tuple(strategies), symbols=traded, **more)
    )


def serving_sets(topology, *, has_failover):
    """Count the sets of agents alive with which a topology serves, by their size."""
    agents = topology.agents
    sets = (set(compress(agents, lives)) for lives in product((False, True), repeat=len(agents)))
    return Counter(len(alive) for alive in sets if serves(topology, alive, has_failover=has_failover))


def add_up(sets, agents, *, p):
    return sum(count * (1 - p) ** alive * p ** (agents - alive) for alive, count in sets.items())


@BOTH
@KINDS
@pytest.mark.parametrize("agents", [2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("strategies", ["m", "mr", "mrs"])
def test_exact_is_the_sum_over_all_outcomes(kind, agents, strategies, has_failover):
    topology = layout(kind, agents, strategies=strategies)
    sets = serving_sets(topology, has_failover=has_failover)
    for p in (0.0, 0.05, 0.4, 1.0):
        found = reliability(topology, p, has_failover=has_failover, rng=random.Random(0))
        assert found.samples == 0
        assert found.value == pytest.approx(add_up(sets, agents, p=p), abs=1e-12)


@BOTH
@pytest.mark.parametrize("fan_out", [2, 3, 5])
def test_exact_is_the_sum_over_all_outcomes_in_trees_of_any_depth(fan_out, has_failover):
    topology = layout("hierarchical", 10, fan_out=fan_out)
    found = reliability(topology, 0.2, has_failover=has_failover, rng=random.Random(0)).value
    assert found == pytest.approx(add_up(serving_sets(topology, has_failover=has_failover), 10, p=0.2), abs=1e-12)


@BOTH
@KINDS
@pytest.mark.parametrize("agents", [16, 50, 100])
def test_simulation_confirms_the_exact_value(kind, agents, has_failover):
    topology = layout(kind, agents, symbols=12)
    rng = random.Random(f"{kind}/{agents}/{has_failover}")
    exact = reliability(topology, 0.1, has_failover=has_failover, rng=rng).value
    found = estimate(topology, 0.1, has_failover=has_failover, samples=2000, rng=rng)
    low, high = wilson(round(found.value * 2000), 2000, z=4.0)  # off by chance once in 16,000
    assert low <= exact <= high


@KINDS
@pytest.mark.parametrize("agents", [4, 8, 16, 50, 100])
def test_failover_never_makes_a_topology_less_reliable(kind, agents):
    for p in (0.01, 0.05, 0.1, 0.5):
        bare, covered = (
            reliability(layout(kind, agents), p, has_failover=has_failover, rng=random.Random(0)).value
            for has_failover in (False, True)
        )
        assert covered >= bare - 1e-12


@pytest.mark.parametrize(
    ("kind", "dead", "bare", "failover"),
    [
        pytest.param("star", {0}, False, True, id="star: the hub"),
        pytest.param("star", {0, 1}, False, False, id="star: hub and deputy"),
        pytest.param("star", {2, 4, 6}, False, False, id="star: all spokes of a strategy"),
        pytest.param("star", {0, 3, 5}, False, False, id="star: the last spoke of a strategy is the hub"),
        pytest.param("hierarchical", {1}, True, True, id="hierarchy: a leader, its group has a twin"),
        pytest.param("hierarchical", {1, 6}, False, True, id="hierarchy: a leader and a twin's worker"),
        pytest.param("hierarchical", {1, 5}, False, False, id="hierarchy: the last worker of a strategy stands in"),
        pytest.param("hierarchical", {0}, False, True, id="hierarchy: the root"),
        pytest.param("hierarchical", {0, 1}, False, False, id="hierarchy: the root and its deputy"),
        pytest.param("ring", {3}, False, True, id="ring: one"),
        pytest.param("ring", {3, 5}, False, True, id="ring: two apart"),
        pytest.param("ring", {6, 0}, False, False, id="ring: the last and the first are neighbours"),
    ],
)
def test_what_serving_means(kind, dead, bare, failover):
    topology = layout(kind, 7)
    alive = {agent for index, agent in enumerate(topology.agents) if index not in dead}
    assert serves(topology, alive, has_failover=False) is bare
    assert serves(topology, alive, has_failover=True) is failover


def test_mesh_serves_with_a_quorum_of_owners_and_with_failover_one_fewer_where_a_spare_has_edges():
    topology = layout("mesh", 40, symbols=1)
    owners = [slot.owner for slot in topology.seats["a000"].slots["S0"]]
    alive = set(topology.agents) - set(owners[:1])
    assert serves(topology, alive, has_failover=False)  # 4 of 5
    alive -= set(owners[1:2])
    assert not serves(topology, alive, has_failover=False)
    assert serves(topology, alive, has_failover=True)  # 3 of 5 and the spare
    assert not serves(topology, alive - set(owners[2:3]), has_failover=True)


def test_too_many_states_are_simulated_with_an_interval(monkeypatch):
    monkeypatch.setattr(reliability_module, "STATES_MAX", 10)
    topology = layout("mesh", 50, symbols=12)
    found = reliability(topology, 0.1, has_failover=False, rng=random.Random(7))
    assert found.samples == reliability_module.FALLBACK_SAMPLES
    assert 0.0 < found.low < found.value < found.high < 1.0
    monkeypatch.undo()
    exact = reliability(topology, 0.1, has_failover=False, rng=random.Random(7)).value
    low, high = wilson(round(found.value * found.samples), found.samples, z=4.0)
    assert low <= exact <= high


def test_same_seed_gives_the_same_estimate():
    topology = layout("ring", 12)
    first, second = (estimate(topology, 0.1, has_failover=True, samples=500, rng=random.Random(3)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        reliability(layout("star", 4), p, has_failover=False, rng=random.Random(0))


def test_score_interval_of_a_share_that_was_never_missed_leaves_room():
    low, high = wilson(100, 100, z=1.96)
    assert (round(low, 4), high) == (0.9630, pytest.approx(1.0))
