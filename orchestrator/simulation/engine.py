"""What drives a simulated world: events in the order of virtual time.

`HeapEngine` takes them from a heap, one call each. `LoopEngine` (in `loop_engine`) has coroutines take them on a
virtual-time event loop. Due times are made unique here, so that both take all events in the same order.
"""

import heapq
from collections.abc import Callable
from typing import Protocol

Event = Callable[[], None]

SLOTS = 1000
SLOT_S = 1e-10  # less than the microsecond to which due times are rounded


class Engine(Protocol):
    """A virtual clock with a diary."""

    now_s: float

    def at(self, due_s: float, who: str, event: Event) -> None:
        """Have an event happen at a time, at some agent's (or, with "", the coordinator's) place."""

    def run(self, until_s: float) -> None:
        """Let all happen that is due before a time."""


class DueTimes:
    """Gives out due times, each only once."""

    def __init__(self) -> None:
        self._count = 0

    def unique(self, due_s: float) -> float:
        self._count += 1
        return round(due_s, 6) + (self._count % SLOTS) * SLOT_S


class HeapEngine:
    """The fast engine."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due_times = DueTimes()
        self._heap: list[tuple[float, int, Event]] = []
        self._number = 0

    def at(self, due_s: float, who: str, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._heap, (self._due_times.unique(max(due_s, self.now_s)), self._number, event))

    def run(self, until_s: float) -> None:
        heap = self._heap
        while heap and heap[0][0] < until_s:
            self.now_s, _, event = heapq.heappop(heap)
            event()
        self.now_s = until_s
