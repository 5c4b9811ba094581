"""A simulated process: coroutines that stop, go on and end together, like a process under signals.

Every task begun inside inherits the process through its context. The virtual-time loop asks here before it runs a
callback of such a task: while the process is stopped the callback is put aside, and comes in its order when the
process goes on. So a stopped process runs nothing and hears nothing, and finds the clock moved on afterwards.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

_current: ContextVar["SimulatedProcess | None"] = ContextVar("simulated process", default=None)


def process_of(context: Context | None) -> "SimulatedProcess | None":
    """Return the process whose context this is; None: the context of the caller."""
    return _current.get() if context is None else context.get(_current)


class Severable(Protocol):
    """Something a process holds that ends when the process does."""

    def sever(self) -> None:
        """End it now: nothing is sent any more, and the other side sees the end."""


class SimulatedProcess:
    """What runs in one simulated sandbox, for one agent."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.is_stopped = False
        self.has_ended = False
        self._parked: deque[Gate] = deque()
        self._held: dict[Severable, None] = {}  # in the order they were opened
        self._scope = anyio.CancelScope()
        self._goes_on = anyio.Event()

    async def run(
        self, main: Callable[[TaskStatus[object]], Awaitable[None]], *, task_status: TaskStatus[object]
    ) -> None:
        """Run `main` as this process, until it is done or the process is ended."""
        _current.set(self)
        with self._scope:
            await main(task_status)

    def hold(self, held: Severable) -> None:
        """Let something end with the process: at once when that has ended."""
        self._held[held] = None
        if self.has_ended:
            held.sever()

    def drop(self, held: Severable) -> None:
        """Something has ended before the process."""
        self._held.pop(held, None)

    def stop(self) -> None:
        """Run nothing until told to go on (SIGSTOP)."""
        if not self.is_stopped and not self.has_ended:
            self.is_stopped, self._goes_on = True, anyio.Event()

    def go_on(self) -> None:
        """Run what was put aside, and go on (SIGCONT)."""
        self.is_stopped = False
        self._goes_on.set()
        loop = asyncio.get_running_loop()
        while self._parked:
            gate = self._parked.popleft()
            loop.call_soon(gate.pass_late, context=gate.context)

    def end(self) -> None:
        """End abruptly (SIGKILL): all it holds breaks, and nothing it still does is seen outside.

        What it holds breaks in the order it was opened: its tasks are cancelled in an order nobody knows beforehand.
        """
        self.has_ended = True
        for held in tuple(self._held):
            held.sever()
        self.go_on()
        self._scope.cancel()

    async def wait_running(self) -> None:
        """Wait while the process is stopped."""
        while self.is_stopped:
            await self._goes_on.wait()

    def park(self, gate: "Gate") -> None:
        self._parked.append(gate)


class Gate:
    """A callback of a process: run at its time, or put aside when the process is stopped then."""

    __slots__ = ("_arguments", "_callback", "_process", "context", "handle")

    def __init__(
        self,
        process: SimulatedProcess,
        callback: Callable[..., object],
        *,
        arguments: tuple[object, ...],
        context: Context,
    ) -> None:
        self._process = process
        self._callback = callback
        self._arguments = arguments
        self.context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self._process.is_stopped:
            self._process.park(self)
        else:
            self._callback(*self._arguments)

    def pass_late(self) -> None:
        """Run after having been put aside, unless it was cancelled meanwhile or the process is stopped again."""
        if self.handle is None or not self.handle.cancelled():
            self()
