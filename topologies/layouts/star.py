"""A star: a hub that gives tasks to specialised spokes, by capability and load, and fuses their answers.

The first spoke is the hub's deputy: it has edges to all other spokes as well, which carry nothing as long as the hub
lives, and takes the hub's office over when it dies.
"""

import networkx as nx

from topologies.kinds import DistributionStrategy, Role, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities, connect
from topologies.seats import Branch, DelegationSeat, Office, Post

HUB_OFFICE = "hub"


def star(request: LayoutRequest) -> Topology:
    """Lay out a star; the first agent is the hub and the entry."""
    hub, *spokes = request.agents
    deputy = spokes[0]
    able = capabilities(spokes, request.strategies)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(hub, role=Role.HUB)
    graph.add_nodes_from(spokes, role=Role.SPOKE)
    connect(graph, hub, others=spokes)
    connect(graph, deputy, others=spokes[1:], is_standby=True)
    office = Office(HUB_OFFICE, (hub, deputy), request.agents)
    branches = (Branch(hub, {}), *(Branch(spoke, dict.fromkeys(able[spoke], 1)) for spoke in spokes))
    post = Post(office, branches, None, request.deadline_s)
    seats = {
        agent: DelegationSeat(
            agent=agent,
            role=Role.HUB if agent == hub else Role.SPOKE,
            strategies=able.get(agent, ()),
            member_of=office,
            posts=(post,) if agent in office.holders else (),
            distribution=request.distribution or DistributionStrategy.LEAST_LOADED,
            charter=request.charter,
            watches=tuple(sorted(graph.successors(agent))),
        )
        for agent in request.agents
    }
    return Topology(kind=TopologyKind.STAR, graph=graph, seats=seats, entries=((hub, deputy),), request=request)
