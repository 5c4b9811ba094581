"""The shapes themselves, on sizes small enough to draw; what holds for all sizes stands in tests/property."""

import pytest

from topologies.kinds import Role, Stage, TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.layouts.topology import capabilities
from topologies.seats import Office
from topologies.stages import stages_for

D, S, R, E = Stage.DATA, Stage.SIGNAL, Stage.RISK, Stage.EXECUTION


def request_for(agents, *, strategies=("m",), symbols=("X", "Y"), **more):
    names = tuple(f"a{number}" for number in range(agents))
    return LayoutRequest(agents=names, strategies=strategies, symbols=symbols, **more)


def layout(kind, agents, **more):
    return lay_out(TopologyKind(kind), request_for(agents, **more))


@pytest.mark.parametrize("kind", list(TopologyKind))
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        pytest.param(request_for(1), "at least 2 agents, found 1", id="one agent"),
        pytest.param(request_for(0), "at least 2 agents, found 0", id="no agents"),
        pytest.param(request_for(2, strategies=()), "at least one strategy", id="no strategy"),
        pytest.param(request_for(2, symbols=()), "and one symbol", id="no symbol"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(kind, request_, reason):
    with pytest.raises(ValueError, match=reason):
        lay_out(kind, request_)


def test_mesh_of_four_has_an_edge_from_each_to_each_other():
    mesh = layout("mesh", 4)
    assert len(mesh.edges) == 12
    assert len(mesh.links) == 6
    assert mesh.neighbours("a2") == ("a0", "a1", "a3")
    assert mesh.entries == (("a0",), ("a1",), ("a2",), ("a3",))


@pytest.mark.parametrize(
    ("agents", "edges"),
    [
        pytest.param(32, 32 * 31, id="the last complete one"),
        # distances 1, 2, 4, 8, 16 both ways; one symbol, whose five owners and spare may be neighbours already
        pytest.param(33, range(33 * 5 * 2, 33 * 5 * 2 + 31), id="the first sparse one"),
    ],
)
def test_mesh_is_complete_up_to_32(agents, edges):
    found = len(layout("mesh", agents, symbols=("X",)).edges)
    assert found == edges if isinstance(edges, int) else found in edges


def test_mesh_seats_know_the_same_voices_and_the_first_strategy_of_each():
    mesh = layout("mesh", 8, strategies=("m", "r"))
    slots, spares = mesh.seats["a0"].slots, mesh.seats["a0"].spares
    assert all((seat.slots, seat.spares) == (slots, spares) for seat in mesh.seats.values())
    assert {symbol: len({slot.owner for slot in voices}) for symbol, voices in slots.items()} == {"X": 5, "Y": 5}
    assert [mesh.seats[agent].strategies for agent in mesh.agents] == [("m",), ("r",)] * 4
    assert all(slot.strategies == mesh.seats[slot.owner].strategies for voices in slots.values() for slot in voices)


def test_spare_of_a_symbol_owns_none_of_its_voices():
    seat = layout("mesh", 8).seats["a0"]
    for symbol, (spare,) in seat.spares.items():
        assert spare not in {slot.owner for slot in seat.slots[symbol]}


def test_mesh_whose_agents_all_own_a_symbol_has_no_spare_for_it():
    assert layout("mesh", 5, symbols=("X",)).seats["a0"].spares == {"X": ()}


def test_owners_of_a_symbol_and_its_spare_watch_each_other_and_everybody_the_next_on_the_circle():
    mesh = layout("mesh", 40, symbols=("X",))
    seats = mesh.seats
    group = {*(slot.owner for slot in seats["a0"].slots["X"]), *seats["a0"].spares["X"]}
    assert all(group - {agent} <= set(seats[agent].watches) for agent in group)
    assert all(f"a{(number + 1) % 40}" in seats[f"a{number}"].watches for number in range(40))
    assert max(len(seat.watches) for seat in seats.values()) <= len(group) - 1 + 2


@pytest.mark.parametrize(
    ("agents", "children"),
    [
        pytest.param(2, {"a0": ["a1"]}, id="2"),
        pytest.param(3, {"a0": ["a1", "a2"]}, id="3"),
        pytest.param(4, {"a0": ["a1", "a2"], "a1": ["a3"]}, id="4"),
        pytest.param(7, {"a0": ["a1", "a2"], "a1": ["a3", "a4"], "a2": ["a5", "a6"]}, id="7, full"),
        pytest.param(8, {"a0": ["a1", "a2", "a3"], "a1": ["a4", "a5", "a6"], "a2": ["a7"]}, id="8"),
    ],
)
def test_hierarchy_is_filled_level_by_level(agents, children):
    tree = layout("hierarchical", agents)
    posts = [post for name, seat in tree.seats.items() for post in seat.posts if post.office.holders[0] == name]
    assert {post.office.holders[0]: [branch.agent for branch in post.branches[1:]] for post in posts} == children
    assert {name for name in tree.agents if tree.role(name) is Role.LEADER} == set(children)


def test_hierarchy_takes_the_fan_out_asked_for():
    tree = layout("hierarchical", 13, fan_out=12)
    (post,) = tree.seats["a0"].posts
    assert len(post.branches) == 13
    assert tree.seats["a12"].member_of == post.office


def test_leader_counts_the_workers_below_each_branch():
    (post,) = layout("hierarchical", 7, strategies=("m", "r")).seats["a0"].posts
    assert [branch.capacity for branch in post.branches] == [{}, {"m": 1, "r": 1}, {"m": 1, "r": 1}]


def test_leader_waits_less_long_than_its_own_leader():
    tree = layout("hierarchical", 7, deadline_s=2.0)
    (root,), (leader,) = tree.seats["a0"].posts, tree.seats["a2"].posts
    assert (root.deadline_s, leader.deadline_s) == (2.0, 1.0)


def test_first_child_stands_by_for_its_leader_with_the_same_post():
    tree = layout("hierarchical", 7)
    root = Office("leader of a1..a2", ("a0", "a1"), ("a0", "a1", "a2"))
    group = Office("leader of a3..a4", ("a1", "a3"), ("a1", "a3", "a4"))
    assert [post.office for post in tree.seats["a0"].posts] == [root]
    assert [post.office for post in tree.seats["a1"].posts] == [root, group]
    assert [post.office for post in tree.seats["a3"].posts] == [group]
    assert tree.seats["a1"].posts[0] == tree.seats["a0"].posts[0]
    assert (tree.seats["a3"].posts[0].above, tree.seats["a3"].member_of) == (root, group)
    assert tree.entries == (("a0", "a1"),)


def test_deputies_reach_their_group_and_both_holders_of_the_office_above():
    tree = layout("hierarchical", 7)
    working = {"a0 a1", "a0 a2", "a1 a3", "a1 a4", "a2 a5", "a2 a6"}
    standby = {"a1 a2", "a3 a4", "a5 a6", "a0 a3", "a0 a5", "a1 a5"}
    edges = {(u, v): tree.graph.edges[u, v]["is_standby"] for u, v in tree.edges if u < v}
    assert {f"{u} {v}" for (u, v), is_standby in edges.items() if not is_standby} == working
    assert {f"{u} {v}" for (u, v), is_standby in edges.items() if is_standby} == standby


@pytest.mark.parametrize(
    ("agents", "stages"),
    [
        pytest.param(1, [(D, S, R, E)], id="1"),
        pytest.param(2, [(D, S), (R, E)], id="2"),
        pytest.param(3, [(D,), (S,), (R, E)], id="3"),
        pytest.param(4, [(D,), (S,), (R,), (E,)], id="4"),
        pytest.param(6, [(D,), (S,), (S,), (S,), (R,), (E,)], id="6"),
    ],
)
def test_lane_shares_out_its_four_stages_in_order(agents, stages):
    assert [stages_for(position, agents) for position in range(agents)] == stages


def test_ring_of_nine_has_two_lanes_on_one_cycle():
    ring = layout("ring", 9, symbols=("X", "Y", "Z"))
    seats = [ring.seats[agent] for agent in ring.agents]
    assert [seat.lane for seat in seats] == [0] * 5 + [1] * 4
    assert [seat.following for seat in seats] == [(f"a{(n + 1) % 9}", f"a{(n + 2) % 9}") for n in range(9)]
    assert ring.entries == (("a0", "a1", "a2", "a3", "a4"), ("a5", "a6", "a7", "a8"))
    assert [lane.symbols for lane in seats[0].lanes] == [("X", "Z"), ("Y",)]
    assert all(seat.lanes == seats[0].lanes for seat in seats)


@pytest.mark.parametrize(
    ("agents", "following"),
    [
        pytest.param(2, [("a1",), ("a0",)], id="nobody after the next"),
        pytest.param(3, [("a1", "a2"), ("a2", "a0"), ("a0", "a1")], id="3"),
    ],
)
def test_small_ring_passes_by_one_at_most(agents, following):
    ring = layout("ring", agents)
    assert [ring.seats[agent].following for agent in ring.agents] == following


@pytest.mark.parametrize(
    ("strategies", "tasks"), [(("m",), [0, 2, 2, 2, 2, 0, 0]), (("m", "r"), [0, 4, 4, 4, 4, 0, 0])]
)
def test_signal_stages_of_a_lane_share_its_tasks_evenly(strategies, tasks):
    ring = layout("ring", 7, strategies=strategies, symbols=tuple("STUVWXYZ"))
    (lane,) = ring.seats["a0"].lanes
    assert [len(pairs) for pairs in lane.tasks] == tasks


def test_star_has_a_hub_that_runs_nothing_and_spokes_that_answer_to_its_office():
    star = layout("star", 4, strategies=("m", "r"))
    hub, deputy, *spokes = (star.seats[agent] for agent in star.agents)
    (post,) = hub.posts
    assert (hub.role, hub.strategies, post.office) == (Role.HUB, (), Office("hub", ("a0", "a1"), star.agents))
    assert [(branch.agent, branch.capacity) for branch in post.branches] == [
        ("a0", {}),
        ("a1", {"m": 1}),
        ("a2", {"r": 1}),
        ("a3", {"m": 1}),
    ]
    assert (deputy.posts, star.entries) == (hub.posts, (("a0", "a1"),))
    assert all((spoke.member_of, spoke.posts, spoke.role) == (post.office, (), Role.SPOKE) for spoke in spokes)
    assert [spoke.watches for spoke in spokes] == [("a0", "a1")] * 2


@pytest.mark.parametrize(
    ("agents", "strategies", "dealt"),
    [
        pytest.param("ab", "m", {"a": ("m",), "b": ("m",)}, id="one for all"),
        pytest.param("abc", "mr", {"a": ("m",), "b": ("r",), "c": ("m",)}, id="in turn"),
        pytest.param("ab", "mrs", {"a": ("m", "s"), "b": ("r",)}, id="more than agents"),
    ],
)
def test_every_strategy_is_dealt_to_someone(agents, strategies, dealt):
    assert capabilities(tuple(agents), tuple(strategies)) == dealt


@pytest.mark.parametrize("kind", ["hierarchical", "ring", "star"])
def test_task_is_named_by_round_symbol_and_strategy(kind):
    topology = layout(kind, 5, strategies=("m", "r"))
    assert topology.task_keys(7) == {"7/X/m", "7/X/r", "7/Y/m", "7/Y/r"}


def test_task_of_a_mesh_is_named_by_its_voice_as_well():
    mesh = layout("mesh", 2, strategies=("m", "r"), symbols=("X",))
    voices = mesh.seats["a0"].slots["X"]
    assert mesh.task_keys(7) == {f"7/X/{slot.strategies[0]}#{number}" for number, slot in enumerate(voices)}
    assert len(voices) == 2


def test_edges_carry_join_leave_and_one_message_a_round_but_standby_edges_only_the_first_two():
    expected = layout("star", 4).messages_expected(10)
    spokes, deputy = ("a1", "a2", "a3"), "a1"
    working = {edge for spoke in spokes for edge in [("a0", spoke), (spoke, "a0")]}
    standby = {edge for spoke in spokes[1:] for edge in [(deputy, spoke), (spoke, deputy)]}
    assert expected == dict.fromkeys(working, 12) | dict.fromkeys(standby, 2)


def test_mesh_edges_without_a_shared_symbol_carry_join_and_leave_only():
    mesh = layout("mesh", 9, symbols=("X",))
    owners = {slot.owner for slot in mesh.seats["a0"].slots["X"]}
    expected = mesh.messages_expected(10)
    assert {edge for edge, messages in expected.items() if messages == 12} == {
        (u, v) for u in owners for v in owners if u != v
    }
    assert sorted(set(expected.values())) == [2, 12]
