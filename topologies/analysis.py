"""What a topology's shape is worth: where it can be cut, how far its agents are apart, what a round and a repair cost.

Structure is read off a shape (`topologies.shape`): with the edges that stand by, or of its `working` edges alone.
Costs are formulas over the layout; `Topology.messages_expected` says the same edge by edge. How likely a topology is to
serve: `reliability`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import networkx as nx

from topologies.invariants import invariants
from topologies.kinds import TopologyKind
from topologies.layouts.topology import Topology, capabilities
from topologies.ownership import owners
from topologies.reliability import Estimate, estimate, reliability
from topologies.repair import repair
from topologies.shape import Shape, children_of

__all__ = ["Connectivity", "Estimate", "Recovery", "connectivity", "diameter", "estimate", "messages_per_decision"]
__all__ += ["messages_per_repair", "messages_per_round", "reliability", "single_points_of_failure"]

# a Join in each direction is all that a new edge costs; an edge that stands by has carried its Join already
JOINS_PER_EDGE = 1
# what a deputy and each other member of its group exchange (`topologies.offices`): Canvass, Grant, Claim
TAKEOVER_MESSAGES_PER_MEMBER = 3


class Recovery(StrEnum):
    """How a topology is made sound again: from outside by opening edges, or by its own deputies and bypasses."""

    OUTSIDE = "outside"
    FAILOVER = "failover"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectivity:
    """How many agents, and how many edges, must go until some agent no longer reaches another."""

    agents: int
    edges: int


def single_points_of_failure(graph: "Shape[str]") -> tuple[str, ...]:
    """Name every agent whose loss alone leaves some survivor out of another's reach along the edges.

    These are the strong articulation points; where edges go both ways, the articulation points. Seen from any agent
    r they are the dominators towards others and, with all edges turned round, from others (Italiano, Laura and
    Santaroni 2012), and r itself where the rest is not connected without it. The graph is strongly connected.
    """
    if len(graph) <= 2:
        return ()
    start = min(graph)
    turned = graph.reverse(copy=False)
    points = {*nx.immediate_dominators(graph, start).values(), *nx.immediate_dominators(turned, start).values()}
    points -= {start, None}
    if not nx.is_strongly_connected(graph.subgraph(set(graph) - {start})):
        points.add(start)
    return tuple(sorted(points))


def diameter(graph: "Shape[str]") -> int:
    """Count the edges on the way between the two agents that are farthest apart. The graph is strongly connected."""
    return int(nx.diameter(graph))


def connectivity(graph: "Shape[str]") -> Connectivity:
    """Count the agents and the edges that must go to cut the graph; in a complete one of n agents n - 1 of each.

    The graph is strongly connected. Both are at most the smallest degree; where that settles it (degree 1, or 2 and no
    single point of failure) nothing is computed, otherwise by maximum flows (Menger's theorem).
    """
    smallest = min(min(found for _, found in graph.out_degree), min(found for _, found in graph.in_degree))
    if smallest <= 1:
        return Connectivity(agents=smallest, edges=smallest)
    if graph.number_of_edges() == len(graph) * (len(graph) - 1):
        return Connectivity(agents=len(graph) - 1, edges=len(graph) - 1)
    if smallest == 2 and not single_points_of_failure(graph):
        return Connectivity(agents=2, edges=2)
    simpler = nx.Graph(graph) if _is_both_ways(graph) else graph
    return Connectivity(agents=int(nx.node_connectivity(simpler)), edges=int(nx.edge_connectivity(simpler)))


def messages_per_round(topology: Topology) -> int:
    """Count the messages that agents send each other in one round without failures.

    Star and hierarchy: 2 (n - 1), a Work down and a Result up every link. Ring: n, an Item or a LaneDone on every edge.
    Mesh: one Ballot for each ordered pair of co-owners; for s symbols of r owners at most s r (r - 1), however many
    agents there are, and fewer where two symbols share a pair.
    """
    agents = len(topology.agents)
    match topology.kind:
        case TopologyKind.STAR | TopologyKind.HIERARCHICAL:
            return 2 * (agents - 1)
        case TopologyKind.RING:
            return agents
        case TopologyKind.MESH:
            request = topology.request
            able = capabilities(request.agents, request.strategies)
            groups = [owners(symbol, able, replicas=request.replicas)[0] for symbol in request.symbols]
            return len({(u, v) for group in groups for u in group for v in group if u != v})
        case _:
            assert_never(topology.kind)


def messages_per_decision(topology: Topology) -> float:
    """Say how many messages one decision takes: those of a round, over its symbols."""
    return messages_per_round(topology) / len(topology.request.symbols)


def messages_per_repair(kind: TopologyKind, graph: "Shape[str]", *, failed: str, recovery: Recovery) -> int:
    """Count the messages that agents send each other until the topology is sound again after one failure.

    A Join for each edge that `repair` opens; `graph` has only working edges when recovery is from outside. With
    failover, where the failed held an office with a group of m other survivors besides its deputy, also 3 m for the
    takeover (Canvass, Grant, Claim), and a Claim to each survivor of the two who may hold the office above and to the
    deputy of each office below. That is without work under way, and when all see the failure before they are asked:
    a member that sees it after the majority has granted saves its Grant. With m = 0 the deputy is no majority and the
    office waits for the coordinator. A mesh and a ring need no vote: who is next follows from names. Heartbeats and
    what the coordinator sends are not counted.
    """
    found = repair(kind, graph, failures={failed})
    if broken := invariants(kind, found.graph):
        raise AssertionError(f"repair left a {kind} with broken rules: {broken}")
    joins = JOINS_PER_EDGE * len(found.added)
    if recovery is Recovery.OUTSIDE or kind in {TopologyKind.MESH, TopologyKind.RING}:
        return joins
    below = children_of(kind, graph)
    others = below[failed][1:]
    if not others:
        return joins
    holders_above = next(({leader, group[0]} for leader, group in below.items() if failed in group), set())
    claims_above = len(holders_above - {failed})
    claims_below = sum(1 for member in below[failed] if below[member])
    return joins + TAKEOVER_MESSAGES_PER_MEMBER * len(others) + claims_above + claims_below


def _is_both_ways(graph: "Shape[str]") -> bool:
    return all(graph.has_edge(v, u) for u, v in graph.edges)
