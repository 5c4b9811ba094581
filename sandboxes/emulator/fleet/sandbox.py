"""One sandbox: what it was made from, where its files lie, what runs in it, and who is connected to it."""

import asyncio
import enum
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import anyio

from sandboxes.emulator.envd.watchers import WatcherTable
from sandboxes.emulator.fleet.metrics import Meter
from sandboxes.emulator.fleet.network_settings import NetworkSettings
from sandboxes.emulator.fleet.paths import SandboxPaths
from sandboxes.emulator.fleet.sandbox_journal import SandboxJournal
from sandboxes.emulator.processes.process_table import ProcessTable
from sandboxes.emulator.templates.template_catalog import Template

ENVD_PORT = 49983


class SandboxState(enum.StrEnum):
    """Whether a living sandbox runs."""

    RUNNING = "running"
    PAUSED = "paused"


class PauseMode(enum.StrEnum):
    """What a pause keeps."""

    FULL = "full"
    """Files and processes, which stand still meanwhile."""
    FILESYSTEM = "filesystem"
    """Files only: the processes are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecyclePolicy:
    """What happens to a sandbox when its time is over, and afterwards."""

    pause_on_timeout: PauseMode | None = None
    """`None` kills it."""
    resumes_on_traffic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What the creator asked for."""

    template: Template
    timeout_s: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    lifecycle: LifecyclePolicy = LifecyclePolicy()
    network: NetworkSettings = field(default_factory=NetworkSettings)
    allows_internet: bool | None = None
    """`None` if nothing was said, which E2B treats as yes."""
    tree: Path | None = None
    """The files to begin with, which are copied; `None` for an empty home."""
    is_enclosed: bool = True
    """Whether its commands run in namespaces of their own, on a server that makes some."""


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
    journal: SandboxJournal
    envd_token: str
    traffic_token: str | None
    started_at: datetime
    """When it was made or last resumed."""
    end_at: datetime
    execution_id: str
    """Another one after each resume."""
    gone: anyio.Event
    pause_mode: PauseMode | None = None
    """How it is paused, `None` while it runs."""
    changing: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while it is being paused, resumed or copied."""
    watchers: WatcherTable = field(default_factory=WatcherTable)
    meter: Meter = field(default_factory=Meter)
    api_clock_offset: timedelta = timedelta()
    """How wrong the times are that the control plane tells (a fault on purpose)."""
    _connections: set[asyncio.Transport] = field(default_factory=set)

    @property
    def state(self) -> SandboxState:
        """Whether it runs."""
        return SandboxState.RUNNING if self.pause_mode is None else SandboxState.PAUSED

    @property
    def is_paused(self) -> bool:
        """Whether it stands still, so that nobody reaches it."""
        return self.pause_mode is not None

    @property
    def envd_clock_offset(self) -> timedelta:
        """How wrong the sandbox's own clock is told (a fault on purpose)."""
        return self.paths.clock_offset

    def skew(self, *, api: timedelta, envd: timedelta) -> None:
        """Let all times that are told of it be wrong from now on: by the control plane, and by its own clock."""
        self.api_clock_offset = self.journal.clock_offset = api
        self.paths = replace(self.paths, clock_offset=envd)

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
        """Cut all that is going on, without a word, as E2B's edge does when a sandbox dies or is paused."""
        for transport in list(self._connections):
            transport.abort()
