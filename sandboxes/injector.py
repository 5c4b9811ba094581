"""Faults on purpose: what can be done to a worker or its sandbox, and what whoever does it needs to offer.

A provider that can do these things is a FaultInjector. Arming comes before firing, so that the moment of a fault is
known and its preparation costs nothing at that moment.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from sandboxes.provider import Sandbox

GROWTH_STEP_S = 0.005  # for each megabyte


@dataclass(frozen=True, slots=True)
class Kill:
    """The worker's process ends at once (SIGKILL)."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The worker's process stops (SIGSTOP), and goes on after some seconds; None: never."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class BurnCpu:
    """Other processes in the sandbox use all its cores."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GrowMemory:
    """Another process in the sandbox takes so much memory (10^6 bytes each), and keeps it; None: for good."""

    megabytes: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Vanish:
    """The whole sandbox is gone."""


ProcessFault = Kill | Stop | BurnCpu | GrowMemory | Vanish


class FaultInjector(Protocol):
    """Does to a sandbox what nobody would wish for."""

    async def arm(self, sandbox: Sandbox, fault: ProcessFault) -> Callable[[], Awaitable[None]]:
        """Prepare a fault; what is returned makes it happen, at once. Both may raise SandboxError."""


class Surroundings(Protocol):
    """What can go wrong around all sandboxes, where surroundings are simulated. Times in seconds."""

    def worsen(self, *, drop: float, delay_s: float, start_s: float) -> None:
        """Lose frames between agents with a probability, delay them and the start of sandboxes by these means."""

    def cut_off(self, agents: Sequence[str], *, is_one_way: bool, seconds: float) -> None:
        """Let some agents not reach the others; one way: they still hear them."""

    def refuse_calls(self, seconds: float) -> None:
        """Let the provider answer with errors."""

    def clear_up(self) -> None:
        """End all of it."""


def command_of(fault: Kill | Stop | BurnCpu | GrowMemory, pid: int) -> str:
    """Return the shell command that does it to the worker's process as soon as it reads a line."""
    return f"read -r _ && {{ {_deed(fault, pid)}; }}"


def _deed(fault: Kill | Stop | BurnCpu | GrowMemory, pid: int) -> str:
    match fault:
        case Kill():
            return f"kill -KILL {pid}"
        case Stop(seconds=None):
            return f"kill -STOP {pid}"
        case Stop(seconds=seconds):
            return f"kill -STOP {pid}; sleep {seconds}; kill -CONT {pid}"
        case BurnCpu(seconds=seconds):
            return f"for _ in $(seq $(nproc)); do timeout {seconds} sh -c 'while :; do :; done' & done; wait"
        case GrowMemory(megabytes=megabytes, seconds=seconds):
            grow = f"held = [(bytes([1]) * 10**6, time.sleep({GROWTH_STEP_S})) for _ in range({megabytes})]"
            keep = f"time.sleep({seconds if seconds is not None else 10**6})"
            return f"python -c 'import time; {grow}; {keep}'"
        case _:
            assert_never(fault)
