"""Repairs small enough to draw: who takes whose place, which edges that costs, and what breaks a rule."""

from collections import Counter

import networkx as nx
import pytest

from topologies.augmentation import fewest_links
from topologies.invariants import Invariant, invariants
from topologies.kinds import Role, Stage, TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.repair import ChangeKind, NotSound, Reason, rejoin, repair
from topologies.shape import cycle_of, degree_min, parents_of, roles_of, shape, with_standby, working

D, S, R, E = Stage.DATA, Stage.SIGNAL, Stage.RISK, Stage.EXECUTION


def laid_out(kind, agents, **more):
    """Lay out a shape without the edges that stand by."""
    names = tuple(f"a{number:02}" for number in range(agents))
    request = LayoutRequest(agents=names, strategies=("m",), symbols=("X", "Y"), **more)
    return working(shape(lay_out(TopologyKind(kind), request)))


def both_ways(*pairs):
    return {edge for u, v in pairs for edge in ((u, v), (v, u))}


def reasons(found):
    return Counter((change.kind, change.reason) for change in found.changes)


@pytest.mark.parametrize("kind", list(TopologyKind))
def test_repair_without_failures_changes_nothing(kind):
    graph = laid_out(kind, 9)
    found = repair(kind, graph, failures=())
    assert found.changes == ()
    assert nx.utils.graphs_equal(found.graph, graph)


@pytest.mark.parametrize("kind", list(TopologyKind))
def test_last_survivor_needs_no_edge(kind):
    found = repair(kind, laid_out(kind, 3), failures={"a00", "a01"}).graph
    assert (list(found), list(found.edges), invariants(kind, found)) == (["a02"], [], ())


@pytest.mark.parametrize("kind", list(TopologyKind))
def test_what_cannot_be_repaired_is_refused(kind):
    graph = laid_out(kind, 4)
    with pytest.raises(ValueError, match="all 4 agents failed"):
        repair(kind, graph, failures=graph)
    graph.remove_edge(*min(graph.edges))
    with pytest.raises(NotSound, match="was not sound"):
        repair(kind, graph, failures={"a03"})
    with pytest.raises(NotSound, match="was not sound"):
        rejoin(kind, graph, agent="a03", home=graph)


def test_star_without_standby_opens_a_link_from_the_new_hub_to_every_spoke():
    found = repair(TopologyKind.STAR, laid_out("star", 4), failures={"a00"})
    assert set(found.added) == both_ways(("a01", "a02"), ("a01", "a03"))
    assert roles_of(found.graph) == {"a01": Role.HUB, "a02": Role.SPOKE, "a03": Role.SPOKE}
    assert reasons(found) == {
        (ChangeKind.ADDED, Reason.NEW_HUB): 4,
        (ChangeKind.REMOVED, Reason.AGENT_FAILED): 6,
    }


def test_star_chooses_the_deputy_whose_links_are_open():
    graph = laid_out("star", 4)
    graph.add_edges_from(both_ways(("a03", "a01")), standby=True)
    found = repair(TopologyKind.STAR, graph, failures={"a00"})
    assert roles_of(found.graph)["a01"] is Role.HUB  # a01 and a03 need one more link each: the first name
    graph.add_edge("a03", "a02", standby=True)
    found = repair(TopologyKind.STAR, graph, failures={"a00"})
    assert roles_of(found.graph)["a03"] is Role.HUB
    assert found.added == (("a02", "a03"),)


def test_star_that_loses_a_spoke_opens_nothing():
    found = repair(TopologyKind.STAR, laid_out("star", 4), failures={"a02"})
    assert (found.added, set(found.removed)) == ((), both_ways(("a00", "a02")))


@pytest.mark.parametrize(
    ("failures", "parents"),
    [
        pytest.param({"a01"}, {"a00": "", "a02": "a00", "a03": "a00", "a04": "a03"}, id="a leader: its deputy"),
        pytest.param({"a00"}, {"a01": "", "a02": "a01", "a03": "a01", "a04": "a01"}, id="the root: its deputy"),
        pytest.param({"a04"}, {"a00": "", "a01": "a00", "a02": "a00", "a03": "a01"}, id="a worker: nobody"),
        pytest.param({"a00", "a01"}, {"a02": "", "a03": "a02", "a04": "a03"}, id="root and leader"),
        pytest.param({"a00", "a02"}, {"a01": "", "a03": "a01", "a04": "a01"}, id="root and worker"),
    ],
)
def test_hierarchy_is_one_tree_again(failures, parents):
    expected = {agent: parent for agent, parent in parents.items() if agent not in failures}
    found = repair(TopologyKind.HIERARCHICAL, laid_out("hierarchical", 5), failures=failures).graph
    assert parents_of(found) == expected
    assert {agent for agent, role in roles_of(found).items() if role is Role.LEADER} == set(expected.values()) - {""}


def test_leader_above_adopts_orphans_to_whom_it_has_links_already():
    graph = laid_out("hierarchical", 7)
    graph.add_edges_from(both_ways(("a00", "a03"), ("a00", "a04")), standby=True)
    found = repair(TopologyKind.HIERARCHICAL, graph, failures={"a01"})
    assert (parents_of(found.graph)["a03"], parents_of(found.graph)["a04"]) == ("a00", "a00")
    assert found.added == ()
    assert reasons(found)[ChangeKind.PUT_TO_WORK, Reason.ADOPTED] == 4


def test_leader_that_lost_all_below_it_is_a_worker():
    found = repair(TopologyKind.HIERARCHICAL, laid_out("hierarchical", 7), failures={"a03", "a04"}).graph
    assert roles_of(found) == {
        **dict.fromkeys(("a00", "a02"), Role.LEADER),
        **dict.fromkeys(("a01", "a05", "a06"), Role.WORKER),
    }


@pytest.mark.parametrize(
    ("failures", "stages"),
    [
        pytest.param({2}, [(D,), (S,), None, (R, E), (D,), (S,), (R,), (E,)], id="risk"),
        pytest.param({3}, [(D,), (S,), (R,), None, (E, D), (S,), (R,), (E,)], id="execution, by the next lane"),
        pytest.param({0}, [None, (D, S), (R,), (E,), (D,), (S,), (R,), (E,)], id="the first"),
        pytest.param({7}, [(E, D), (S,), (R,), (E,), (D,), (S,), (R,), None], id="the last"),
        pytest.param({0, 1, 2, 3}, [None, None, None, None, (D, S, R, E, D), (S,), (R,), (E,)], id="a whole lane"),
    ],
)
def test_next_in_the_ring_does_the_stages_of_the_failed(failures, stages):
    failed = {f"a{number:02}" for number in failures}
    graph = repair(TopologyKind.RING, laid_out("ring", 8), failures=failed).graph
    expected = {f"a{number:02}": done for number, done in enumerate(stages) if done is not None}
    assert {agent: graph.nodes[agent]["stages"] for agent in graph} == expected
    assert cycle_of(graph) == tuple(expected)


def test_signal_stages_in_a_row_become_one():
    graph = repair(TopologyKind.RING, laid_out("ring", 6), failures={"a01"}).graph
    assert graph.nodes["a02"]["stages"] == (S,)


def test_ring_opens_one_edge_past_neighbouring_failures():
    found = repair(TopologyKind.RING, laid_out("ring", 8), failures={"a02", "a03", "a04"})
    assert found.added == (("a01", "a05"),)
    assert reasons(found)[ChangeKind.ADDED, Reason.BYPASSED] == 1


def test_ring_with_standby_goes_past_one_failure_and_back_without_opening_anything():
    home = with_standby(TopologyKind.RING, laid_out("ring", 8))
    past = repair(TopologyKind.RING, home, failures={"a02"})
    assert (past.added, past.put_to_work) == ((), (("a01", "a03"),))
    back = rejoin(TopologyKind.RING, past.graph, agent="a02", home=home)
    assert back.added == (("a01", "a02"), ("a02", "a03"))
    assert [(change.kind, change.edge) for change in back.changes if change.kind is ChangeKind.RELIEVED] == [
        (ChangeKind.RELIEVED, ("a01", "a03"))
    ]


def test_hub_that_returns_is_a_spoke_of_its_deputy():
    home = laid_out("star", 4)
    found = rejoin(TopologyKind.STAR, repair(TopologyKind.STAR, home, failures={"a00"}).graph, agent="a00", home=home)
    assert (set(found.added), roles_of(found.graph)["a00"]) == (both_ways(("a00", "a01")), Role.SPOKE)


@pytest.mark.parametrize(
    ("failures", "back", "parent"),
    [
        pytest.param({"a04"}, "a04", "a01", id="a worker: under its old leader"),
        pytest.param({"a01"}, "a01", "a00", id="a leader: under the root"),
        pytest.param({"a00"}, "a00", "a01", id="the root: under its deputy"),
        pytest.param({"a03", "a04"}, "a04", "a00", id="old leader leads nobody now: under the root"),
    ],
)
def test_agent_returns_to_a_hierarchy_as_a_worker(failures, back, parent):
    home = laid_out("hierarchical", 7)
    found = rejoin(
        TopologyKind.HIERARCHICAL,
        repair(TopologyKind.HIERARCHICAL, home, failures=failures).graph,
        agent=back,
        home=home,
    )
    assert (parents_of(found.graph)[back], roles_of(found.graph)[back]) == (parent, Role.WORKER)


@pytest.mark.parametrize("kind", list(TopologyKind))
def test_agent_that_is_in_already_changes_nothing(kind):
    home = laid_out(kind, 6)
    assert rejoin(kind, home, agent="a03", home=home).changes == ()
    with pytest.raises(KeyError):
        rejoin(kind, home, agent="stranger", home=home)


@pytest.mark.parametrize(
    ("agents", "degree"),
    [
        pytest.param(32, 31, id="complete"),
        pytest.param(33, 10, id="distances 1 to 16, both ways"),
        pytest.param(63, 10, id="32 is more than half-way"),
        pytest.param(64, 11, id="half-way round is one peer"),
        pytest.param(65, 12, id="32 both ways"),
    ],
)
def test_neighbours_a_mesh_asks_for(agents, degree):
    assert degree_min(agents) == degree
    # one symbol's five owners may add up to four neighbours, but not to everybody
    assert min(found for _, found in laid_out("mesh", agents).out_degree) == degree


def broken(kind, spoil, agents=5):
    graph = laid_out(kind, agents)
    spoil(graph)
    return set(invariants(TopologyKind(kind), graph))


@pytest.mark.parametrize(
    ("kind", "spoil", "rules"),
    [
        pytest.param("mesh", nx.DiGraph.clear, {Invariant.SOME_AGENT}, id="nobody"),
        pytest.param(
            "mesh",
            lambda graph: graph.remove_edge("a00", "a01"),
            {Invariant.MESH_BOTH_WAYS, Invariant.MESH_COMPLETE},
            id="mesh: an edge is gone",
        ),
        pytest.param(
            "star",
            lambda graph: graph.remove_node("a00"),
            {Invariant.STAR_ROLES},
            id="star: no hub",
        ),
        pytest.param(
            "star", lambda graph: graph.add_edge("a01", "a02"), {Invariant.STAR_EDGES}, id="star: spokes that talk"
        ),
        pytest.param(
            "hierarchical",
            lambda graph: graph.nodes["a04"].update(parent="a02"),
            {Invariant.TREE_EDGES, Invariant.TREE_ROLES},
            id="hierarchy: parent without an edge",
        ),
        pytest.param(
            "hierarchical",
            lambda graph: graph.nodes["a00"].update(parent="a01"),
            {Invariant.TREE_ROOT, Invariant.TREE_PARENTS},
            id="hierarchy: a loop",
        ),
        pytest.param(
            "hierarchical",
            lambda graph: graph.nodes["a01"].update(parent=""),
            {Invariant.TREE_ROOT, Invariant.TREE_EDGES},
            id="hierarchy: two roots",
        ),
        pytest.param(
            "ring",
            lambda graph: graph.remove_edge("a01", "a02"),
            {Invariant.RING_CYCLE, Invariant.RING_LANES},
            id="ring: cut",
        ),
        pytest.param("ring", lambda graph: graph.add_edge("a01", "a03"), {Invariant.RING_CYCLE}, id="ring: a chord"),
        pytest.param(
            "ring",
            lambda graph: graph.nodes["a03"].update(stages=()),
            {Invariant.RING_LANES},
            id="ring: nobody minds the risk",
        ),
        pytest.param(
            "ring", lambda graph: graph.nodes["a03"].update(role=Role.HUB), {Invariant.RING_ROLES}, id="ring: a hub"
        ),
    ],
)
def test_broken_rule_is_named(kind, spoil, rules):
    assert broken(kind, spoil) == rules


def test_big_mesh_with_a_lonely_peer_breaks_two_rules():
    def cut_off(graph):
        graph.remove_edges_from(both_ways(*(("a07", other) for other in graph if other != "a07")))

    assert broken("mesh", cut_off, agents=40) == {Invariant.MESH_CONNECTED, Invariant.MESH_DEGREE}


@pytest.mark.parametrize(
    ("paths", "degree", "links"),
    [
        pytest.param(["abc", "def", "ghi"], 2, 3, id="ends of three paths: one circle"),
        pytest.param(["abca", "defd"], 2, 1, id="two circles: one link between them"),
        pytest.param(["a", "b", "c", "d"], 1, 3, id="four alone: a tree, not two pairs"),
        pytest.param(["abcdea"], 3, 3, id="a circle of five: two across, one served twice"),
    ],
)
def test_fewest_links(paths, degree, links):
    graph = nx.Graph()
    for path in paths:
        nx.add_path(graph, path)
    chosen = fewest_links(graph, degree)
    assert len(chosen) == links
    graph.add_edges_from(chosen)
    assert nx.is_connected(graph)
    assert min(found for _, found in graph.degree) == degree or degree == 1


@pytest.mark.parametrize("kind", list(TopologyKind))
def test_standby_edges_break_no_rule_and_make_losing_one_agent_free(kind):
    home = with_standby(kind, laid_out(kind, 12))
    assert invariants(kind, home) == ()
    for agent in home:
        assert repair(kind, home, failures={agent}).added == ()
