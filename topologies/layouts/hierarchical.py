"""A hierarchy: a balanced tree. Leaders share work out and gather results, the leaves do the work."""

import math

import networkx as nx

from topologies.kinds import Role, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities
from topologies.seats import Branch, TreeSeat


def hierarchical(request: LayoutRequest) -> Topology:
    """Lay out a tree over the agents in order, level by level; the root is the entry.

    The fan-out asked for, or the smallest that keeps the tree two levels deep; at least two.
    """
    agents = request.agents
    fan_out = request.fan_out or _two_level_fan_out(len(agents))
    children = {agent: agents[index * fan_out + 1 : (index + 1) * fan_out + 1] for index, agent in enumerate(agents)}
    parent = {child: agent for agent, below in children.items() for child in below}
    able = capabilities([agent for agent in agents if not children[agent]], request.strategies)
    capacity = {agent: _capacity(agent, children=children, able=able) for agent in agents}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for agent in agents:
        graph.add_node(agent, role=Role.LEADER if children[agent] else Role.WORKER)
    for child, above in parent.items():
        graph.add_edges_from([(above, child), (child, above)])
    height = {agent: _height(agent, children) for agent in agents}
    seats = {
        agent: TreeSeat(
            agent=agent,
            role=Role.LEADER if children[agent] else Role.WORKER,
            strategies=able.get(agent, ()),
            parent=parent.get(agent, ""),
            children=tuple(Branch(child, capacity[child]) for child in children[agent]),
            # a leader waits less long than its own leader, so that what it has still arrives in time
            deadline_s=request.deadline_s * max(height[agent], 1) / max(height[agents[0]], 1),
        )
        for agent in agents
    }
    return Topology(kind=TopologyKind.HIERARCHICAL, graph=graph, seats=seats, entries=(agents[0],), request=request)


def _two_level_fan_out(agents: int) -> int:
    """Find the smallest f >= 2 with 1 + f + f^2 >= agents."""
    return max(2, math.ceil((math.sqrt(4 * agents - 3) - 1) / 2))


def _capacity(agent: str, *, children: dict[str, tuple[str, ...]], able: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Count the workers at or below an agent that can run each strategy."""
    counts = dict.fromkeys(able.get(agent, ()), 1)
    for child in children[agent]:
        for strategy, number in _capacity(child, children=children, able=able).items():
            counts[strategy] = counts.get(strategy, 0) + number
    return counts


def _height(agent: str, children: dict[str, tuple[str, ...]]) -> int:
    return 1 + max((_height(child, children) for child in children[agent]), default=-1)
