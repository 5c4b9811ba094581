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
from topologies.seats import DelegationSeat, MeshSeat, RingSeat
from topologies.stages import stages_for

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


def working(topology):
    """List the edges that carry something in every round."""
    return {edge for edge in topology.edges if not topology.graph.edges[edge]["is_standby"]}


def groups_of(seat):
    """List for each symbol the owners of its voices and their spares."""
    return [{*(slot.owner for slot in voices), *seat.spares[symbol]} for symbol, voices in seat.slots.items()]


def may_send_to(seat):
    """Name all to whom the rules may make this seat send, whoever dies."""
    match seat:
        case MeshSeat():
            others = {other for group in groups_of(seat) if seat.agent in group for other in group}
        case DelegationSeat():
            led = {agent for post in seat.posts for branch in post.branches for agent in speakers(branch)}
            above = {agent for post in seat.posts if post.above is not None for agent in post.above.holders}
            others = {*seat.member_of.holders, *above, *led}
        case RingSeat():
            others = set(seat.following)
    return others - {seat.agent}


def speakers(branch):
    """Name all who may come to speak for a branch."""
    return {branch.agent, *(branch.office.holders if branch.office is not None else ())}


def own_posts(tree):
    """Return the post of each leader, by leader."""
    return {name: post for name, seat in tree.seats.items() for post in seat.posts if post.office.holders[0] == name}


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TopologyKind), request=requests())
def test_nodes_are_the_agents_and_every_seat_agrees_with_the_graph(kind, request):
    topology = lay_out(kind, request)
    assert set(topology.graph) == set(topology.seats) == set(request.agents)
    assert nx.is_strongly_connected(topology.graph)
    assert not any(u == v for u, v in topology.edges)
    assert {agent for entry in topology.entries for agent in entry} <= set(request.agents)
    for agent, seat in topology.seats.items():
        assert seat.agent == agent
        assert topology.graph.nodes[agent]["role"] == seat.role == topology.role(agent)
        assert may_send_to(seat) <= set(topology.graph.successors(agent))


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TopologyKind), request=requests())
def test_neighbours_watch_each_other_where_one_may_have_to_stand_in(kind, request):
    topology = lay_out(kind, request)
    for agent, seat in topology.seats.items():
        assert set(seat.watches) <= set(topology.neighbours(agent))
        assert all(agent in topology.seats[other].watches for other in seat.watches)
        assert may_send_to(seat) <= set(seat.watches)
        assert seat.watches


@settings(deadline=None, max_examples=60)
@given(kind=st.sampled_from(TopologyKind), request=requests(), round=st.integers(1, 10**6))
def test_every_strategy_of_every_symbol_is_a_task(kind, request, round):
    keys = lay_out(kind, request).task_keys(round)
    named = {key.partition("#")[0] for key in keys}
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
    ring_degree = 2 * math.floor(math.log2(len(request.agents)))
    assert set(mesh.edges) == both_ways(mesh.edges)
    for group in groups_of(mesh.seats[request.agents[0]]):
        assert set(permutations(group, 2)) <= set(mesh.edges)
    for agent in request.agents:
        assert mesh.graph.out_degree(agent) <= ring_degree + len(may_send_to(mesh.seats[agent]))
    assert nx.diameter(mesh.graph) <= math.ceil(math.log2(len(request.agents)))


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_symbols_of_a_mesh_have_voices_for_every_strategy_and_a_spare_if_there_is_one(request):
    seat = lay_out(TopologyKind.MESH, request).seats[request.agents[0]]
    for symbol, slots in seat.slots.items():
        owners = {slot.owner for slot in slots}
        assert len(slots) == len(owners) == max(min(5, len(request.agents)), len(owners))
        assert {name for slot in slots for name in slot.strategies} == set(request.strategies)
        assert len(seat.spares[symbol]) == min(1, len(request.agents) - len(owners))
        assert owners.isdisjoint(seat.spares[symbol])


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_hierarchy_is_a_tree_two_levels_deep(request):
    tree = lay_out(TopologyKind.HIERARCHICAL, request)
    root, *others = request.agents
    parents = {(tree.seats[agent].member_of.holders[0], agent) for agent in others}
    assert working(tree) == both_ways(parents)
    shape = tree.graph.edge_subgraph(working(tree))
    assert nx.is_tree(shape.to_undirected())
    posts = own_posts(tree)
    assert parents == {(leader, branch.agent) for leader, post in posts.items() for branch in post.branches[1:]}
    depth = max(nx.single_source_shortest_path_length(shape, root).values())
    assert depth == (2 if len(request.agents) >= 4 else 1)
    assert tree.entries == (posts[root].office.holders,)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_every_office_of_a_hierarchy_has_a_deputy_that_reaches_all_its_leader_reaches(request):
    tree = lay_out(TopologyKind.HIERARCHICAL, request)
    for leader, post in own_posts(tree).items():
        holder, deputy = post.office.holders
        assert holder == leader
        assert post in tree.seats[deputy].posts
        assert set(post.office.voters) == {branch.agent for branch in post.branches}
        concerned = {*post.office.voters, *(post.above.holders if post.above is not None else ())}
        assert all(concerned - {one} <= set(tree.seats[one].watches) for one in post.office.holders)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_leaders_lead_and_workers_can_run_every_task_between_them(request):
    tree = lay_out(TopologyKind.HIERARCHICAL, request)
    posts = own_posts(tree)
    assert all(seat.role is (Role.LEADER if name in posts else Role.WORKER) for name, seat in tree.seats.items())
    assert all(bool(seat.strategies) == (seat.role is Role.WORKER) for seat in tree.seats.values())
    workers = [seat for seat in tree.seats.values() if seat.role is Role.WORKER]
    capacity = {name: sum(name in seat.strategies for seat in workers) for name in request.strategies}
    branches = posts[request.agents[0]].branches
    assert min(capacity.values()) >= 1
    assert capacity == {name: sum(branch.capacity.get(name, 0) for branch in branches) for name in request.strategies}


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_ring_is_one_cycle_through_all_in_the_order_of_stages(request):
    ring = lay_out(TopologyKind.RING, request)
    agents, lanes = request.agents, ring.seats[request.agents[0]].lanes
    cycle = list(pairwise([*agents, agents[0]]))
    assert working(ring) == set(cycle)
    assert [(agent, ring.seats[agent].following[0]) for agent in agents] == cycle
    assert tuple(agent for lane in lanes for agent in lane.agents) == agents
    assert len(lanes) == max(1, len(agents) // 4)
    for number, lane in enumerate(lanes):
        assert {ring.seats[agent].lane for agent in lane.agents} == {number}
        stages = [stage for place in range(len(lane.agents)) for stage in stages_for(place, len(lane.agents))]
        assert stages == sorted(stages, key=STAGE_ORDER.index)
        assert [stages.count(stage) for stage in (Stage.DATA, Stage.RISK, Stage.EXECUTION)] == [1, 1, 1]
        assert Stage.SIGNAL in stages
    assert ring.entries == tuple(lane.agents for lane in lanes)


@settings(deadline=None, max_examples=60)
@given(request=requests(), data=st.data())
def test_ring_stays_closed_without_any_one_agent(request, data):
    ring = lay_out(TopologyKind.RING, request)
    gone = data.draw(st.sampled_from(request.agents))
    left = [agent for agent in request.agents if agent != gone]
    assert all(ring.graph.has_edge(u, v) for u, v in pairwise([*left, left[0]]) if u != v)


@settings(deadline=None, max_examples=60)
@given(request=requests())
def test_ring_computes_each_strategy_of_each_symbol_once_in_the_lane_of_the_symbol(request):
    ring = lay_out(TopologyKind.RING, request)
    lanes = ring.seats[request.agents[0]].lanes
    assert sorted(symbol for lane in lanes for symbol in lane.symbols) == sorted(request.symbols)
    done = [task for lane in lanes for tasks in lane.tasks for task in tasks]
    assert sorted(done) == sorted((strategy, symbol) for strategy in request.strategies for symbol in request.symbols)
    for lane in lanes:
        for place, (agent, tasks) in enumerate(zip(lane.agents, lane.tasks, strict=True)):
            assert not tasks or Stage.SIGNAL in stages_for(place, len(lane.agents))
            assert all(name in ring.seats[agent].strategies and symbol in lane.symbols for name, symbol in tasks)


@settings(deadline=None, max_examples=30)
@given(request=requests())
def test_star_has_a_hub_for_all_spokes_and_a_deputy_that_reaches_them_too(request):
    star = lay_out(TopologyKind.STAR, request)
    hub, deputy, *others = request.agents
    assert working(star) == both_ways({(hub, spoke) for spoke in (deputy, *others)})
    assert set(star.edges) - working(star) == both_ways({(deputy, spoke) for spoke in others})
    assert {name for spoke in request.agents[1:] for name in star.seats[spoke].strategies} == set(request.strategies)
    assert [branch.agent for branch in star.seats[hub].posts[0].branches] == list(request.agents)


@settings(deadline=None, max_examples=30)
@given(kind=st.sampled_from(TopologyKind), request=requests(), rounds=st.integers(0, 1000))
def test_standby_edges_are_expected_to_carry_join_and_leave_only(kind, request, rounds):
    topology = lay_out(kind, request)
    always = working(topology)
    assert topology.messages_expected(rounds) == {edge: 2 + rounds * (edge in always) for edge in topology.edges}
