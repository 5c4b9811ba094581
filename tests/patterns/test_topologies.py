"""What holds for every topology in every mode: nothing lost, nothing twice, nothing off an edge, nothing left."""

from collections import Counter

import networkx as nx
import pytest

TOPOLOGIES = [
    pytest.param("mesh", id="Mesh"),
    pytest.param("hierarchical", id="Hierarchical"),
    pytest.param("ring", id="Ring"),
    pytest.param("star", id="Star"),
]
pytestmark = pytest.mark.parametrize("topology", TOPOLOGIES)


def test_every_round_completes_and_every_task_has_one_effect(swarm, topology):
    summary = swarm(topology).summary
    assert (summary.success_rate, summary.rounds, summary.decisions) == (1.0, 20, 20 * 4)
    assert summary.tasks.assigned == summary.tasks.completed > 0
    assert (summary.tasks.lost, summary.tasks.duplicated, summary.tasks.failed) == (0, 0, 0)


def test_no_sandbox_is_left(swarm, topology):
    boxes = swarm(topology).summary.sandboxes
    assert (boxes.created, boxes.killed, boxes.left) == (5, 5, 0)


def test_edges_carry_exactly_what_the_graph_says(swarm, topology):
    run = swarm(topology)
    assert run.messages == run.plan.topology.messages_expected(rounds=20)
    assert set(run.messages) == set(run.plan.topology.graph.edges)
    assert min(run.messages.values()) > 0


def test_receivers_heard_every_message_that_was_sent(swarm, topology):
    assert [(edge.messages, edge.source) for edge in swarm(topology).summary.edges] == [
        (edge.heard, edge.source) for edge in swarm(topology).summary.edges
    ]


def test_every_edge_was_timed(swarm, topology):
    assert all(edge.rtt_ms_p50 is not None and edge.rtt_ms_p50 > 0 for edge in swarm(topology).summary.edges)


def test_agents_own_account_of_their_tasks_agrees_with_the_decisions(swarm, topology):
    agents = swarm(topology).summary.per_agent
    assert {agent.name: agent.tasks for agent in agents} == {agent.name: agent.tasks_run for agent in agents}
    assert sum(agent.tasks for agent in agents) == swarm(topology).summary.tasks.completed


def test_agents_leave_in_order_and_their_profits_add_up(swarm, topology):
    summary = swarm(topology).summary
    assert Counter(agent.state for agent in summary.per_agent) == {"OFFLINE": 5}
    assert sum(agent.pnl for agent in summary.per_agent) == pytest.approx(summary.pnl, abs=0.05)


def test_latency_has_a_sample_for_each_decision(swarm, topology):
    latency = swarm(topology).summary.latency_ms
    assert 0 < latency.p50 <= latency.p95 <= latency.p99 <= latency.max


def test_decisions_are_those_of_mock_mode(swarm, mock_swarm, topology):
    in_mock = mock_swarm(topology, strategy=("momentum", "mean_reversion"))
    assert swarm(topology).summary.decisions_hash == in_mock.summary.decisions_hash


def test_one_strategy_earns_the_same_in_every_topology(swarm, topology):
    run = swarm(topology, strategy=("momentum",))
    assert run.summary.pnl == swarm("mesh", strategy=("momentum",)).summary.pnl
    assert run.summary.trades == swarm("mesh", strategy=("momentum",)).summary.trades > 0


def test_roles_and_shape_are_those_of_the_topology(swarm, topology):
    """The shape is that of the edges that carried work; what stands by for a death carried Join and Leave only."""
    run = swarm(topology)
    roles = Counter(row.role for row in run.summary.per_agent)
    graph = nx.DiGraph([edge for edge, messages in run.messages.items() if messages > 2])
    undirected = nx.Graph(graph)
    assert set(graph) == set(run.plan.topology.agents)
    match topology:
        case "mesh":
            assert roles == {"peer": 5}
            assert undirected.number_of_edges() == 5 * 4 / 2
        case "hierarchical":
            assert roles == {"leader": 2, "worker": 3}
            assert nx.is_tree(undirected)
            assert max(nx.shortest_path_length(undirected, "agent-001").values()) == 2
        case "ring":
            assert roles == {"stage": 5}
            assert sorted(map(len, nx.simple_cycles(graph))) == [5]
        case "star":
            assert roles == {"hub": 1, "spoke": 4}
            assert sorted(dict(undirected.degree).values()) == [1, 1, 1, 1, 4]


def test_every_agent_has_a_neighbour_to_do_its_work_when_it_dies(swarm, topology):
    graph = nx.Graph(swarm(topology).plan.topology.graph)
    assert all(nx.is_connected(graph.subgraph(set(graph) - {agent})) for agent in graph)
