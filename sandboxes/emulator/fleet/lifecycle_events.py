"""What happened to sandboxes, in the form of E2B's events: kept for a week, and handed to whoever listens.

Everything that changes a sandbox's life tells it here once; the sandbox's own journal and the webhooks get it from
here, so that the three never disagree.
"""

import enum
import secrets
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.fleet.sandbox_journal import LogLevel

KEPT = timedelta(days=7)
EVENTS_MAX = 10_000
"""About 10 MB; the oldest go first."""
TEAM_ID = "00000000-0000-4000-8000-000000000000"
"""This server has one team."""

EventData = Mapping[str, object]


class EventType(enum.StrEnum):
    """Everything that is told."""

    CREATED = "sandbox.lifecycle.created"
    UPDATED = "sandbox.lifecycle.updated"
    PAUSED = "sandbox.lifecycle.paused"
    RESUMED = "sandbox.lifecycle.resumed"
    CHECKPOINTED = "sandbox.lifecycle.checkpointed"
    """A snapshot was made, also the one that a fork begins from."""
    KILLED = "sandbox.lifecycle.killed"


class LifecycleEvent(Struct, rename="camel", frozen=True, kw_only=True):
    """One event as the API shows it and webhooks send it."""

    version: str = "v2"
    id: str
    type: EventType
    event_data: EventData
    sandbox_build_id: str
    sandbox_execution_id: str
    sandbox_id: str
    sandbox_team_id: str = TEAM_ID
    sandbox_template_id: str
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events are asked for."""

    sandbox_id: str | None
    types: frozenset[EventType]
    """Empty for all."""
    offset: int
    limit: int
    is_ascending: bool


class LifecycleEvents:
    """Remembers events and tells them."""

    def __init__(self) -> None:
        self._events: deque[LifecycleEvent] = deque(maxlen=EVENTS_MAX)
        self._listeners: list[Callable[[LifecycleEvent], None]] = []

    def listen(self, listener: Callable[[LifecycleEvent], None]) -> None:
        """Call a function, which must not wait, with every event from now on."""
        self._listeners.append(listener)

    def tell(self, kind: EventType, sandbox: Sandbox, **more: object) -> None:
        """Record what has just happened to a sandbox."""
        data: dict[str, object] = {"sandbox_metadata": dict(sandbox.spec.metadata), **more}
        if kind in (EventType.KILLED, EventType.PAUSED):
            data["execution"] = describe_execution(sandbox)
        event = LifecycleEvent(
            id=make_event_id(),
            type=kind,
            event_data=data,
            sandbox_build_id=sandbox.spec.template.id,
            sandbox_execution_id=sandbox.execution_id,
            sandbox_id=sandbox.id,
            sandbox_template_id=sandbox.spec.template.id,
            timestamp=read_clock() + sandbox.api_clock_offset,
        )
        self._events.append(event)
        action = kind.rpartition(".")[2]
        level = LogLevel.DEBUG if kind is EventType.UPDATED else LogLevel.INFO
        sandbox.journal.note(
            f"Sandbox {action}",
            {
                "logger": "orchestrator",
                "event_type": kind.value,
                **{name: str(value) for name, value in more.items()},
            },
            level=level,
        )
        for listener in self._listeners:
            listener(event)

    def select(self, query: EventQuery) -> list[LifecycleEvent]:
        """Return the events that a query asks for; those older than a week are forgotten."""
        oldest = read_clock() - KEPT
        while self._events and self._events[0].timestamp < oldest:
            self._events.popleft()
        found = [
            event
            for event in self._events
            if (query.sandbox_id is None or event.sandbox_id == query.sandbox_id)
            and (not query.types or event.type in query.types)
        ]
        if not query.is_ascending:
            found.reverse()
        return found[query.offset : query.offset + query.limit]


def describe_execution(sandbox: Sandbox) -> EventData:
    """Return how long a sandbox ran since its last start, and with what."""
    return {
        "started_at": sandbox.started_at.isoformat(),
        "vcpu_count": sandbox.spec.template.cpu_count,
        "memory_mb": sandbox.spec.template.memory_mb,
        "execution_time": int((read_clock() - sandbox.started_at).total_seconds() * 1000),
    }


def make_event_id() -> str:
    """Return a random UUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
