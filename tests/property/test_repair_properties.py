"""What holds for every repair: all rules again, no fewer new edges possible, the same however it is done.

"No fewer" is checked against every sound shape that can be drawn over a few survivors.
"""

import random
from itertools import combinations, pairwise, permutations

import networkx as nx
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from in_memory_swarm import InMemorySwarm

from topologies.analysis import Recovery, messages_per_repair
from topologies.augmentation import fewest_links
from topologies.invariants import depths, invariants
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.repair import rejoin, repair
from topologies.shape import children_of, cycle_of, shape, working

KINDS = st.sampled_from(TopologyKind)
SIZES = st.one_of(st.integers(2, 14), st.integers(33, 48))
TREE_KINDS = (TopologyKind.STAR, TopologyKind.HIERARCHICAL)


def layout(kind, agents, *, fan_out=None):
    names = tuple(f"agent-{number:03}" for number in range(agents))
    request = LayoutRequest(agents=names, strategies=("m", "r"), symbols=("X", "Y", "Z"), fan_out=fan_out)
    return lay_out(kind, request)


def laid_out(kind, agents, *, fan_out=None, has_standby=False):
    graph = shape(layout(kind, agents, fan_out=fan_out))
    return graph if has_standby else working(graph)


@st.composite
def cases(draw):
    """A kind, a sound shape, and some of its agents, but not all."""
    kind = draw(KINDS)
    graph = laid_out(kind, draw(SIZES), fan_out=draw(st.sampled_from([None, 2, 3])), has_standby=draw(st.booleans()))
    failures = draw(st.sets(st.sampled_from(sorted(graph)), max_size=min(len(graph) - 1, 12)))
    return kind, graph, failures


def sound_edges(kind, agents):
    """Yield the working edges of every sound shape over a few agents."""
    if kind is TopologyKind.MESH:
        yield set(permutations(agents, 2))
    elif kind is TopologyKind.STAR:
        for hub in agents:
            yield both_ways((hub, spoke) for spoke in agents if spoke != hub)
    elif kind is TopologyKind.HIERARCHICAL:
        for links in combinations(combinations(agents, 2), len(agents) - 1):
            if nx.is_tree(drawn(agents, links)):
                yield both_ways(links)
    else:
        first, *others = agents
        for order in permutations(others):
            yield set(pairwise((first, *order, first))) if others else set()


def both_ways(links):
    return {edge for u, v in links for edge in ((u, v), (v, u))}


def drawn(agents, links):
    graph = nx.Graph()
    graph.add_nodes_from(agents)
    graph.add_edges_from(links)
    return graph


@settings(deadline=None, max_examples=80)
@given(case=cases())
def test_repair_satisfies_every_rule_and_doing_it_again_changes_nothing(case):
    kind, graph, failures = case
    found = repair(kind, graph, failures=failures)
    assert invariants(kind, found.graph) == ()
    assert set(found.graph) == set(graph) - failures
    assert repair(kind, found.graph, failures=failures).changes == ()


@settings(deadline=None, max_examples=60)
@given(case=cases())
def test_changes_are_the_difference_between_before_and_after(case):
    kind, graph, failures = case
    before = graph.copy()
    found = repair(kind, graph, failures=failures)
    assert nx.utils.graphs_equal(graph, before)
    assert set(found.added) == set(found.graph.edges) - set(graph.edges)
    assert set(found.removed) == set(graph.edges) - set(found.graph.edges)
    assert set(found.put_to_work) == (set(working(found.graph).edges) - set(working(graph).edges)) & set(graph.edges)


@settings(deadline=None, max_examples=60)
@given(case=cases(), data=st.data())
def test_repair_step_by_step_is_as_sound_as_at_once(case, data):
    kind, graph, failures = case
    at_once = repair(kind, graph, failures=failures).graph
    for agent in data.draw(st.permutations(sorted(failures))):
        graph = repair(kind, graph, failures={agent}).graph
        assert invariants(kind, graph) == ()
    assert set(graph) == set(at_once)
    if kind is TopologyKind.RING:
        assert cycle_of(graph) == cycle_of(at_once)
        assert dict(graph.nodes(data="stages")) == dict(at_once.nodes(data="stages"))


@settings(deadline=None, max_examples=80)
@given(kind=KINDS, agents=st.integers(2, 8), fan_out=st.sampled_from([None, 2, 3]), data=st.data())
def test_no_sound_shape_needs_fewer_new_edges(kind, agents, fan_out, data):
    graph = laid_out(kind, agents, fan_out=fan_out)
    names = sorted(graph)
    survivors = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=min(5, agents)))
    fewest = min(len(edges - set(graph.edges)) for edges in sound_edges(kind, sorted(survivors)))
    assert len(repair(kind, graph, failures=set(names) - survivors).added) == fewest


@settings(deadline=None, max_examples=60)
@given(kind=KINDS, agents=st.integers(2, 40), fan_out=st.sampled_from([None, 2, 3]), data=st.data())
def test_standby_edges_never_make_a_repair_dearer_and_one_failure_free(kind, agents, fan_out, data):
    bare = laid_out(kind, agents, fan_out=fan_out)
    reserve = laid_out(kind, agents, fan_out=fan_out, has_standby=True)
    failures = data.draw(st.sets(st.sampled_from(sorted(bare)), max_size=min(agents - 1, 4)))
    dearer = len(repair(kind, bare, failures=failures).added)
    assert len(repair(kind, reserve, failures=failures).added) <= dearer
    if len(failures) == 1 and kind is not TopologyKind.MESH:
        assert repair(kind, reserve, failures=failures).added == ()


@settings(deadline=None, max_examples=60)
@given(agents=st.integers(2, 30), fan_out=st.sampled_from([None, 2, 3]), has_standby=st.booleans(), data=st.data())
def test_nobody_ends_deeper_in_a_hierarchy(agents, fan_out, has_standby, data):
    kind = TopologyKind.HIERARCHICAL
    home = graph = laid_out(kind, agents, fan_out=fan_out, has_standby=has_standby)
    failures = data.draw(st.sets(st.sampled_from(sorted(graph)), max_size=agents - 1))
    before, graph = depths(graph), repair(kind, graph, failures=failures).graph
    assert all(depth <= before[agent] for agent, depth in depths(graph).items())
    for agent in data.draw(st.permutations(sorted(failures))):
        graph = rejoin(kind, graph, agent=agent, home=home).graph
    assert all(depth <= max(1, before[agent]) for agent, depth in depths(graph).items())


@settings(deadline=None, max_examples=60)
@given(case=cases(), data=st.data())
def test_all_who_return_are_in_again_and_every_rule_holds_on_the_way(case, data):
    kind, home, failures = case
    graph = repair(kind, home, failures=failures).graph
    for agent in data.draw(st.permutations(sorted(failures))):
        size = len(graph)
        found = rejoin(kind, graph, agent=agent, home=home)
        graph = found.graph
        assert invariants(kind, graph) == ()
        if kind in TREE_KINDS:
            assert len(found.added) == 2
        elif kind is TopologyKind.RING:
            assert len(found.added) <= 2
        elif size < 32:
            assert len(found.added) == 2 * size
    assert set(graph) == set(home)
    if kind is TopologyKind.RING:
        assert set(working(graph).edges) == set(working(home).edges)
        assert dict(graph.nodes(data="stages")) == dict(home.nodes(data="stages"))


@settings(deadline=None, max_examples=60)
@given(kind=KINDS, agents=st.integers(2, 6), data=st.data())
def test_no_sound_shape_takes_an_agent_back_with_fewer_new_edges(kind, agents, data):
    home = laid_out(kind, agents)
    back = data.draw(st.sampled_from(sorted(home)))
    others = data.draw(st.sets(st.sampled_from(sorted(home)), max_size=min(2, agents - 1)))
    members = set(home) - others | {back}
    assume(len(members) >= 2)
    graph = repair(kind, home, failures=set(home) - members | {back}).graph
    fewest = min(len(edges - set(graph.edges)) for edges in sound_edges(kind, sorted(members)))
    assert len(rejoin(kind, graph, agent=back, home=home).added) == fewest


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TREE_KINDS), agents=st.integers(3, 40), fan_out=st.sampled_from([None, 2, 3]))
def test_every_office_has_a_deputy_with_links_to_its_whole_group(kind, agents, fan_out):
    graph = laid_out(kind, agents, fan_out=fan_out, has_standby=True)
    for holder, group in children_of(kind, graph).items():
        for member in group[1:]:
            assert graph.has_edge(group[0], member)
            assert graph.has_edge(member, group[0])
        assert all(graph.has_edge(holder, member) for member in group)


class FirstByName(random.Random):
    """Lets the first of all edges deliver: those of the coordinator, so that all see a death before anything else."""

    def choice(self, seq):
        return seq[0]


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from([kind for kind in TopologyKind if kind is not TopologyKind.MESH]),
    agents=st.integers(2, 40),
    fan_out=st.sampled_from([None, 2, 3]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_takeover_costs_the_messages_that_analysis_counts_and_in_no_order_more(kind, agents, fan_out, seed, data):
    topology = layout(kind, agents, fan_out=fan_out)
    failed = data.draw(st.sampled_from(topology.agents))
    expected = messages_per_repair(kind, shape(topology), failed=failed, recovery=Recovery.FAILOVER)

    def sent(rng):
        swarm = InMemorySwarm(topology, rng)
        swarm.kill(failed)
        swarm.run()
        return swarm.carried.total()

    assert sent(FirstByName(seed)) == expected
    assert sent(random.Random(seed)) <= expected


@settings(deadline=None, max_examples=200)
@given(size=st.integers(1, 5), degree=st.integers(0, 5), data=st.data())
def test_no_fewer_links_give_every_node_its_neighbours_and_connect_all(size, degree, data):
    nodes = "abcde"[:size]
    possible = list(combinations(nodes, 2))
    links = data.draw(st.sets(st.sampled_from(possible))) if possible else set()
    graph = drawn(nodes, links)

    def is_enough(more):
        whole = nx.Graph(graph)
        whole.add_edges_from(more)
        return nx.is_connected(whole) and min(found for _, found in whole.degree) >= min(degree, size - 1)

    free = [pair for pair in possible if not graph.has_edge(*pair)]
    fewest = next(count for count in range(len(free) + 1) if any(map(is_enough, combinations(free, count))))
    chosen = fewest_links(graph, degree)
    assert is_enough(chosen)
    assert len(chosen) == len(set(chosen)) == fewest
