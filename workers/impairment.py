"""Links made bad on purpose: what an agent sends to a neighbour is lost, delayed or held back for a while.

The pipe below the link is what suffers, so everything above - session, heartbeats, detectors, rules - is the code that
runs otherwise. Links are streams: a lost frame is a pipe that breaks, and what is held back arrives later, in order.
"""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import anyio
from anyio.abc import TaskGroup

from workers.network import Endpoint, Network, Pipe, PipeClosed

HELD_MAX = 8192


class ImpairmentKind(StrEnum):
    """DROP: a share of the frames is lost. DELAY: each takes longer. PARTITION: none arrives, until it is over."""

    DROP = "drop"
    DELAY = "delay"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class _Impairment:
    kind: ImpairmentKind
    until_s: float
    amount: float


class Impairments:
    """What is wrong with the ways to the neighbours. Healthy, until told otherwise."""

    def __init__(self) -> None:
        self._impaired: dict[str, _Impairment] = {}
        self._tasks: TaskGroup | None = None
        self._rng: random.Random | None = None

    def start(self, tasks: TaskGroup, rng: random.Random) -> None:
        """From now on something may go wrong; what is delayed waits in `tasks`."""
        self._tasks, self._rng = tasks, rng

    def impair(self, neighbour: str, kind: ImpairmentKind, *, seconds: float, amount: float) -> None:
        """Make the way to a neighbour bad for a while; `amount`: the share that is lost, or the seconds of delay."""
        self._impaired[neighbour] = _Impairment(kind, anyio.current_time() + seconds, amount)

    def over(self, neighbour: str, pipe: Pipe) -> Pipe:
        """Put the way to a neighbour over a pipe."""
        return ImpairedPipe(pipe, neighbour, impairments=self)

    def dialling(self, neighbour: str, network: Network) -> Network:
        """Put the way to a neighbour over a network: a dial cannot pass what a frame cannot."""
        return _ImpairedNetwork(network, neighbour, impairments=self)

    def loses(self, neighbour: str) -> bool:
        """Draw whether what is sent to a neighbour now is lost."""
        impaired = self._current(neighbour)
        if impaired is None or impaired.kind is not ImpairmentKind.DROP or self._rng is None:
            return False
        return self._rng.random() < impaired.amount

    def due_s(self, neighbour: str) -> float | None:
        """Return when what is sent to a neighbour now is to go out; None: at once."""
        impaired = self._current(neighbour)
        if impaired is None or self._tasks is None:
            return None
        match impaired.kind:
            case ImpairmentKind.PARTITION:
                return impaired.until_s
            case ImpairmentKind.DELAY:
                return anyio.current_time() + impaired.amount
            case ImpairmentKind.DROP:
                return None

    @property
    def tasks(self) -> TaskGroup:
        assert self._tasks is not None, "nothing is held back before `start`"
        return self._tasks

    def _current(self, neighbour: str) -> _Impairment | None:
        impaired = self._impaired.get(neighbour)
        if impaired is not None and anyio.current_time() >= impaired.until_s:
            del self._impaired[neighbour]
            return None
        return impaired


class ImpairedPipe:
    """A pipe to a neighbour, as good as the way there."""

    def __init__(self, pipe: Pipe, neighbour: str, *, impairments: Impairments) -> None:
        self._pipe = pipe
        self._neighbour = neighbour
        self._impairments = impairments
        self._held: deque[tuple[float, bytes]] = deque()
        self._is_pumping = False
        self._is_broken = False

    async def send(self, data: bytes) -> None:
        if self._impairments.loses(self._neighbour):
            await self.close()
        if self._is_broken or len(self._held) >= HELD_MAX:
            raise PipeClosed("the pipe is broken")
        due_s = self._impairments.due_s(self._neighbour)
        if due_s is None and not self._held:
            await self._pipe.send(data)
            return
        self._held.append((due_s or 0.0, data))
        if not self._is_pumping:
            self._is_pumping = True
            self._impairments.tasks.start_soon(self._pump)

    async def receive(self) -> bytes:
        return await self._pipe.receive()

    async def close(self) -> None:
        """Close the pipe; what is held back is lost with it, as on a connection that breaks."""
        self._is_broken = True
        await self._pipe.close()

    async def _pump(self) -> None:
        """Send what is held back when it is due, in order."""
        try:
            while self._held and not self._is_broken:
                due_s, data = self._held[0]
                await anyio.sleep_until(due_s)
                if not self._is_broken:
                    await self._pipe.send(data)
                    self._held.popleft()
        except PipeClosed:
            self._is_broken = True
        finally:
            self._is_pumping = False


class _ImpairedNetwork:
    def __init__(self, network: Network, neighbour: str, *, impairments: Impairments) -> None:
        self._network = network
        self._neighbour = neighbour
        self._impairments = impairments

    async def dial(self, endpoint: Endpoint, path: str, *, headers: Mapping[str, str]) -> Pipe:
        due_s = self._impairments.due_s(self._neighbour)
        if due_s is not None:
            await anyio.sleep_until(due_s)
        pipe = await self._network.dial(endpoint, path, headers=headers)
        return self._impairments.over(self._neighbour, pipe)
