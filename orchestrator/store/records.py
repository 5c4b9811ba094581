"""What the state store remembers, as values. No database here: whoever decides on them imports nothing heavy.

Times are calendar time with a zone, handed in by the caller; the store reads no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workers.state import AgentState

Fact = str | int | float | bool | None
Facts = Mapping[str, Fact]
"""Particulars of an event or an intent: flat, and readable as JSON."""


class SwarmPhase(StrEnum):
    """How far a swarm is. Only a swarm that is STOPPED can be founded again."""

    LAUNCHING = "LAUNCHING"
    TRADING = "TRADING"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"


class SandboxState(StrEnum):
    """RUNNING as far as known; ENDED for certain, and for ever."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"


class Outcome(StrEnum):
    """How an intent ended. ABANDONED: nobody knows whether it took effect; it was made sure that nothing is left."""

    DONE = "DONE"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


class OrderState(StrEnum):
    """Where an order to a broker stands.

    INTENDED is written before the broker is called; after a crash it means the same as UNKNOWN: ask the broker by
    the order's key, never send blindly again.
    """

    INTENDED = "INTENDED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTLY_FILLED = "PARTLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


ORDER_STATES_FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmRecord:
    """A swarm. `run` counts how often one of this name was founded; keys of orders and intents should contain it."""

    name: str
    run: int
    phase: SwarmPhase
    spec: Mapping[str, object]
    founded_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to run a swarm. `token` is the fencing token: each new holder's is higher than all before."""

    swarm: str
    holder: str
    token: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """An agent as it should be: the generation wanted, and the sandbox that is it, "" while there is none.

    The generation never falls, not even from one run to the next: provider keys are made from it.
    """

    name: str
    generation: int
    state: AgentState
    sandbox: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRecord:
    """A sandbox that was made for the swarm. `lease_until`: when it ends by itself unless renewed."""

    id: str
    agent: str
    generation: int
    state: SandboxState
    started_at: datetime
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something with an effect outside that a coordinator set out to do. `token`: of the lease it was opened under."""

    key: str
    kind: str
    subject: str
    facts: Facts
    token: int
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOrder:
    """An order to a broker; `key` is the client order id, the same whenever it is sent."""

    key: str
    symbol: str
    state: OrderState
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One fact of a swarm's history. Sequence numbers begin at 1 and have no gaps; `token` says whose word it is."""

    sequence: int
    at: datetime
    event: str
    subject: str
    facts: Facts
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmState:
    """All that is known of a swarm at one moment, read in one transaction. Everything is in the order of its key.

    `lease` is None until somebody has taken it. `intents` are those that are open; `orders` those that are not final.
    """

    swarm: SwarmRecord
    lease: Lease | None
    agents: tuple[AgentRecord, ...]
    sandboxes: tuple[SandboxRecord, ...]
    intents: tuple[Intent, ...]
    orders: tuple[BrokerOrder, ...]
    events_last: int
