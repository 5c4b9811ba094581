"""A hierarchy: a balanced tree. Leaders share work out and gather results, the leaves do the work.

Every leader's first child is its deputy. Deputies have edges to the other children and to the two who may lead the
group above; these carry nothing until a leader dies.
"""

import math
from dataclasses import dataclass

import networkx as nx

from topologies.kinds import DistributionStrategy, Role, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities, connect
from topologies.seats import Branch, DelegationSeat, Office, Post


@dataclass(frozen=True, slots=True)
class _Tree:
    agents: tuple[str, ...]
    children: dict[str, tuple[str, ...]]
    parent: dict[str, str]

    def height(self, agent: str) -> int:
        return 1 + max((self.height(child) for child in self.children[agent]), default=-1)

    def office(self, leader: str) -> Office:
        """Make the office of a leader: the group it leads votes on it, its first child is the deputy."""
        group = self.children[leader]
        return Office(f"leader of {group[0]}..{group[-1]}", (leader, group[0]), (leader, *group))

    @property
    def leaders(self) -> list[str]:
        return [agent for agent in self.agents if self.children[agent]]


def hierarchical(request: LayoutRequest) -> Topology:
    """Lay out a tree over the agents in order, level by level; the root is the entry.

    The fan-out asked for, or the smallest that keeps the tree two levels deep; at least two.
    """
    agents = request.agents
    fan_out = request.fan_out or _two_level_fan_out(len(agents))
    children = {agent: agents[index * fan_out + 1 : (index + 1) * fan_out + 1] for index, agent in enumerate(agents)}
    tree = _Tree(agents, children, {child: agent for agent, below in children.items() for child in below})
    able = capabilities([agent for agent in agents if not children[agent]], request.strategies)
    graph = _graph(tree)
    posts = {leader: _post(leader, tree, able=able, deadline_s=request.deadline_s) for leader in tree.leaders}
    seats = {
        agent: DelegationSeat(
            agent=agent,
            role=Role.LEADER if children[agent] else Role.WORKER,
            strategies=able.get(agent, ()),
            member_of=tree.office(tree.parent.get(agent, agent)),
            posts=tuple(post for post in posts.values() if agent in post.office.holders),
            distribution=request.distribution or DistributionStrategy.ROUND_ROBIN,
            charter=request.charter,
            watches=tuple(sorted(graph.successors(agent))),
        )
        for agent in agents
    }
    return Topology(
        kind=TopologyKind.HIERARCHICAL,
        graph=graph,
        seats=seats,
        entries=(tree.office(agents[0]).holders,),
        request=request,
    )


def _graph(tree: _Tree) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    for agent in tree.agents:
        graph.add_node(agent, role=Role.LEADER if tree.children[agent] else Role.WORKER)
    for leader in tree.leaders:
        connect(graph, leader, others=tree.children[leader])
    for leader in tree.leaders:
        deputy, *others = tree.children[leader]
        connect(graph, deputy, others=others, is_standby=True)
        if leader in tree.parent:
            above = tree.office(tree.parent[leader]).holders
            connect(graph, deputy, others=above, is_standby=True)
            connect(graph, leader, others=above, is_standby=True)
    return graph


def _post(leader: str, tree: _Tree, *, able: dict[str, tuple[str, ...]], deadline_s: float) -> Post:
    branches = [
        Branch(child, _capacity(child, tree, able=able), tree.office(child) if tree.children[child] else None)
        for child in tree.children[leader]
    ]
    above = tree.office(tree.parent[leader]) if leader in tree.parent else None
    # a leader waits less long than its own leader, so that what it has still arrives in time
    share = tree.height(leader) / tree.height(tree.agents[0])
    return Post(tree.office(leader), (Branch(leader, {}), *branches), above, deadline_s * share)


def _two_level_fan_out(agents: int) -> int:
    """Find the smallest f >= 2 with 1 + f + f^2 >= agents."""
    return max(2, math.ceil((math.sqrt(4 * agents - 3) - 1) / 2))


def _capacity(agent: str, tree: _Tree, *, able: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Count the workers at or below an agent that can run each strategy."""
    counts = dict.fromkeys(able.get(agent, ()), 1)
    for child in tree.children[agent]:
        for strategy, number in _capacity(child, tree, able=able).items():
            counts[strategy] = counts.get(strategy, 0) + number
    return counts
