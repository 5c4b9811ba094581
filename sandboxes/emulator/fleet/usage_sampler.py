"""What sandboxes use: processor, memory and disk, measured from outside in /proc and in their file trees.

A sandbox is measured at once when somebody asks for its metrics, and from then on every 5 s as at E2B, until nobody
has asked for 10 minutes; sandboxes that nobody asks about cost nothing. All that are watched are measured in one go
in a thread, because the search through /proc costs the same for one or all.

Memory is the proportional set size, so that pages shared with a warm process or among forks count once. Differences
from E2B: page cache belongs to the whole machine and is shown as 0; processor time of a process that ended between two
measurements, and that no process of the sandbox waited for, is missed.
"""

import os
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.file_tree import measure_tree
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.processes.process_tree import read_processes, select_tree

PERIOD_S = 5.0
SAMPLES_MAX = 720
"""For each sandbox: an hour."""
WATCHED = timedelta(minutes=10)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sandbox uses at one moment."""

    at: datetime
    cpu_s: float
    """Processor time of its living processes and of the children they waited for."""
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A measurement, and the share of the sandbox's processors used since the one before (0 to 100)."""

    usage: Usage
    cpu_used_pct: float


@dataclass(frozen=True, slots=True)
class Target:
    """What has to be known of a sandbox to measure it from a thread."""

    sandbox_id: str
    root: Path
    leaders: Collection[int]


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
        elapsed_s = max((usage.at - before_at).total_seconds(), 1 / TICKS_PER_S)
        used = 100 * (usage.cpu_s - before_s) / elapsed_s / cpu_count
        self.samples.append(Sample(usage, round(min(max(used, 0.0), 100.0), 2)))


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


def measure_all(targets: Iterable[Target]) -> dict[str, Usage]:
    """Measure sandboxes; blocking."""
    processes = list(read_processes())
    usages: dict[str, Usage] = {}
    for target in targets:
        pids = select_tree(processes, str(target.root).__eq__, leaders=target.leaders)
        usages[target.sandbox_id] = Usage(
            at=read_clock(),
            cpu_s=sum(read_cpu_s(pid) for pid in pids),
            memory_bytes=sum(read_memory_bytes(pid) for pid in pids),
            disk_bytes=measure_tree(target.root),
        )
    return usages


def read_cpu_s(pid: int) -> float:
    """Return the processor time of a process and of the children it waited for; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    # After the name in brackets: state is field 3, user and system time fields 14 and 15, the children's 16 and 17.
    return sum(map(int, status[status.rindex(b")") + 2 :].split()[11:15])) / TICKS_PER_S


def read_memory_bytes(pid: int) -> int:
    """Return a process's share of memory: proportional if the kernel says it, else resident; 0 if it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
