"""A topology as a value: the directed graph, every agent's seat, and what a round must produce."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from topologies.charter import Charter
from topologies.conclusion import CHARTER_DEFAULT
from topologies.consensus import REPLICAS, replicas_of
from topologies.distribution import tasks_of_round
from topologies.kinds import DistributionStrategy, Role, TopologyKind
from topologies.seats import DelegationSeat, MeshSeat, Post, Seat
from topologies.voices import slot_tasks

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutRequest:
    """What a layout is made from.

    `agents` in order (the first is the root, the hub or the first data stage); `strategies` to be run; `symbols`
    traded; `deadline_s` within which an agent decides with what it has. `replicas` and `quorum` concern the mesh,
    `fan_out` the hierarchy (None: chosen so that the tree is two levels deep), `distribution` the hierarchy and the
    star (None: round robin in the one, least loaded in the other), `charter` how votes become a decision.
    """

    agents: tuple[str, ...]
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    deadline_s: float = 2.0
    replicas: int = 5
    quorum: float = 0.66
    fan_out: int | None = None
    distribution: DistributionStrategy | None = None
    charter: Charter = CHARTER_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Agents, the edges along which they may send, and their seats.

    `graph`: nodes are agent names with attribute `role`; an edge u -> v means that u may send messages to v. Edges
    with `is_standby` carry no work until somebody dies. `entries`: where the coordinator sends each tick; each is a
    list of agents, of which the first is the entry and the others take its place in this order.
    """

    kind: TopologyKind
    graph: "nx.DiGraph[str]"
    seats: Mapping[str, Seat]
    entries: tuple[tuple[str, ...], ...]
    request: LayoutRequest

    @property
    def agents(self) -> tuple[str, ...]:
        return self.request.agents

    @property
    def edges(self) -> tuple[Edge, ...]:
        return tuple(sorted(self.graph.edges))

    @property
    def links(self) -> tuple[Edge, ...]:
        """Pairs of agents with a connection between them: one for an edge, or for two opposite edges."""
        return tuple(sorted({(min(u, v), max(u, v)) for u, v in self.graph.edges}))

    def role(self, agent: str) -> Role:
        return self.seats[agent].role

    def neighbours(self, agent: str) -> tuple[str, ...]:
        """Name all with whom an agent shares an edge in either direction."""
        return tuple(sorted(set(self.graph.successors(agent)) | set(self.graph.predecessors(agent))))

    def task_keys(self, round: int) -> frozenset[str]:
        """Name every task that a round must complete, once each."""
        symbols, strategies = self.request.symbols, self.request.strategies
        seat = next(iter(self.seats.values()))
        if not isinstance(seat, MeshSeat):
            tasks = tasks_of_round(round, symbols, strategies=strategies)
            if isinstance(seat, DelegationSeat) and seat.distribution is DistributionStrategy.CONSENSUS:
                top = next(post for seat in self.seats.values() for post in _posts(seat) if post.above is None)
                replicas = [replicas_of(task, top.branches, replicas=REPLICAS) for task in tasks]
                tasks = tuple(replica for group in replicas for replica in group)
            return frozenset(task.key for task in tasks)
        return frozenset(
            task.key
            for symbol, slots in seat.slots.items()
            for number, slot in enumerate(slots)
            for task in slot_tasks(round, symbol, slot=number, strategies=slot.strategies)
        )

    def messages_expected(self, rounds: int) -> dict[Edge, int]:
        """Count the messages each edge carries in a run of `rounds` rounds without failures.

        Every edge carries a Join and a Leave, and one message a round unless it is there for emergencies only.
        """
        return {edge: 2 + rounds * (not self.graph.edges[edge]["is_standby"]) for edge in self.edges}


def _posts(seat: Seat) -> tuple[Post, ...]:
    return seat.posts if isinstance(seat, DelegationSeat) else ()


def connect(graph: "nx.DiGraph[str]", agent: str, *, others: Sequence[str], is_standby: bool = False) -> None:
    """Add edges both ways between an agent and others, except where there are some already."""
    for other in others:
        for edge in ((agent, other), (other, agent)):
            if agent != other and not graph.has_edge(*edge):
                graph.add_edge(*edge, is_standby=is_standby)


def capabilities(agents: Sequence[str], strategies: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Deal strategies to those agents that compute: in turn, so that each strategy is run by someone.

    With fewer strategies than agents several run the same one; with more, an agent runs several.
    """
    if len(agents) >= len(strategies):
        return {agent: (strategies[index % len(strategies)],) for index, agent in enumerate(agents)}
    return {agent: tuple(strategies[index :: len(agents)]) for index, agent in enumerate(agents)}
