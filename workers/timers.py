"""Deadlines of rounds: one heap and one watchdog, however many rounds are open."""

import heapq
from collections.abc import Callable

import anyio


class Timers:
    """Call back once for each deadline, in order."""

    def __init__(self, on_timer: Callable[[int, str], None]) -> None:
        self._on_timer = on_timer
        self._heap: list[tuple[float, int, str]] = []
        self._wake = anyio.Event()

    def set(self, round: int, after_s: float, *, office: str = "") -> None:
        deadline = anyio.current_time() + after_s
        if not self._heap or deadline < self._heap[0][0]:
            self._wake.set()
        heapq.heappush(self._heap, (deadline, round, office))

    async def run(self) -> None:
        """Watch the earliest deadline until cancelled."""
        while True:
            while self._heap and self._heap[0][0] <= anyio.current_time():
                _, round, office = heapq.heappop(self._heap)
                self._on_timer(round, office)
            self._wake = anyio.Event()
            wait_s = self._heap[0][0] - anyio.current_time() if self._heap else float("inf")
            with anyio.move_on_after(max(0.0, wait_s)):
                await self._wake.wait()
