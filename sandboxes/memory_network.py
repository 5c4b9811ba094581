"""Links in memory for mock mode: the same bytes as on a wire, delivered in order after a seeded delay."""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from workers.network import Acceptor, Endpoint, PipeClosed, Refused, Unreachable

# One way, uniform: about what loopback and the embedded server's proxy take together.
DELAY_S_MIN = 0.0002
DELAY_S_MAX = 0.0008


class MemoryPipe:
    """One end of a pipe in memory."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes] = deque()
        self._wake = anyio.Event()
        self._last_arrival = 0.0
        self._is_closed = False
        self._is_ended = False  # the other end has closed, and all it sent has arrived
        self._peer: MemoryPipe | None = None

    @classmethod
    def pair(cls, rng: random.Random) -> "tuple[MemoryPipe, MemoryPipe]":
        """Make both ends.

        Each draws its delays from a generator of its own: in which order pipes are closed that a cancelled process
        leaves behind is chance (anyio keeps its tasks in a set), and must change no other pipe's delays.
        """
        here, there = cls(random.Random(rng.getrandbits(64))), cls(random.Random(rng.getrandbits(64)))
        here._peer, there._peer = there, here
        return here, there

    async def send(self, data: bytes) -> None:
        peer = self._peer
        if self._is_closed or self._is_ended or peer is None:
            raise PipeClosed("the pipe is closed")
        self._loop.call_at(self._next_arrival(), peer._arrive, data)

    async def receive(self) -> bytes:
        while not self._arrived:
            if self._is_closed or self._is_ended:
                raise PipeClosed("the pipe is closed")
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._arrived.popleft()

    async def close(self) -> None:
        if not self._is_closed and self._peer is not None:
            self._loop.call_at(self._next_arrival(), self._peer._end)
        self._is_closed = True
        self._wake.set()

    def _next_arrival(self) -> float:
        delayed = self._loop.time() + self._rng.uniform(DELAY_S_MIN, DELAY_S_MAX)
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
    acceptor: Acceptor
    tasks: TaskGroup


class MemoryNetwork:
    """Dials acceptors by address; `memory://ADDRESS` is their endpoint."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._listeners: dict[str, _Listener] = {}

    def listen(self, address: str, acceptor: Acceptor, *, tasks: TaskGroup) -> Endpoint:
        """Let an acceptor answer at an address; what it serves runs in `tasks`."""
        endpoint = Endpoint(f"memory://{address}", {})
        self._listeners[endpoint.url] = _Listener(acceptor, tasks)
        return endpoint

    def forget(self, endpoint: Endpoint) -> None:
        """Let nobody answer at an endpoint any more."""
        self._listeners.pop(endpoint.url, None)

    async def dial(self, endpoint: Endpoint, path: str, *, headers: Mapping[str, str]) -> MemoryPipe:
        await anyio.sleep(self._rng.uniform(2 * DELAY_S_MIN, 2 * DELAY_S_MAX))
        listener = self._listeners.get(endpoint.url)
        if listener is None:
            raise Unreachable(f"nobody listens at {endpoint.url}")
        lowered = {name.lower(): value for name, value in {**endpoint.headers, **headers}.items()}
        refusal = listener.acceptor.admit(path, lowered)
        if refusal is not None:
            raise Refused(refusal.status, refusal.reason)
        here, there = MemoryPipe.pair(self._rng)
        listener.tasks.start_soon(partial(_serve, listener.acceptor, there, path=path, headers=lowered))
        return here


async def _serve(acceptor: Acceptor, pipe: MemoryPipe, *, path: str, headers: Mapping[str, str]) -> None:
    try:
        await acceptor.serve(path, headers, pipe=pipe)
    finally:
        with anyio.CancelScope(shield=True):
            await pipe.close()
