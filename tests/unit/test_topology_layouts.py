"""The shapes themselves, on sizes small enough to draw; what holds for all sizes stands in tests/property."""

import pytest

from topologies.kinds import Role, Stage, TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from topologies.layouts.topology import capabilities, ring_seats
from topologies.rounds.ring import stages_for

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
    assert mesh.entries == ("a0", "a1", "a2", "a3")


@pytest.mark.parametrize(
    ("agents", "edges"),
    [
        pytest.param(32, 32 * 31, id="the last complete one"),
        # distances 1, 2, 4, 8, 16 both ways; one symbol, whose five owners may be neighbours already
        pytest.param(33, range(33 * 5 * 2, 33 * 5 * 2 + 21), id="the first sparse one"),
    ],
)
def test_mesh_is_complete_up_to_32(agents, edges):
    found = len(layout("mesh", agents, symbols=("X",)).edges)
    assert found == edges if isinstance(edges, int) else found in edges


def test_mesh_seats_know_the_same_owners_and_the_first_strategy_of_each():
    mesh = layout("mesh", 8, strategies=("m", "r"))
    owners = mesh.seats["a0"].owners
    assert all(seat.owners == owners for seat in mesh.seats.values())
    assert {symbol: len(set(group)) for symbol, group in owners.items()} == {"X": 5, "Y": 5}
    assert [mesh.seats[agent].strategies for agent in mesh.agents] == [("m",), ("r",)] * 4


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
    found = {name: [branch.agent for branch in seat.children] for name, seat in tree.seats.items() if seat.children}
    assert found == children
    assert {name for name in tree.agents if tree.role(name) is Role.LEADER} == set(children)


def test_hierarchy_takes_the_fan_out_asked_for():
    tree = layout("hierarchical", 13, fan_out=12)
    assert len(tree.seats["a0"].children) == 12
    assert tree.seats["a12"].parent == "a0"


def test_leader_counts_the_workers_below_each_branch():
    root = layout("hierarchical", 7, strategies=("m", "r")).seats["a0"]
    assert [branch.capacity for branch in root.children] == [{"m": 1, "r": 1}, {"m": 1, "r": 1}]


def test_leader_waits_less_long_than_its_own_leader():
    tree = layout("hierarchical", 7, deadline_s=2.0)
    assert (tree.seats["a0"].deadline_s, tree.seats["a1"].deadline_s) == (2.0, 1.0)


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
    seats = ring_seats(ring)
    assert [seat.lane for seat in seats] == [0] * 5 + [1] * 4
    assert [seat.following for seat in seats] == [*ring.agents[1:], "a0"]
    assert ring.entries == ("a0", "a5")
    assert (seats[0].symbols, seats[5].symbols) == (("X", "Z"), ("Y",))


def test_signal_stages_of_a_lane_share_its_tasks_evenly():
    ring = layout("ring", 7, symbols=tuple("STUVWXYZ"))
    assert [len(seat.tasks) for seat in ring_seats(ring)] == [0, 2, 2, 2, 2, 0, 0]


def test_signal_stages_share_evenly_also_when_strategies_are_mixed():
    ring = layout("ring", 7, strategies=("m", "r"), symbols=tuple("STUVWXYZ"))
    assert [len(seat.tasks) for seat in ring_seats(ring)] == [0, 4, 4, 4, 4, 0, 0]


def test_star_has_a_hub_that_runs_nothing_and_spokes_that_know_only_it():
    star = layout("star", 4, strategies=("m", "r"))
    hub, *spokes = (star.seats[agent] for agent in star.agents)
    assert (hub.role, hub.strategies, hub.hub) == (Role.HUB, (), "")
    assert [(branch.agent, branch.capacity) for branch in hub.spokes] == [
        ("a1", {"m": 1}),
        ("a2", {"r": 1}),
        ("a3", {"m": 1}),
    ]
    assert all((spoke.hub, spoke.spokes, spoke.role) == ("a0", (), Role.SPOKE) for spoke in spokes)


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


def test_task_of_a_mesh_is_named_by_its_owner_as_well():
    mesh = layout("mesh", 2, strategies=("m", "r"), symbols=("X",))
    assert mesh.task_keys(7) == {"7/X/m@a0", "7/X/r@a1"}


def test_edges_carry_join_leave_and_one_message_a_round():
    assert set(layout("star", 4).messages_expected(10).values()) == {12}


def test_mesh_edges_without_a_shared_symbol_carry_join_and_leave_only():
    mesh = layout("mesh", 9, symbols=("X",))
    owners = set(mesh.seats["a0"].owners["X"])
    expected = mesh.messages_expected(10)
    assert {edge for edge, messages in expected.items() if messages == 12} == {
        (u, v) for u in owners for v in owners if u != v
    }
    assert sorted(set(expected.values())) == [2, 12]
