"""The fewest links that make a big mesh sound again: enough neighbours for every peer, and all of them connected.

The number for the neighbours is exact: links that serve two needy peers at once are a simple b-matching, b the number
of neighbours a peer lacks, and needs - (greatest matching) links are the fewest (T. Gallai's identity). A greedy choice
with exchanges nearly always finds the greatest; where it cannot be sure, Edmonds' algorithm decides (`_greatest`).
Connecting costs nothing where chosen links can be exchanged across components, otherwise one link for each component
(the tests compare the sum with every other choice on small graphs; beyond, it is an upper bound).
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, product

import networkx as nx

from topologies.layouts.topology import Edge


def fewest_links(graph: "nx.Graph[str]", degree: int) -> tuple[Edge, ...]:
    """Choose the links to add so that `graph` is connected and each node has `degree` neighbours, or all others."""
    target = min(degree, len(graph) - 1)
    lacking = {node: max(0, target - found) for node, found in sorted(graph.degree)}
    drawn = graph.copy()
    _match_greedily(drawn, dict(lacking))
    if sum(_still_lacking(drawn, target).values()) >= 2:
        drawn = graph.copy()
        drawn.add_edges_from(_greatest(graph, lacking))
    for node, missing in _still_lacking(drawn, target).items():
        for _ in range(missing):
            drawn.add_edge(node, _stranger(drawn, node))
    _connect(graph, drawn)
    return tuple(_chosen(graph, drawn))


def _chosen(graph: "nx.Graph[str]", drawn: "nx.Graph[str]") -> list[Edge]:
    return sorted((min(u, v), max(u, v)) for u, v in drawn.edges if not graph.has_edge(u, v))


def _still_lacking(drawn: "nx.Graph[str]", target: int) -> dict[str, int]:
    return {node: target - found for node, found in sorted(drawn.degree) if found < target}


def _match_greedily(drawn: "nx.Graph[str]", lacking: dict[str, int]) -> None:
    """Link needy nodes to each other, the neediest first; where two are left that may not be linked, exchange."""
    part = {node: index for index, nodes in enumerate(nx.connected_components(drawn)) for node in nodes}
    chosen: list[Edge] = []
    while sum(lacking.values()) >= 2:
        needy = [node for node, missing in lacking.items() if missing]
        node = max(needy, key=lambda name: lacking[name])
        strangers = [other for other in needy if other != node and not drawn.has_edge(node, other)]
        if strangers:
            other = max(strangers, key=lambda name: (part[name] != part[node], lacking[name]))
            chosen.append((node, other))
            drawn.add_edge(node, other)
        else:
            other = node if lacking[node] >= 2 else next(name for name in needy if name != node)
            if not _exchange(drawn, chosen, pair=(node, other)):
                return
        lacking[node] -= 1
        lacking[other] -= 1


def _exchange(drawn: "nx.Graph[str]", chosen: list[Edge], *, pair: Edge) -> bool:
    """Replace a chosen link x - y by u - x and v - y, which serves u and v as well; say whether one was found."""
    u, v = pair
    for index, (x, y) in enumerate(chosen):
        for first, second in ((x, y), (y, x)):
            links = {frozenset((u, first)), frozenset((v, second))}
            if len(links) == 2 and all(len(link) == 2 and not drawn.has_edge(*link) for link in links):
                drawn.remove_edge(x, y)
                drawn.add_edges_from([(u, first), (v, second)])
                chosen[index] = (u, first)
                chosen.append((v, second))
                return True
    return False


def _greatest(graph: "nx.Graph[str]", lacking: Mapping[str, int]) -> Iterator[Edge]:
    """Find a greatest simple b-matching by an ordinary matching: b copies of each node, two ends of each possible link.

    A possible link is taken when both its ends are matched to copies; otherwise its ends are matched to each other.
    """
    needy = [node for node, missing in lacking.items() if missing]
    possible = [pair for pair in combinations(needy, 2) if not graph.has_edge(*pair)]
    gadget: nx.Graph[tuple[str, ...]] = nx.Graph()
    for u, v in possible:
        gadget.add_edge((u, v, u), (u, v, v))
        for end in (u, v):
            gadget.add_edges_from(((u, v, end), (end, str(copy))) for copy in range(lacking[end]))
    partner = {a: b for x, y in nx.max_weight_matching(gadget, maxcardinality=True) for a, b in ((x, y), (y, x))}
    for u, v in possible:
        if all(len(partner.get((u, v, end), ())) == 2 for end in (u, v)):
            yield u, v


def _stranger(drawn: "nx.Graph[str]", node: str) -> str:
    """Choose a node that is no neighbour yet: of another component if there is one, with few neighbours."""
    home = nx.node_connected_component(drawn, node)
    others = [other for other in sorted(drawn) if other != node and not drawn.has_edge(node, other)]
    return min(others, key=lambda other: (other in home, drawn.degree(other)))


def _connect(graph: "nx.Graph[str]", drawn: "nx.Graph[str]") -> None:
    while len(components := [sorted(part) for part in nx.connected_components(drawn)]) > 1:
        first = min(components)
        if not _cross(graph, drawn):
            other = min(part for part in components if part is not first)
            drawn.add_edge(
                min(first, key=lambda node: (drawn.degree(node), node)),
                min(other, key=lambda node: (drawn.degree(node), node)),
            )


def _cross(graph: "nx.Graph[str]", drawn: "nx.Graph[str]") -> bool:
    """Replace chosen links u - v and x - y of two components by u - x and v - y; one of them must be no bridge."""
    bridges = {frozenset(link) for link in nx.bridges(drawn)}
    part = {node: index for index, nodes in enumerate(nx.connected_components(drawn)) for node in nodes}
    chosen = _chosen(graph, drawn)
    for (u, v), (x, y) in product(chosen, chosen):
        if part[u] != part[x] and frozenset((u, v)) not in bridges:
            drawn.remove_edges_from([(u, v), (x, y)])
            drawn.add_edges_from([(u, x), (v, y)])
            return True
    return False
