"""From agents to a topology: the directed graph, its roles and seats. Needs networkx; a worker never imports it."""

from typing import assert_never

from topologies.kinds import TopologyKind
from topologies.layouts.hierarchical import hierarchical
from topologies.layouts.mesh import mesh
from topologies.layouts.ring import ring
from topologies.layouts.star import star
from topologies.layouts.topology import Edge, LayoutRequest, Topology

__all__ = ["Edge", "LayoutRequest", "Topology", "lay_out"]

AGENTS_MIN = 2


def lay_out(kind: TopologyKind, request: LayoutRequest) -> Topology:
    """Lay out a topology. Raises ValueError for fewer than two agents, or no strategy or symbol."""
    if len(request.agents) < AGENTS_MIN:
        raise ValueError(f"a {kind} needs at least {AGENTS_MIN} agents, found {len(request.agents)}")
    if not request.strategies or not request.symbols:
        raise ValueError(f"a {kind} needs at least one strategy and one symbol")
    match kind:
        case TopologyKind.MESH:
            return mesh(request)
        case TopologyKind.HIERARCHICAL:
            return hierarchical(request)
        case TopologyKind.RING:
            return ring(request)
        case TopologyKind.STAR:
            return star(request)
        case _:
            assert_never(kind)
