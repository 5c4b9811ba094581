"""A star: a hub that gives tasks to specialised spokes, by capability and load, and fuses their answers."""

import networkx as nx

from topologies.kinds import Role, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities
from topologies.seats import Branch, StarSeat


def star(request: LayoutRequest) -> Topology:
    """Lay out a star; the first agent is the hub and the entry."""
    hub, *spokes = request.agents
    able = capabilities(spokes, request.strategies)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(hub, role=Role.HUB)
    for spoke in spokes:
        graph.add_node(spoke, role=Role.SPOKE)
        graph.add_edges_from([(hub, spoke), (spoke, hub)])
    branches = tuple(Branch(spoke, dict.fromkeys(able[spoke], 1)) for spoke in spokes)
    seats = {hub: StarSeat(hub, Role.HUB, (), "", branches, request.deadline_s)}
    for spoke in spokes:
        seats[spoke] = StarSeat(spoke, Role.SPOKE, able[spoke], hub, (), request.deadline_s)
    return Topology(kind=TopologyKind.STAR, graph=graph, seats=seats, entries=(hub,), request=request)
