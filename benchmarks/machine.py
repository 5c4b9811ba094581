"""On which machine, with which versions, by which command and when a figure was measured."""

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec

from orchestrator.clock import utc_now

PACKAGES = ("aiohttp", "anyio", "e2b", "msgspec", "uvloop")


class Machine(msgspec.Struct, frozen=True):
    """What a reader needs to judge a figure."""

    measured_at: str
    command: str
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]


def describe_machine(module: str) -> Machine:
    """Describe this machine and this call of `python -m MODULE`."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        measured_at=utc_now(),
        command=f"python -m {module} {shlex.join(sys.argv[1:])}".strip(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
    )


def machine_lines(machine: Machine) -> list[str]:
    """Write a machine as the foot of a Markdown report."""
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    return [
        f"Measured {machine.measured_at} by `{machine.command}` on {machine.cores} cores ({machine.processor}), "
        f"{machine.memory_gib} GiB, {machine.system}, Python {machine.python}, {packages}.",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
