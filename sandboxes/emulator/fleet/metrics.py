"""What a sandbox's daemon tells of its use: the totals are this machine's, which at E2B is the sandbox's own."""

import os
from collections.abc import Collection
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.usage import Target, measure_all, share_of_processors


class Metrics(msgspec.Struct, kw_only=True):
    """envd's `/metrics`; sizes in bytes."""

    ts: int
    cpu_count: int
    cpu_used_pct: float
    """Of all processors together, since the last measurement."""
    mem_total: int
    mem_used: int
    mem_cache: int
    """Pages of files that the processes have mapped."""
    disk_used: int
    disk_total: int


class Meter:
    """Measures one sandbox, and remembers the processor time of the last measurement."""

    def __init__(self) -> None:
        self._cpu_s = 0.0
        self._measured_at = read_clock()

    async def measure(self, root: Path, leaders: Collection[int]) -> Metrics:
        """Return a sandbox's use, by its root directory and the leaders of its commands."""
        [usage] = (await anyio.to_thread.run_sync(measure_all, [Target("", root, leaders)])).values()
        cpu_count = os.cpu_count() or 1
        used = share_of_processors(usage, before_at=self._measured_at, before_s=self._cpu_s, cpu_count=cpu_count)
        self._cpu_s, self._measured_at = usage.cpu_s, usage.at
        disk = os.statvfs(root)
        return Metrics(
            ts=int(usage.at.timestamp()),
            cpu_count=cpu_count,
            cpu_used_pct=used,
            mem_total=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            mem_used=usage.memory_bytes,
            mem_cache=usage.cache_bytes,
            disk_used=usage.disk_bytes,
            disk_total=disk.f_blocks * disk.f_frsize,
        )
