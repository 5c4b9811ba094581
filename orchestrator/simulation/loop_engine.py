"""The same events on a virtual-time event loop, taken by one coroutine for each agent: a cross-check of the heap.

An engine that is wrong in the same way each time would not be noticed; two that have nothing in common but the due
times would have to be wrong in the same way both.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import anyio

from orchestrator.simulation.engine import DueTimes, Event
from sandboxes.virtual_time import VirtualTimeLoop


@dataclass(frozen=True, slots=True)
class _Due:
    due_s: float
    who: str
    event: Event


class LoopEngine:
    """Events on a loop whose clock advances only when nothing is left to do."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._unique = DueTimes().unique
        self._early: list[tuple[float, _Due]] = []
        self._inboxes: dict[str, _Inbox] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None

    def at(self, due_s: float, event: Event, *, who: str = "") -> None:
        due_s = self._unique(due_s if due_s > self.now_s else self.now_s)
        if self._loop is None:
            self._early.append((due_s, _Due(due_s, who, event)))
        else:
            self._loop.call_at(self._origin_s + due_s, self._post, _Due(due_s, who, event))

    def run(self, until_s: float) -> None:
        """Let all happen that is due before a time; what an event raises is raised here."""
        anyio.run(self._run, until_s, backend_options={"loop_factory": VirtualTimeLoop})
        if self._failure is not None:
            raise self._failure
        self.now_s = until_s

    async def _run(self, until_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin_s = self._loop.time()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._over = anyio.Event()
            for due_s, due in self._early:
                self._loop.call_at(self._origin_s + due_s, self._post, due)
            self._early.clear()
            with anyio.move_on_after(until_s):
                await self._over.wait()
            tasks.cancel_scope.cancel()

    def _post(self, due: "_Due") -> None:
        inbox = self._inboxes.get(due.who)
        if inbox is None:
            inbox = self._inboxes[due.who] = _Inbox()
            self._tasks.start_soon(self._live, inbox)
        inbox.post(due)

    async def _live(self, inbox: "_Inbox") -> None:
        """Be one agent: take what happens to it, in order."""
        while self._failure is None:
            due = await inbox.wait_next()
            self.now_s = due.due_s
            try:
                due.event()
            except Exception as error:  # noqa: BLE001 - handed to the caller of `run`, where it belongs
                self._failure = error
                self._over.set()


class _Inbox:
    """What is to happen to one agent now."""

    def __init__(self) -> None:
        self._events: deque[_Due] = deque()
        self._wake = anyio.Event()

    def post(self, due: _Due) -> None:
        self._events.append(due)
        self._wake.set()

    async def wait_next(self) -> _Due:
        while not self._events:
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._events.popleft()
