"""Floors by the calendar: agents that are there before the load is, and only a floor.

A market's opening, its close and the days on which figures come out are known ahead, and volatility tends to fall
once they have passed. Whoever has the exchange's calendar, with its holidays and half days, makes the windows; here
times are seconds on the caller's clock.
"""

import dataclasses
from collections.abc import Sequence

LEAD_S = 1800.0
"""How long before its start a window's floor counts: half an hour."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledFloor:
    """From when until when there must be at least so many agents, and what for."""

    start_s: float
    end_s: float
    agents: int
    reason: str
    lead_s: float = LEAD_S


def floor_at(windows: Sequence[ScheduledFloor], now: float) -> ScheduledFloor | None:
    """Return the highest floor that counts now, the first of equals; None without one."""
    counting = [window for window in windows if window.start_s - window.lead_s <= now < window.end_s]
    return max(counting, key=lambda window: window.agents, default=None)
