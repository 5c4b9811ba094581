"""The shape of a topology: which edges do the work, which stand by, who is whose parent.

`repair`, `invariants` and `analysis` see a topology as this graph alone. Its nodes have the attribute `role`, in a ring
also `stages`, in a hierarchy also `parent` (empty at the root). An edge with `is_standby` is open and carries no work
yet: whoever takes an office over can put it to work without opening anything. `shape` is the topology with failover, as
its layout has it; `working` of it is the topology without.
"""

import networkx as nx

from topologies.kinds import Role, TopologyKind
from topologies.layouts.mesh import COMPLETE_AGENTS_MAX
from topologies.layouts.topology import Topology

Shape = nx.DiGraph


def shape(topology: Topology) -> "Shape[str]":
    """Take the shape of a topology, with the edges that its layout lets stand by.

    In a mesh every edge works: its layout marks those that carry no ballots, but any two peers may come to share a
    symbol, and its rules (complete, or of a certain degree) are about all of them.
    """
    graph: Shape[str] = nx.DiGraph()
    for agent in topology.agents:
        graph.add_node(agent, **topology.graph.nodes[agent])
    for u, v in topology.edges:
        is_standby = topology.kind is not TopologyKind.MESH and topology.graph.edges[u, v]["is_standby"]
        graph.add_edge(u, v, is_standby=is_standby)
    if topology.kind is TopologyKind.HIERARCHICAL:
        root = topology.agents[0]
        for child, parent in [(root, ""), *nx.bfs_predecessors(working(graph), root)]:
            graph.nodes[child]["parent"] = parent
    return graph


def working(graph: "Shape[str]") -> "Shape[str]":
    """Return the same agents with the edges that work."""
    found: Shape[str] = nx.DiGraph()
    found.add_nodes_from(graph.nodes(data=True))
    found.add_edges_from((u, v, data) for u, v, data in graph.edges(data=True) if not data.get("is_standby"))
    return found


def children_of(kind: TopologyKind, graph: "Shape[str]") -> dict[str, tuple[str, ...]]:
    """Map every agent of a star or a hierarchy to those below it, in the order of the graph's nodes."""
    parents = parents_of(graph) if kind is TopologyKind.HIERARCHICAL else _hub_as_parent(graph)
    below: dict[str, list[str]] = {agent: [] for agent in graph}
    for agent, parent in parents.items():
        if parent:
            below[parent].append(agent)
    return {agent: tuple(found) for agent, found in below.items()}


def roles_of(graph: "Shape[str]") -> dict[str, Role]:
    """Map every agent to its role."""
    return {agent: graph.nodes[agent]["role"] for agent in graph}


def parents_of(graph: "Shape[str]") -> dict[str, str]:
    """Map every agent of a hierarchy to its parent, the root to an empty name."""
    return {agent: graph.nodes[agent]["parent"] for agent in graph}


def cycle_of(graph: "Shape[str]") -> tuple[str, ...]:
    """List the agents of a ring in the order of its working edges, from the first node on.

    Fewer than all agents come back when the working edges are not one cycle through them.
    """
    following = {u: v for u, v, data in graph.edges(data=True) if not data.get("is_standby")}
    found: list[str] = []
    agent = next(iter(graph), None)
    while agent is not None and agent not in found[:1] and len(found) < len(graph):
        found.append(agent)
        agent = following.get(agent)
    return tuple(found)


def degree_min(agents: int) -> int:
    """Say how many neighbours a peer of a mesh has at least: all, or those at distances 1, 2, 4, ... on a circle."""
    if agents <= COMPLETE_AGENTS_MAX:
        return agents - 1
    both_sides = 2 * (agents.bit_length() - 1)
    return both_sides - 1 if agents.bit_count() == 1 else both_sides  # half-way round is one peer, not two


def _hub_as_parent(graph: "Shape[str]") -> dict[str, str]:
    hub = next(agent for agent, role in roles_of(graph).items() if role is Role.HUB)
    return {agent: "" if agent == hub else hub for agent in graph}
