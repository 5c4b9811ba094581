"""Links in memory for mock mode: the same bytes as on a wire, delivered in order after a seeded delay.

A pipe end belongs to the simulated process that opened it, and breaks when that is ended; between two processes the
network's weather may delay what is sent, or break the pipe.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from sandboxes.link_weather import LinkWeather
from sandboxes.simulated_process import SimulatedProcess, process_of
from workers.network import Acceptor, Endpoint, PipeClosed, Refused, Unreachable

# One way, uniform: about what loopback and the embedded server's proxy take together.
DELAY_S_MIN = 0.0002
DELAY_S_MAX = 0.0008


class MemoryPipe:
    """One end of a pipe in memory; `owner`: the process at this end, None for the coordinator."""

    def __init__(
        self, rng: random.Random, owner: SimulatedProcess | None = None, *, weather: LinkWeather | None = None
    ) -> None:
        self._rng = rng
        self._owner = owner
        self._weather = weather
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes] = deque()
        self._wake = anyio.Event()
        self._last_arrival = 0.0
        self._is_closed = False
        self._is_ended = False  # the other end has closed, and all it sent has arrived
        self._peer: MemoryPipe | None = None
        if owner is not None:
            owner.hold(self)

    @classmethod
    def pair(
        cls,
        rng: random.Random,
        owners: tuple[SimulatedProcess | None, SimulatedProcess | None] = (None, None),
        *,
        weather: LinkWeather | None = None,
    ) -> "tuple[MemoryPipe, MemoryPipe]":
        """Make both ends, given the processes at them.

        Each draws its delays from a generator of its own: in which order pipes are closed that a cancelled process
        leaves behind is chance (anyio keeps its tasks in a set), and must change no other pipe's delays.
        """
        between_agents = weather if None not in owners else None
        here, there = (cls(random.Random(rng.getrandbits(64)), owner, weather=between_agents) for owner in owners)
        here._peer, there._peer = there, here
        return here, there

    async def send(self, data: bytes) -> None:
        peer = self._peer
        if self._is_closed or self._is_ended or peer is None:
            raise PipeClosed("the pipe is closed")
        if self._weather is not None and self._weather.loses():
            self.sever()
            raise PipeClosed("a frame was lost")
        self._deliver(peer._arrive, data)

    async def receive(self) -> bytes:
        while not self._arrived:
            if self._is_closed or self._is_ended:
                raise PipeClosed("the pipe is closed")
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._arrived.popleft()

    async def close(self) -> None:
        self.sever()

    def sever(self) -> None:
        """End the pipe from here; the other end learns of it after what was sent before."""
        if not self._is_closed and self._peer is not None:
            self._deliver(self._peer._end)
        self._is_closed = True
        self._wake.set()
        if self._owner is not None:
            self._owner.drop(self)

    def _deliver(self, arrive: Callable[..., None], *data: bytes) -> None:
        """Have something happen at the other end when it arrives there: nobody's business, whoever is stopped."""
        self._loop.call_at(self._next_arrival(), arrive, *data, context=Context())

    def _next_arrival(self) -> float:
        sent_s = self._loop.time()
        if self._weather is not None and self._owner is not None and self._peer is not None and self._peer._owner:
            sent_s = self._weather.arrival_s(self._owner.agent, self._peer._owner.agent, now_s=sent_s)
        delayed = sent_s + self._rng.uniform(DELAY_S_MIN, DELAY_S_MAX)
        self._last_arrival = max(delayed, self._last_arrival + 1e-6)
        return self._last_arrival

    def _arrive(self, data: bytes) -> None:
        if not self._is_closed:
            self._arrived.append(data)
            self._wake.set()

    def _end(self) -> None:
        self._is_ended = True
        self._wake.set()


@dataclass(frozen=True, slots=True)
class _Listener:
    """Who answers, in which tasks; as which process, and in its context."""

    acceptor: Acceptor
    tasks: TaskGroup
    process: SimulatedProcess | None
    context: Context


class MemoryNetwork:
    """Dials acceptors by address; `memory://ADDRESS` is their endpoint."""

    def __init__(self, rng: random.Random, weather: LinkWeather | None = None) -> None:
        self._rng = rng
        self._weather = weather
        self._listeners: dict[str, _Listener] = {}

    def listen(self, address: str, acceptor: Acceptor, *, tasks: TaskGroup) -> Endpoint:
        """Let an acceptor answer at an address, as the process that asks; what it serves runs in `tasks`."""
        endpoint = Endpoint(f"memory://{address}", {})
        self._listeners[endpoint.url] = _Listener(acceptor, tasks, process_of(None), copy_context())
        return endpoint

    def forget(self, endpoint: Endpoint) -> None:
        """Let nobody answer at an endpoint any more."""
        self._listeners.pop(endpoint.url, None)

    async def dial(self, endpoint: Endpoint, path: str, *, headers: Mapping[str, str]) -> MemoryPipe:
        await anyio.sleep(self._rng.uniform(2 * DELAY_S_MIN, 2 * DELAY_S_MAX))
        caller = process_of(None)
        listener = self._listeners.get(endpoint.url)
        if listener is not None:
            await self._wait_way(caller, listener.process)
            listener = self._listeners.get(endpoint.url)
        if listener is None:
            raise Unreachable(f"nobody listens at {endpoint.url}")
        lowered = {name.lower(): value for name, value in {**endpoint.headers, **headers}.items()}
        refusal = listener.acceptor.admit(path, lowered)
        if refusal is not None:
            raise Refused(refusal.status, refusal.reason)
        here, there = MemoryPipe.pair(self._rng, (caller, listener.process), weather=self._weather)
        serve = partial(_serve, listener.acceptor, there, path=path, headers=lowered)
        listener.context.run(listener.tasks.start_soon, serve)
        return here

    async def _wait_way(self, caller: SimulatedProcess | None, answering: SimulatedProcess | None) -> None:
        """Wait until both directions between two processes are open, and the one that is called runs."""
        if answering is None:
            return
        if self._weather is not None and caller is not None:
            there_and_back = ((caller.agent, answering.agent), (answering.agent, caller.agent))
            now_s = anyio.current_time()
            open_s = max(self._weather.open_s(*way, now_s=now_s) for way in there_and_back)
            if open_s > now_s:
                await anyio.sleep_until(open_s)
        await answering.wait_running()


async def _serve(acceptor: Acceptor, pipe: MemoryPipe, *, path: str, headers: Mapping[str, str]) -> None:
    try:
        await acceptor.serve(path, headers, pipe=pipe)
    finally:
        with anyio.CancelScope(shield=True):
            await pipe.close()
