"""A mesh: equal peers, each with an edge to each other.

Beyond `COMPLETE_AGENTS_MAX` agents a complete graph costs more connections than a machine has to give, and messages
do not need it: only the owners of a symbol talk to each other. Then each peer has edges at distances 1, 2, 4, ...
around a circle (degree about 2 log2 n, any peer reached in about log2 n steps) besides those to its co-owners.
"""

from collections.abc import Iterator
from itertools import permutations

import networkx as nx

from topologies.kinds import Role, TopologyKind
from topologies.layouts.topology import Edge, LayoutRequest, Topology, capabilities
from topologies.ownership import owners
from topologies.seats import MeshSeat

COMPLETE_AGENTS_MAX = 32


def mesh(request: LayoutRequest) -> Topology:
    """Lay out a mesh; every peer is an entry."""
    able = capabilities(request.agents, request.strategies)
    owned = {symbol: owners(symbol, able, replicas=request.replicas) for symbol in request.symbols}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(request.agents, role=Role.PEER)
    graph.add_edges_from(_edges(request.agents, owned))
    seats = {
        agent: MeshSeat(
            agent=agent,
            role=Role.PEER,
            strategies=able[agent],
            owners=owned,
            quorum=request.quorum,
            deadline_s=request.deadline_s,
        )
        for agent in request.agents
    }
    return Topology(
        kind=TopologyKind.MESH,
        graph=graph,
        seats=seats,
        entries=tuple(sorted(request.agents)),
        request=request,
    )


def _edges(agents: tuple[str, ...], owned: dict[str, tuple[str, ...]]) -> Iterator[Edge]:
    count = len(agents)
    if count <= COMPLETE_AGENTS_MAX:
        yield from permutations(agents, 2)
        return
    for index, agent in enumerate(agents):
        distance = 1
        while distance <= count // 2:
            other = agents[(index + distance) % count]
            yield agent, other
            yield other, agent
            distance *= 2
    for group in owned.values():
        yield from permutations(group, 2)
