"""What the control plane tells of sandboxes' use: measurements over time, of those that somebody asks about.

A sandbox is measured at once when somebody asks for its metrics, and from then on every 5 s as at E2B, until nobody
has asked for 10 minutes; sandboxes that nobody asks about cost nothing. All that are watched are measured in one go
in a thread.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.fleet.usage import Target, Usage, measure_all, share_of_processors

PERIOD_S = 5.0
SAMPLES_MAX = 720
"""For each sandbox: an hour."""
WATCHED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Sample:
    """A measurement, and the share of the sandbox's processors used since the one before (0 to 100)."""

    usage: Usage
    cpu_used_pct: float


class SampleRing:
    """The last samples of one sandbox."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.asked_at = read_clock()

    @property
    def is_due(self) -> bool:
        """Whether the last sample is too old to answer with."""
        return not self.samples or read_clock() - self.samples[-1].usage.at >= timedelta(seconds=PERIOD_S)

    def add(self, usage: Usage, *, started_at: datetime, cpu_count: int) -> None:
        """Add a measurement. The first one is compared with the sandbox's start."""
        before_at, before_s = started_at, 0.0
        if self.samples:
            before_at, before_s = self.samples[-1].usage.at, self.samples[-1].usage.cpu_s
        used = share_of_processors(usage, before_at=before_at, before_s=before_s, cpu_count=cpu_count)
        self.samples.append(Sample(usage, used))


class MetricsSampler:
    """Measures the sandboxes that somebody asks about."""

    def __init__(self, registry: SandboxRegistry, *, tasks: TaskGroup) -> None:
        self._registry = registry
        self._tasks = tasks
        self._rings: dict[str, SampleRing] = {}
        self._is_running = False

    async def read(self, sandboxes: Iterable[Sandbox]) -> dict[str, list[Sample]]:
        """Return the samples of some sandboxes, the oldest first, and watch them from now on."""
        asked = list(sandboxes)
        for sandbox in asked:
            self._rings.setdefault(sandbox.id, SampleRing()).asked_at = read_clock()
        await self._measure([sandbox for sandbox in asked if self._rings[sandbox.id].is_due])
        if asked and not self._is_running:
            self._is_running = True
            self._tasks.start_soon(self._watch)
        return {sandbox.id: list(self._rings[sandbox.id].samples) for sandbox in asked if sandbox.id in self._rings}

    async def _watch(self) -> None:
        while self._rings:
            await anyio.sleep(PERIOD_S)
            watched = [sandbox for sandbox in self._registry.list_living() if sandbox.id in self._rings]
            oldest = read_clock() - WATCHED
            self._rings = {s.id: self._rings[s.id] for s in watched if self._rings[s.id].asked_at > oldest}
            await self._measure([sandbox for sandbox in watched if sandbox.id in self._rings])
        self._is_running = False

    async def _measure(self, sandboxes: Iterable[Sandbox]) -> None:
        running = {sandbox.id: sandbox for sandbox in sandboxes if not sandbox.is_paused}
        if not running:
            return
        targets = [Target(s.id, s.paths.root, frozenset(s.processes.leaders)) for s in running.values()]
        for sandbox_id, usage in (await anyio.to_thread.run_sync(measure_all, targets)).items():
            if sandbox_id in self._rings:
                sandbox = running[sandbox_id]
                self._rings[sandbox_id].add(
                    usage, started_at=sandbox.started_at, cpu_count=sandbox.spec.template.cpu_count
                )
