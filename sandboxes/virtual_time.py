"""Virtual time as an event loop: where a loop would wait, this one moves its clock on instead.

`anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})`: every sleep and deadline below costs nothing and
comes in the same order each time. Real file descriptors (signals) are still looked at, without waiting.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from sandboxes.simulated_process import Gate, process_of

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

# Real descriptors are looked at once in so many turns: a signal is seen soon, a turn stays cheap.
POLL_EVERY = 256


class VirtualDeadlock(RuntimeError):
    """Everything waits and no timer is set: in virtual time nothing can ever happen again."""


class _ClockSelector(selectors.BaseSelector):
    """Wraps a real selector; waiting becomes a step of the clock."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self._turns = 0
        self.now_s = 0.0

    def register(self, fileobj: "FileDescriptorLike", events: int, data: object = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping["FileDescriptorLike", selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turns += 1
        if timeout is None or self._turns % POLL_EVERY == 0:
            ready = self._real.select(0)
            if ready:
                return ready
        if timeout is None:
            raise VirtualDeadlock("everything waits and no timer is set")
        self.now_s += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose clock starts at 0 and jumps to the next timer when nothing is ready.

    What belongs to a simulated process passes a gate that is shut while the process is stopped.
    """

    def __init__(self) -> None:
        self._clock = _ClockSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        process = process_of(context)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        context = context or copy_context()
        gate = Gate(process, callback, arguments=args, context=context)
        gate.handle = super().call_soon(gate, context=context)
        return gate.handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        process = process_of(context)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        context = context or copy_context()
        gate = Gate(process, callback, arguments=args, context=context)
        handle = super().call_at(when, gate, context=context)
        gate.handle = handle
        return handle
