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
from topologies.seats import MeshSeat, MeshSlot

COMPLETE_AGENTS_MAX = 32
SPARES = 1


def mesh(request: LayoutRequest) -> Topology:
    """Lay out a mesh; every peer is an entry.

    A symbol's owners and its spare watch each other, and every peer its two neighbours on the circle: so a death is
    seen by all whom it concerns, and what is watched does not grow faster than the swarm.
    """
    able = capabilities(request.agents, request.strategies)
    claims = {symbol: owners(symbol, able, replicas=request.replicas, spares=SPARES) for symbol in request.symbols}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(request.agents, role=Role.PEER)
    groups = [[*chosen, *spares] for chosen, spares in claims.values()]
    working = {pair for chosen, _ in claims.values() for pair in permutations(chosen, 2)}
    for edge in _edges(request.agents, groups):
        graph.add_edge(*edge, is_standby=edge not in working)
    watched = _watched(request.agents, groups)
    slots = {symbol: tuple(MeshSlot(agent, able[agent]) for agent in chosen) for symbol, (chosen, _) in claims.items()}
    seats = {
        agent: MeshSeat(
            agent=agent,
            role=Role.PEER,
            strategies=able[agent],
            slots=slots,
            spares={symbol: spares for symbol, (_, spares) in claims.items()},
            quorum=request.quorum,
            deadline_s=request.deadline_s,
            charter=request.charter,
            watches=tuple(sorted(watched[agent])),
        )
        for agent in request.agents
    }
    entries = tuple((agent,) for agent in sorted(request.agents))
    return Topology(kind=TopologyKind.MESH, graph=graph, seats=seats, entries=entries, request=request)


def _edges(agents: tuple[str, ...], groups: list[list[str]]) -> Iterator[Edge]:
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
    for group in groups:
        yield from permutations(group, 2)


def _watched(agents: tuple[str, ...], groups: list[list[str]]) -> dict[str, set[str]]:
    watched: dict[str, set[str]] = {
        agent: {agents[index - 1], agents[(index + 1) % len(agents)]} for index, agent in enumerate(agents)
    }
    for group in groups:
        for agent, other in permutations(group, 2):
            watched[agent].add(other)
    return watched
