"""What holds for a topology of any size: its shape, and that every seat agrees with the graph."""

import math
from itertools import pairwise, permutations

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.distribution import tasks_of_round
from topologies.kinds import STAGE_ORDER, Role, Stage, TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.layouts.mesh import COMPLETE_AGENTS_MAX
from topologies.layouts.topology import ring_seats
from topologies.seats import MeshSeat, RingSeat, StarSeat, TreeSeat

SIZES = st.one_of(st.integers(2, 60), st.sampled_from([64, 97, 128, 199, 200]))


@st.composite
def requests(draw, sizes=SIZES):
    return LayoutRequest(
        agents=tuple(f"agent-{number:03}" for number in range(draw(sizes))),
        strategies=("momentum", "mean_reversion", "mine")[: draw(st.integers(1, 3))],
        symbols=tuple(f"S{number:02}" for number in range(draw(st.integers(1, 12)))),
    )


def both_ways(pairs):
    return {(u, v) for u, v in pairs} | {(v, u) for u, v in pairs}


def may_send_to(seat):
    """Name all to whom the rules may make this seat send."""
    match seat:
        case MeshSeat():
            return {other for group in seat.owners.values() if seat.agent in group for other in group} - {seat.agent}
        case TreeSeat():
            return {branch.agent for branch in seat.children} | ({seat.parent} - {""})
        case StarSeat():
            return {branch.agent for branch in seat.spokes} | ({seat.hub} - {""})
        case RingSeat():
            return {seat.following}


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TopologyKind), request=requests())
def test_nodes_are_the_agents_and_every_seat_agrees_with_the_graph(kind, request):
    topology = lay_out(kind, request)
    assert set(topology.graph) == set(topology.seats) == set(request.agents)
    assert nx.is_strongly_connected(topology.graph)
    assert not any(u == v for u, v in topology.edges)
    assert set(topology.entries) <= set(request.agents)
    for agent, seat in topology.seats.items():
        assert seat.agent == agent
        assert topology.graph.nodes[agent]["role"] == seat.role == topology.role(agent)
        assert may_send_to(seat) <= set(topology.graph.successors(agent))


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TopologyKind), request=requests(), round=st.integers(1, 10**6))
def test_every_strategy_of_every_symbol_is_a_task(kind, request, round):
    keys = lay_out(kind, request).task_keys(round)
    named = {key.partition("@")[0] for key in keys}
    assert named == {task.key for task in tasks_of_round(round, request.symbols, strategies=request.strategies)}
    assert kind is TopologyKind.MESH or keys == named


@settings(deadline=None, max_examples=30)
@given(request=requests(st.integers(2, COMPLETE_AGENTS_MAX)))
def test_mesh_is_complete_while_that_is_cheap(request):
    mesh = lay_out(TopologyKind.MESH, request)
    assert set(mesh.edges) == set(permutations(request.agents, 2))


@settings(deadline=None, max_examples=30)
@given(request=requests(st.integers(COMPLETE_AGENTS_MAX + 1, 200)))
def test_big_mesh_has_a_logarithmic_degree_and_joins_all_owners_of_a_symbol(request):
    mesh = lay_out(TopologyKind.MESH, request)
    owners = mesh.seats[request.agents[0]].owners
    ring_degree = 2 * math.floor(math.log2(len(request.agents)))
    assert set(mesh.edges) == both_ways(mesh.edges)
    for group in owners.values():
        assert set(permutations(group, 2)) <= set(mesh.edges)
    for agent in request.agents:
        assert mesh.graph.out_degree(agent) <= ring_degree + len(may_send_to(mesh.seats[agent]))
    assert nx.diameter(mesh.graph) <= math.ceil(math.log2(len(request.agents)))


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_symbols_of_a_mesh_have_owners_for_every_strategy(request):
    mesh = lay_out(TopologyKind.MESH, request)
    for group in mesh.seats[request.agents[0]].owners.values():
        assert len(group) == len(set(group)) == max(min(5, len(request.agents)), len(set(group)))
        assert {name for owner in group for name in mesh.seats[owner].strategies} == set(request.strategies)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_hierarchy_is_a_tree_two_levels_deep(request):
    tree = lay_out(TopologyKind.HIERARCHICAL, request)
    root, *others = request.agents
    seats = tree.seats
    parents = {(seats[agent].parent, agent) for agent in others}
    assert seats[root].parent == ""
    assert set(tree.edges) == both_ways(parents)
    assert len(tree.links) == len(request.agents) - 1
    assert nx.is_tree(tree.graph.to_undirected())
    assert parents == {(agent, branch.agent) for agent in request.agents for branch in seats[agent].children}
    depth = max(nx.single_source_shortest_path_length(tree.graph, root).values())
    assert depth == (2 if len(request.agents) >= 4 else 1)
    assert tree.entries == (root,)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_leaders_lead_and_workers_can_run_every_task_between_them(request):
    tree = lay_out(TopologyKind.HIERARCHICAL, request)
    workers = [seat for seat in tree.seats.values() if not seat.children]
    assert all(seat.role is (Role.LEADER if seat.children else Role.WORKER) for seat in tree.seats.values())
    assert all(bool(seat.strategies) == (seat.role is Role.WORKER) for seat in tree.seats.values())
    capacity = {name: sum(name in seat.strategies for seat in workers) for name in request.strategies}
    root = tree.seats[request.agents[0]]
    assert min(capacity.values()) >= 1
    assert capacity == {
        name: sum(branch.capacity.get(name, 0) for branch in root.children) for name in request.strategies
    }


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_ring_is_one_cycle_through_all_in_the_order_of_stages(request):
    ring = lay_out(TopologyKind.RING, request)
    seats = ring_seats(ring)
    cycle = [*(seat.agent for seat in seats), seats[0].agent]
    assert set(ring.edges) == set(pairwise(cycle))
    assert all(ring.graph.in_degree(agent) == ring.graph.out_degree(agent) == 1 for agent in request.agents)
    lanes = [[seat for seat in seats if seat.lane == lane] for lane in range(seats[-1].lane + 1)]
    assert len(lanes) == max(1, len(request.agents) // 4)
    for lane in lanes:
        stages = [stage for seat in lane for stage in seat.stages]
        assert stages == sorted(stages, key=STAGE_ORDER.index)
        assert [stages.count(stage) for stage in (Stage.DATA, Stage.RISK, Stage.EXECUTION)] == [1, 1, 1]
        assert Stage.SIGNAL in stages
    assert ring.entries == tuple(lane[0].agent for lane in lanes)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_ring_computes_each_strategy_of_each_symbol_once_in_the_lane_of_the_symbol(request):
    seats = ring_seats(lay_out(TopologyKind.RING, request))
    by_lane = {seat.lane: seat.symbols for seat in seats}
    assert sorted(symbol for symbols in by_lane.values() for symbol in symbols) == sorted(request.symbols)
    done = [task for seat in seats for task in seat.tasks]
    assert sorted(done) == sorted((strategy, symbol) for strategy in request.strategies for symbol in request.symbols)
    for seat in seats:
        assert not seat.tasks or Stage.SIGNAL in seat.stages
        assert all(strategy in seat.strategies and symbol in seat.symbols for strategy, symbol in seat.tasks)


@settings(deadline=None, max_examples=30)
@given(request=requests())
def test_star_has_spokes_that_reach_the_hub_only(request):
    star = lay_out(TopologyKind.STAR, request)
    hub, *spokes = request.agents
    assert set(star.edges) == both_ways({(hub, spoke) for spoke in spokes})
    assert {name for spoke in spokes for name in star.seats[spoke].strategies} == set(request.strategies)
    assert [branch.agent for branch in star.seats[hub].spokes] == spokes


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from(TopologyKind), request=requests(), rounds=st.integers(0, 1000))
def test_messages_are_expected_on_edges_only(kind, request, rounds):
    topology = lay_out(kind, request)
    expected = topology.messages_expected(rounds)
    assert set(expected) == set(topology.edges)
    assert set(expected.values()) <= {2, 2 + rounds}
