"""Where an agent sits: all it needs to know of the topology to play its part in a round, as a value for the wire."""

import msgspec

from topologies.kinds import Role, Stage


class Branch(msgspec.Struct, frozen=True, array_like=True):
    """A neighbour to which work can be given, and how many workers behind it can run each strategy."""

    agent: str
    capacity: dict[str, int]


class MeshSeat(msgspec.Struct, frozen=True, tag="mesh"):
    """A peer. `owners` holds for each symbol the agents that vote on it; the first reports the decision."""

    agent: str
    role: Role
    strategies: tuple[str, ...]
    owners: dict[str, tuple[str, ...]]
    quorum: float
    deadline_s: float


class TreeSeat(msgspec.Struct, frozen=True, tag="hierarchical"):
    """A leader (has children) or a worker (has none). `parent` is empty at the root."""

    agent: str
    role: Role
    strategies: tuple[str, ...]
    parent: str
    children: tuple[Branch, ...]
    deadline_s: float


class RingSeat(msgspec.Struct, frozen=True, tag="ring"):
    """One or more consecutive stages of one lane. `tasks` are (strategy, symbol) pairs computed here each round."""

    agent: str
    role: Role
    strategies: tuple[str, ...]
    lane: int
    stages: tuple[Stage, ...]
    following: str
    tasks: tuple[tuple[str, str], ...]
    symbols: tuple[str, ...]
    in_flight_max: int


class StarSeat(msgspec.Struct, frozen=True, tag="star"):
    """The hub (has spokes) or a spoke (`hub` names its hub)."""

    agent: str
    role: Role
    strategies: tuple[str, ...]
    hub: str
    spokes: tuple[Branch, ...]
    deadline_s: float


Seat = MeshSeat | TreeSeat | RingSeat | StarSeat
