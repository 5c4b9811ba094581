"""A rate with a burst, kept as one moment: when the next turn would be due if turns came evenly.

A token bucket in the form that needs no refilling (the generic cell rate algorithm), so that the
state is a single time and can be shared in a row of a database. Pure: the time comes in, the wait goes out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many a second on the average, and how many may come at once after a rest."""

    per_s: float
    burst: int = 1

    def __post_init__(self) -> None:
        if not self.per_s > 0 or self.burst < 1:
            raise ValueError(f"a rate of {self.per_s} per second in bursts of {self.burst} lets nothing through")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn that was taken: whoever has it waits until `at`; `due` is to be kept for the next."""

    at: datetime
    due: datetime


def take_turn(rate: Rate, due: datetime | None, *, now: datetime) -> Turn:
    """Take the next turn. `due` is what the last one left, None at first.

    In any stretch of time of `s` seconds, at most `burst + per_s * s` turns lie.
    """
    interval = timedelta(seconds=1.0 / rate.per_s)
    present = now if due is None else max(now, due)
    return Turn(at=max(now, present - (rate.burst - 1) * interval), due=present + interval)
