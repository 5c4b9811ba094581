"""What drives a simulated world: events in the order of virtual time.

`HeapEngine` takes them from a heap, one call each. `LoopEngine` (in `loop_engine`) has coroutines take them on a
virtual-time event loop. Due times are made unique here, so that both take all events in the same order.
"""

import heapq
from collections.abc import Callable
from typing import Protocol

Event = Callable[[], None]

STEP_S = 1e-5
"""Due times are multiples of this; what is to come in order is at least one step apart."""
STEP_DIGITS = 5
# Within a step, events of the same time are told apart by what an event loop can tell apart (1 ns and more).
SLOT_S = 2e-9
SLOTS = 4096


class Engine(Protocol):
    """A virtual clock with a diary."""

    now_s: float

    def at(self, due_s: float, event: Event, *, who: str = "") -> None:
        """Have an event happen at a time, at some agent's or, without a name, the coordinator's place."""

    def run(self, until_s: float) -> None:
        """Let all happen that is due before a time."""


class DueTimes:
    """Gives out due times, each only once."""

    def __init__(self) -> None:
        self._count = 0

    def unique(self, due_s: float) -> float:
        self._count += 1
        return round(due_s, STEP_DIGITS) + (self._count % SLOTS) * SLOT_S


class HeapEngine:
    """The fast engine."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._unique = DueTimes().unique
        self._heap: list[tuple[float, int, Event]] = []
        self._number = 0

    def at(self, due_s: float, event: Event, *, who: str = "") -> None:
        self._number += 1
        due_s = self._unique(due_s if due_s > self.now_s else self.now_s)
        heapq.heappush(self._heap, (due_s, self._number, event))

    def run(self, until_s: float) -> None:
        heap = self._heap
        while heap and heap[0][0] < until_s:
            self.now_s, _, event = heapq.heappop(heap)
            event()
        self.now_s = until_s
