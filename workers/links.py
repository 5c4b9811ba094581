"""All links of one agent, and what they carried together."""

import random
from collections.abc import Callable, Container, Iterable, Mapping

import anyio
from anyio.abc import TaskGroup

from topologies.messages import Message
from workers.codec import EdgeCount, Neighbour
from workers.dialling import Dialler, LinkLost
from workers.impairment import Impairments
from workers.link import Link
from workers.network import Network, Pipe


class NoEdge(LookupError):
    """There is no edge on which a message could go."""


class Links:
    """The links of one agent, by neighbour."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = dict(sorted(links.items()))
        self._diallers = {name: Dialler(link) for name, link in self._links.items() if link.neighbour.dials}
        self._scopes: set[anyio.CancelScope] = set()
        self.impairments = Impairments()
        self.neighbours = frozenset(links)
        # All from whom an edge leads here.
        self.senders = frozenset(name for name, link in links.items() if link.neighbour.hears)

    def keep(
        self,
        tasks: TaskGroup,
        network: Network,
        *,
        headers: Mapping[str, str],
        seed: str,
        on_lost: Callable[[str], None],
    ) -> None:
        """Dial those neighbours that this end dials, in `tasks`, and again after a cut."""
        self.impairments.start(tasks, random.Random(f"{seed}/impairments"))

        async def keep_one(neighbour: str, dialler: Dialler) -> None:
            try:
                way = self.impairments.dialling(neighbour, network)
                await dialler.keep(way, headers=headers, rng=random.Random(f"{seed}/{neighbour}"))
            except LinkLost as error:
                on_lost(str(error))

        for neighbour, dialler in self._diallers.items():
            tasks.start_soon(keep_one, neighbour, dialler)

    async def accept(self, neighbour: str, pipe: Pipe) -> None:
        """Use a pipe that a neighbour has dialled."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await self._links[neighbour].attach(self.impairments.over(neighbour, pipe))
            finally:
                self._scopes.discard(scope)

    def abandon(self) -> None:
        """Give up all pipes that neighbours have dialled."""
        for scope in tuple(self._scopes):
            scope.cancel()

    def post(self, to: str, message: Message) -> None:
        """Queue a message on the edge to a neighbour. Raises NoEdge, LinkFull."""
        link = self._links.get(to)
        if link is None or not link.neighbour.sends:
            raise NoEdge(f"there is no edge to {to} for a {type(message).__name__}")
        link.post(message)

    def post_all(self, message: Message) -> None:
        """Queue a message on every edge from here."""
        for link in self._links.values():
            if link.neighbour.sends:
                link.post(message)

    def beat(self, watched: Iterable[str]) -> None:
        """Send a sign of life to those who watch this agent."""
        for name in watched:
            self._links[name].beat()

    def move(self, neighbour: Neighbour) -> None:
        """A neighbour has a new process, elsewhere."""
        self._links[neighbour.agent].neighbour = neighbour
        if neighbour.agent in self._diallers:
            self._diallers[neighbour.agent].hurry()

    def ping(self) -> None:
        for link in self._links.values():
            link.ping()

    def are_up(self, *, but: Container[str]) -> bool:
        """Whether every link is up, some left out."""
        return all(link.is_up for name, link in self._links.items() if name not in but)

    def are_finished(self, *, but: Container[str]) -> bool:
        """Whether on every link all has been said, heard and acknowledged, some left out."""
        return all(link.is_finished for name, link in self._links.items() if name not in but)

    @property
    def traffic(self) -> "Traffic":
        return Traffic(self._links)


class Traffic:
    """What links carried so far."""

    def __init__(self, links: Mapping[str, Link]) -> None:
        self.messages_in = sum(link.messages_in for link in links.values())
        self.messages_out = sum(link.messages_out for link in links.values())
        latest = [link.rtt_ms[-1] for link in links.values() if link.rtt_ms]
        self.rtt_ms = sum(latest) / len(latest) if latest else None
        self._links = links

    def edges(self) -> tuple[EdgeCount, ...]:
        """Count for every edge from here."""
        return tuple(
            EdgeCount(name, link.messages_out, link.bytes_out, tuple(link.rtt_ms))
            for name, link in self._links.items()
            if link.neighbour.sends
        )

    def heard(self) -> dict[str, int]:
        """Count the messages of every edge that leads here."""
        return {name: link.messages_in for name, link in self._links.items() if link.neighbour.hears}
