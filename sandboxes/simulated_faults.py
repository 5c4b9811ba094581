"""Faults of mock mode: to one simulated process, to the ways between them, and to the provider's API.

What a real machine does under a signal, a simulated process does in virtual time (`sandboxes.simulated_process`). All
chance comes from the generator that is handed in, so that a seed gives the same faults at the same moments.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import TypeVar, assert_never

import anyio
from anyio.abc import TaskGroup

from sandboxes.injector import BurnCpu, GrowMemory, Kill, ProcessFault, Stop, Vanish
from sandboxes.link_weather import CutOff, LinkWeather
from sandboxes.provider import PermanentSandboxError, Sandbox, SandboxProvider, SandboxSpec, TemporarySandboxError
from sandboxes.simulated import SimulatedProvider
from sandboxes.simulated_process import SimulatedProcess

SLICE_S = 0.01  # of a core that is shared: the worker gets every other one
API_TIMEOUT_S = 2.0
RETRY_AFTER_S = 0.5

T = TypeVar("T")


class ApiError(StrEnum):
    """How the provider's API fails. TIMEOUT: what was asked is done, the answer is lost."""

    RATE_LIMITED = "429 too many requests"
    UNAVAILABLE = "503 service unavailable"
    TIMEOUT = "no answer in time"


class UnreliableProvider:
    """A provider whose API fails while it is told to, and whose sandboxes start late."""

    def __init__(self, provider: SandboxProvider, rng: random.Random) -> None:
        self._provider = provider
        self._rng = rng
        self.start_s = 0.0
        self.fails_until_s = 0.0

    async def create(self, spec: SandboxSpec) -> Sandbox:
        if self.start_s:
            await anyio.sleep(self._rng.expovariate(1.0 / self.start_s))
        return await self._ask(f"creating a sandbox for {spec.agent}", partial(self._provider.create, spec))

    async def renew(self, sandbox_id: str, lease_s: int) -> None:
        await self._ask(f"renewing sandbox {sandbox_id}", partial(self._provider.renew, sandbox_id, lease_s))

    async def list(self, swarm: str) -> Sequence[str]:
        return await self._ask(f"listing the sandboxes of {swarm}", partial(self._provider.list, swarm))

    async def kill(self, sandbox_id: str) -> bool:
        return await self._ask(f"killing sandbox {sandbox_id}", partial(self._provider.kill, sandbox_id))

    async def _ask(self, doing: str, call: Callable[[], Awaitable[T]]) -> T:
        if anyio.current_time() >= self.fails_until_s:
            return await call()
        error = self._rng.choice(tuple(ApiError))
        if error is ApiError.TIMEOUT:
            await call()
            await anyio.sleep(API_TIMEOUT_S)
        retry_after_s = RETRY_AFTER_S if error is ApiError.RATE_LIMITED else None
        raise TemporarySandboxError(f"{doing}: {error} (on purpose)", retry_after_s=retry_after_s)


class SimulatedFaults:
    """Injector and surroundings of mock mode. `api`: the provider as the swarm sees it."""

    def __init__(
        self, provider: SimulatedProvider, *, api: UnreliableProvider, weather: LinkWeather, tasks: TaskGroup
    ) -> None:
        self._provider = provider
        self._api = api
        self._weather = weather
        self._tasks = tasks

    async def arm(self, sandbox: Sandbox, fault: ProcessFault) -> Callable[[], Awaitable[None]]:
        """Prepare a fault. Raises SandboxGone, or PermanentSandboxError for what a simulated process cannot suffer."""
        if isinstance(fault, GrowMemory):
            raise PermanentSandboxError("a simulated process has no memory of its own to grow")

        async def fire() -> None:
            process = self._provider.process(sandbox.id)
            match fault:
                case Kill():
                    process.end()
                case Stop(seconds=seconds):
                    process.stop()
                    if seconds is not None:
                        self._tasks.start_soon(_go_on_after, process, seconds)
                case BurnCpu(seconds=seconds):
                    self._tasks.start_soon(_share_core, process, seconds)
                case Vanish():
                    self._provider.lose(sandbox.id)
                case _:
                    assert_never(fault)

        return fire

    def worsen(self, *, drop: float, delay_s: float, start_s: float) -> None:
        self._weather.drop, self._weather.delay_s, self._api.start_s = drop, delay_s, start_s

    def cut_off(self, agents: Sequence[str], *, is_one_way: bool, seconds: float) -> None:
        self._weather.cut_off(CutOff(frozenset(agents), is_one_way, anyio.current_time() + seconds))

    def refuse_calls(self, seconds: float) -> None:
        self._api.fails_until_s = max(self._api.fails_until_s, anyio.current_time() + seconds)

    def clear_up(self) -> None:
        self._weather.clear_up()
        self._api.start_s = self._api.fails_until_s = 0.0


async def _go_on_after(process: SimulatedProcess, seconds: float) -> None:
    await anyio.sleep(seconds)
    process.go_on()


async def _share_core(process: SimulatedProcess, seconds: float) -> None:
    """Let a process run only half of the time."""
    end_s = anyio.current_time() + seconds
    while anyio.current_time() < end_s and not process.has_ended:
        process.stop()
        await anyio.sleep(SLICE_S)
        process.go_on()
        await anyio.sleep(SLICE_S)
