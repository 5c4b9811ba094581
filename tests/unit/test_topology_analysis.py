"""Structure and costs of shapes small enough to count by hand, and the formulas against the layout's own counts."""

import networkx as nx
import pytest

from topologies.analysis import (
    Connectivity,
    Recovery,
    connectivity,
    diameter,
    messages_per_decision,
    messages_per_repair,
    messages_per_round,
    single_points_of_failure,
)
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.shape import shape, with_standby, working

SIZES = (2, 3, 4, 5, 8, 12, 16, 33, 50, 100)


def layout(kind, agents, **more):
    names = tuple(f"a{number:03}" for number in range(agents))
    symbols = tuple(f"S{number}" for number in range(more.pop("symbols", 6)))
    return lay_out(TopologyKind(kind), LayoutRequest(agents=names, strategies=("m", "r"), symbols=symbols, **more))


def bare(topology):
    return working(shape(topology))


def reserve(kind, agents):
    return with_standby(TopologyKind(kind), bare(layout(kind, agents)))


@pytest.mark.parametrize("agents", SIZES)
@pytest.mark.parametrize("kind", list(TopologyKind))
def test_layout_keeps_in_reserve_what_failover_needs(kind, agents):
    """Two ways to say which edges stand by: by the layout, and by the rule that repairs are reckoned with."""
    found, expected = shape(layout(kind, agents)), reserve(kind, agents)
    assert dict(found.edges) == dict(expected.edges)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        pytest.param("mesh", (), id="mesh: none"),
        pytest.param("star", ("a000",), id="star: the hub"),
        pytest.param("hierarchical", ("a000", "a001", "a002"), id="hierarchy: root and leaders"),
        pytest.param("ring", tuple(f"a{number:03}" for number in range(7)), id="ring: every agent"),
    ],
)
def test_single_points_of_failure(kind, points):
    assert single_points_of_failure(bare(layout(kind, 7))) == points


@pytest.mark.parametrize("agents", SIZES)
@pytest.mark.parametrize("kind", list(TopologyKind))
def test_single_point_of_failure_is_one_without_which_the_rest_is_not_connected(kind, agents):
    def is_point(graph, agent):
        rest = graph.subgraph(set(graph) - {agent})
        return len(rest) > 0 and not nx.is_strongly_connected(rest)

    for graph in (bare(layout(kind, agents)), reserve(kind, agents)):
        points = single_points_of_failure(graph)
        assert points == tuple(sorted(agent for agent in graph if is_point(graph, agent)))
        if kind is not TopologyKind.RING:
            assert set(points) == set(nx.articulation_points(nx.Graph(graph)))


@pytest.mark.parametrize("agents", [size for size in SIZES if size >= 3])
@pytest.mark.parametrize("kind", list(TopologyKind))
def test_with_standby_there_is_no_single_point_of_failure(kind, agents):
    assert single_points_of_failure(reserve(kind, agents)) == ()


@pytest.mark.parametrize(
    ("kind", "far", "far_with_standby"),
    [
        pytest.param("mesh", 1, 1, id="mesh"),
        pytest.param("star", 2, 2, id="star"),
        pytest.param("hierarchical", 4, 4, id="hierarchy: leaf to leaf over the root"),
        pytest.param("ring", 12, 6, id="ring: every other agent"),
    ],
)
def test_diameter(kind, far, far_with_standby):
    assert (diameter(bare(layout(kind, 13))), diameter(reserve(kind, 13))) == (far, far_with_standby)


@pytest.mark.parametrize(
    ("kind", "agents", "without", "with_reserve"),
    [
        pytest.param("mesh", 7, 6, 6, id="mesh, complete"),
        pytest.param("mesh", 40, 10, 10, id="mesh, sparse: all neighbours of one"),
        pytest.param("star", 7, 1, 2, id="star"),
        pytest.param("hierarchical", 13, 1, 2, id="hierarchy"),
        pytest.param("ring", 9, 1, 2, id="ring"),
    ],
)
def test_connectivity(kind, agents, without, with_reserve):
    assert connectivity(bare(layout(kind, agents))) == Connectivity(agents=without, edges=without)
    assert connectivity(reserve(kind, agents)) == Connectivity(agents=with_reserve, edges=with_reserve)


@pytest.mark.parametrize("agents", SIZES)
@pytest.mark.parametrize("kind", list(TopologyKind))
def test_formula_counts_what_the_layout_expects_on_its_edges(kind, agents):
    topology = layout(kind, agents)
    counted = sum(topology.messages_expected(1).values()) - sum(topology.messages_expected(0).values())
    assert messages_per_round(topology) == counted
    assert messages_per_decision(topology) == counted / 6


@pytest.mark.parametrize("replicas", [3, 5, 7])
def test_mesh_pays_for_replicas_and_not_for_agents(replicas):
    costs = {messages_per_decision(layout("mesh", n, symbols=1, replicas=replicas)) for n in (8, 16, 33, 100, 1000)}
    assert costs == {replicas * (replicas - 1)}
    assert messages_per_decision(layout("mesh", 200, symbols=30, replicas=replicas)) <= replicas * (replicas - 1)


@pytest.mark.parametrize(
    ("kind", "failed", "from_outside", "by_failover"),
    [
        pytest.param("mesh", "a000", 0, 0, id="mesh: all edges are there"),
        # five spokes are left besides the deputy
        pytest.param("star", "a000", 2 * 5, 3 * 5, id="star: the hub"),
        pytest.param("star", "a003", 0, 0, id="star: a spoke"),
        # a001 takes over from a000, and a002 is asked, grants and is told
        pytest.param("hierarchical", "a000", 2, 3, id="hierarchy: the root"),
        # a005 takes over from a002, a006 is asked; a000 and a001, who may hold the root, are told
        pytest.param("hierarchical", "a002", 2 * 2, 3 + 2, id="hierarchy: a leader"),
        # a003 takes over from a001, which was the root's deputy: of the two above only a000 is there to be told
        pytest.param("hierarchical", "a001", 2 * 2, 3 + 1, id="hierarchy: a leader that is a deputy as well"),
        pytest.param("hierarchical", "a004", 0, 0, id="hierarchy: a worker"),
        pytest.param("ring", "a002", 1, 0, id="ring: the bypass"),
    ],
)
def test_messages_per_repair(kind, failed, from_outside, by_failover):
    graph = bare(layout(kind, 7))
    kind = TopologyKind(kind)
    assert messages_per_repair(kind, graph, failed=failed, recovery=Recovery.OUTSIDE) == from_outside
    found = messages_per_repair(kind, with_standby(kind, graph), failed=failed, recovery=Recovery.FAILOVER)
    assert found == by_failover


def test_repair_of_a_sparse_mesh_opens_a_logarithmic_number_of_edges():
    topology = layout("mesh", 100, symbols=1)
    graph = shape(topology)
    seat = topology.seats["a000"]
    owners = {*(slot.owner for slot in seat.slots["S0"]), *seat.spares["S0"]}
    plain = next(agent for agent in topology.agents if agent not in owners and not set(owners) & set(graph[agent]))
    found = messages_per_repair(TopologyKind.MESH, graph, failed=plain, recovery=Recovery.FAILOVER)
    assert found == 12  # each of its twelve neighbours lacks one: six links, a Join each way
