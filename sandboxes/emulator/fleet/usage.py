"""What sandboxes use of this machine: processor, memory and disk, measured from outside in /proc and in their trees.

Both who asks the control plane (`usage_sampler.py`) and who asks a sandbox's daemon (`metrics.py`) get it from here.
Memory is the proportional set size, so that pages shared with a warm process or among forks count once; pages of
mapped files are told apart as cache. Processor time of a process that ended between two measurements, and that no
process of the sandbox waited for, is missed.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.file_tree import measure_tree
from sandboxes.emulator.processes.process_tree import read_processes, select_tree

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sandbox uses at one moment."""

    at: datetime
    cpu_s: float
    """Processor time of its living processes and of the children they waited for."""
    memory_bytes: int
    cache_bytes: int = 0
    """Pages of files that its processes have mapped."""
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Target:
    """What has to be known of a sandbox to measure it from a thread."""

    sandbox_id: str
    root: Path
    leaders: Collection[int]


class Memory(NamedTuple):
    """A process's share of memory, in bytes."""

    own: int
    cache: int


def measure_all(targets: Iterable[Target]) -> dict[str, Usage]:
    """Measure sandboxes; blocking. The search through /proc costs the same for one or all."""
    processes = list(read_processes())
    usages: dict[str, Usage] = {}
    for target in targets:
        pids = select_tree(processes, str(target.root).__eq__, leaders=target.leaders)
        memory = [read_memory(pid) for pid in pids]
        usages[target.sandbox_id] = Usage(
            at=read_clock(),
            cpu_s=sum(read_cpu_s(pid) for pid in pids),
            memory_bytes=sum(share.own for share in memory),
            cache_bytes=sum(share.cache for share in memory),
            disk_bytes=measure_tree(target.root),
        )
    return usages


def share_of_processors(usage: Usage, *, before_at: datetime, before_s: float, cpu_count: int) -> float:
    """Return the processors' use since an earlier measurement, in percent of all of them.

    The time used falls when a command ends, and takes what it used since then with it.
    """
    elapsed_s = max((usage.at - before_at).total_seconds(), 1 / TICKS_PER_S)
    used = 100 * (usage.cpu_s - before_s) / elapsed_s / cpu_count
    return round(min(max(used, 0.0), 100.0), 2)


def read_cpu_s(pid: int) -> float:
    """Return the processor time of a process and of the children it waited for; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    # After the name in brackets: state is field 3, user and system time fields 14 and 15, the children's 16 and 17.
    return sum(map(int, status[status.rindex(b")") + 2 :].split()[11:15])) / TICKS_PER_S


def read_memory(pid: int) -> Memory:
    """Return a process's share of memory: proportional if the kernel says it, else resident; nothing if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
        if "Pss_File" in sizes:
            return Memory(sizes["Pss"] - sizes["Pss_File"], sizes["Pss_File"])
        _size, resident, shared = map(int, Path(f"/proc/{pid}/statm").read_bytes().split()[:3])
        return Memory((resident - shared) * PAGE_BYTES, shared * PAGE_BYTES)
    except OSError:
        return Memory(0, 0)
