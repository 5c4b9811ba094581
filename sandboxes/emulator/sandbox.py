"""One sandbox: what it was made from, where its files lie, what runs in it, and who is connected to it."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from sandboxes.emulator.paths import SandboxPaths
from sandboxes.emulator.process_table import ProcessTable

ENVD_PORT = 49983


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What the creator asked for."""

    template: str
    timeout_s: float
    metadata: Mapping[str, str]
    environment: Mapping[str, str]
    allows_public_traffic: bool


@dataclass(slots=True, kw_only=True, eq=False)
class Sandbox:
    """A living sandbox."""

    id: str
    sequence: int
    """How many sandboxes this server made before it: the order of the list, and the cursor of its pages."""
    spec: SandboxSpec
    address: str
    """Its own loopback address, on which its programs listen."""
    paths: SandboxPaths
    processes: ProcessTable
    envd_token: str
    traffic_token: str | None
    started_at: datetime
    end_at: datetime
    gone: anyio.Event
    _connections: set[asyncio.Transport] = field(default_factory=set)

    @contextmanager
    def connected(self, transport: asyncio.Transport | None) -> Iterator[None]:
        """Count a client's connection as the sandbox's own while a request on it lasts."""
        if transport is None:
            yield
            return
        self._connections.add(transport)
        try:
            yield
        finally:
            self._connections.discard(transport)

    def abort_connections(self) -> None:
        """Cut all that is going on, without a word, as E2B's edge does when a sandbox dies."""
        for transport in list(self._connections):
            transport.abort()
