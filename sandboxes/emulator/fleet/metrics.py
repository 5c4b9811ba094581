"""What a sandbox uses of this machine, measured when somebody asks.

At E2B a sandbox is a machine of its own. Here the totals are this machine's and the use is the sandbox's: processor
time and memory of its processes, and the disk that its files take.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.processes.process_tree import read_processes, select_tree

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DISK_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own is."""


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


class Usage(msgspec.Struct, kw_only=True):
    """What some processes use."""

    ticks: int = 0
    private_bytes: int = 0
    file_bytes: int = 0


class Meter:
    """Measures one sandbox, and remembers the processor time of the last measurement."""

    def __init__(self) -> None:
        self._ticks = 0
        self._measured_at_s = asyncio.get_running_loop().time()

    async def measure(self, root: Path, leaders: Iterable[int]) -> Metrics:
        """Return a sandbox's use, by its root directory and the leaders of its commands."""
        usage = await anyio.to_thread.run_sync(measure_processes, root, frozenset(leaders))
        disk_used, disk_total = await anyio.to_thread.run_sync(measure_disk, root)
        return Metrics(
            ts=int(read_clock().timestamp()),
            cpu_count=os.cpu_count() or 1,
            cpu_used_pct=self._share(usage.ticks),
            mem_total=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            mem_used=usage.private_bytes,
            mem_cache=usage.file_bytes,
            disk_used=disk_used,
            disk_total=disk_total,
        )

    def _share(self, ticks: int) -> float:
        """Return the processors' use since the last call in percent.

        The sum falls when a command ends, and takes what it used since the last call with it.
        """
        now_s = asyncio.get_running_loop().time()
        used_s = max(0, ticks - self._ticks) / TICKS_PER_S
        available_s = (now_s - self._measured_at_s) * (os.cpu_count() or 1)
        self._ticks, self._measured_at_s = ticks, now_s
        return round(min(100.0, 100 * used_s / available_s), 2) if available_s > 0 else 0.0


def measure_processes(root: Path, leaders: frozenset[int]) -> Usage:
    """Add up what a sandbox's processes use; blocks for a walk through /proc."""
    total = Usage()
    for pid in select_tree(list(read_processes()), str(root).__eq__, leaders=leaders):
        try:
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
            memory = Path(f"/proc/{pid}/status").read_text(errors="replace")
        except OSError:
            continue
        # After the name in brackets the fields count from the third: user and system time, its own and its children's.
        total.ticks += sum(int(field) for field in status.rpartition(")")[2].split()[11:15])
        sizes = dict(line.split(":", 1) for line in memory.splitlines() if line.startswith("Rss"))
        total.private_bytes += sum(kilobytes(sizes.get(name, "0 kB")) * 1024 for name in ("RssAnon", "RssShmem"))
        total.file_bytes += kilobytes(sizes.get("RssFile", "0 kB")) * 1024
    return total


def kilobytes(text: str) -> int:
    """Read a size as /proc writes it."""
    return int(text.split()[0])


def measure_disk(root: Path) -> tuple[int, int]:
    """Return the bytes that files below a directory take on the disk, and the disk's size."""
    used = 0
    waiting = [root]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    used += entry.stat(follow_symlinks=False).st_blocks * DISK_BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:
            continue
    disk = os.statvfs(root)
    return used, disk.f_blocks * disk.f_frsize
