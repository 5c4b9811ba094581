"""Where an agent sits: all it needs to know of the topology to play its part in a round, as a value for the wire."""

import msgspec

from topologies.charter import Charter
from topologies.kinds import DistributionStrategy, Role


class Office(msgspec.Struct, frozen=True, array_like=True):
    """A role only one agent may play at a time: a star's hub, or the leader of one group of a hierarchy.

    `holders`: who may hold it, the first at the beginning, the second its deputy. `voters`: who must agree to a
    change, by majority. Tokens order the holders in time and are shared out between them - odd ones to the first, even
    ones to the second - so that no token ever has two holders (as ballot numbers in Paxos, Lamport 1998, 2.2).
    `token`: the highest known when this was written.
    """

    name: str
    holders: tuple[str, ...]
    voters: tuple[str, ...]
    token: int = 1

    @property
    def holder(self) -> str:
        return holder_of(self, self.token)


def holder_of(office: Office, token: int) -> str:
    """Name the only agent that can hold an office under a token."""
    return office.holders[(token - 1) % len(office.holders)]


def next_token(office: Office, agent: str, *, after: int) -> int:
    """Return the first token above `after` that belongs to one of the holders."""
    token = after + 1
    while holder_of(office, token) != agent:
        token += 1
    return token


class Branch(msgspec.Struct, frozen=True, array_like=True):
    """Someone to whom work can be given, and how many workers there can run each strategy.

    `office`: the one through which `agent` leads others; whoever holds it speaks for the branch. No capacity: it gets
    no work, it follows the log.
    """

    agent: str
    capacity: dict[str, int]
    office: Office | None = None


class Post(msgspec.Struct, frozen=True, array_like=True):
    """An office as one of its possible holders sees it.

    `branches`: all to whom its holder gives work, both holders included. `above`: the office it reports to; None at
    the top, which reports to the coordinator.
    """

    office: Office
    branches: tuple[Branch, ...]
    above: Office | None
    deadline_s: float


class MeshSlot(msgspec.Struct, frozen=True, array_like=True):
    """One voice in the decision on a symbol: who has it, and the strategies that speak."""

    owner: str
    strategies: tuple[str, ...]


class MeshSeat(msgspec.Struct, frozen=True, tag="mesh"):
    """A peer. `slots` holds for each symbol the voices invited to decide on it, the strongest claim first; `spares`
    who takes over the voice of a dead owner, in this order."""

    agent: str
    role: Role
    strategies: tuple[str, ...]
    slots: dict[str, tuple[MeshSlot, ...]]
    spares: dict[str, tuple[str, ...]]
    quorum: float
    deadline_s: float
    watches: tuple[str, ...]
    charter: Charter = Charter()


class Lane(msgspec.Struct, frozen=True, array_like=True):
    """One lane of a ring: its agents in order, its symbols, and the (strategy, symbol) pairs each agent computes."""

    agents: tuple[str, ...]
    symbols: tuple[str, ...]
    tasks: tuple[tuple[tuple[str, str], ...], ...]


class RingSeat(msgspec.Struct, frozen=True, tag="ring"):
    """One or more consecutive stages of one lane.

    `following`: the next agents of the ring, nearest first; the second takes the place of a dead first. Every agent
    knows all lanes: so each can do what a dead one before it would have done.
    """

    agent: str
    role: Role
    strategies: tuple[str, ...]
    lane: int
    following: tuple[str, ...]
    lanes: tuple[Lane, ...]
    in_flight_max: int
    watches: tuple[str, ...]
    charter: Charter = Charter()


class DelegationSeat(msgspec.Struct, frozen=True, tag="delegation"):
    """A place in a hierarchy or a star.

    `member_of`: the office whose holder gives this agent work. `posts`: the offices it holds or stands by for.
    `distribution`: how the holder of an office shares out tasks.
    """

    agent: str
    role: Role
    strategies: tuple[str, ...]
    member_of: Office
    posts: tuple[Post, ...]
    distribution: DistributionStrategy
    watches: tuple[str, ...]
    charter: Charter = Charter()


Seat = MeshSeat | RingSeat | DelegationSeat
