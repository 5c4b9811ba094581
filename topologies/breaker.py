"""A circuit breaker for one hop: who keeps failing is left alone for a while, then tried with care.

    from         event                                                     to
    CLOSED       half of the last 20 calls failed (and at least 5 ended)   OPEN, for 2 s
    OPEN         its time has passed                                       HALF_OPEN
    HALF_OPEN    2 probes succeeded                                        CLOSED, with nothing remembered
    HALF_OPEN    a probe failed                                            OPEN, for twice as long, at most 30 s

A call is admitted with a permit, and its end is told with that permit: the end of a call that was admitted before the
last change of state is old news and changes nothing. A probe whose end is never told counts as failed after
`probe_s_max`, so that a lost answer does not keep the hop shut for ever.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """No call passes."""
    HALF_OPEN = "half open"
    """A few calls pass, as probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When to open and for how long."""

    window: int = 20
    """How many of the last calls are looked at."""
    calls_min: int = 5
    """Calls that must have ended before their failures say anything."""
    failures_max: float = 0.5
    """The share of failed calls at which it opens."""
    open_s: float = 2.0
    """Seconds it stays open the first time."""
    open_s_max: float = 30.0
    """Seconds it stays open at most; each failed probe doubles the time."""
    probes: int = 2
    """Calls that are let through, and must all succeed, before it closes."""
    probe_s_max: float = 5.0
    """Seconds within which the end of a probe must be told."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to one call; `period` names the stretch of one state in which it was given."""

    period: int


class CircuitBreaker:
    """One hop's breaker. `now` is in seconds on any clock that does not go back."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._state = BreakerState.CLOSED
        self._period = 0
        self._calls: deque[bool] = deque(maxlen=self._settings.window)
        self._open_s = self._settings.open_s
        self._until_s = 0.0  # OPEN: when to try; HALF_OPEN: when the last probe must have ended
        self._probes_given = 0
        self._probes_passed = 0

    def state(self, *, now: float) -> BreakerState:
        """Return the state at `now`; time alone can change it."""
        if self._state is BreakerState.OPEN and now >= self._until_s:
            self._enter(BreakerState.HALF_OPEN)
        elif self._has_lost_a_probe(now):
            self._reopen(now)
        return self._state

    def admit(self, *, now: float) -> Permit | None:
        """Return a permit for one call, None when it must not be made."""
        match self.state(now=now):
            case BreakerState.CLOSED:
                return Permit(self._period)
            case BreakerState.HALF_OPEN if self._probes_given < self._settings.probes:
                self._probes_given += 1
                self._until_s = now + self._settings.probe_s_max
                return Permit(self._period)
            case _:
                return None

    def settle(self, permit: Permit, *, is_success: bool, now: float) -> BreakerState:
        """Tell how a call ended, once for each permit; return the state it leads to."""
        state = self.state(now=now)
        if permit.period != self._period:
            return state
        if state is BreakerState.CLOSED:
            self._calls.append(is_success)
            if self._has_failed_too_often():
                self._open(now)
        elif not is_success:
            self._reopen(now)
        else:
            self._probes_passed += 1
            if self._probes_passed >= self._settings.probes:
                self._enter(BreakerState.CLOSED)
        return self._state

    def retry_after_s(self, *, now: float) -> float:
        """Return the seconds until a call may be tried again; 0 when it may be now or a probe is under way."""
        return self._until_s - now if self.state(now=now) is BreakerState.OPEN else 0.0

    def _has_lost_a_probe(self, now: float) -> bool:
        is_waiting = self._state is BreakerState.HALF_OPEN and self._probes_given > self._probes_passed
        return is_waiting and now >= self._until_s

    def _has_failed_too_often(self) -> bool:
        failed = self._calls.count(False)
        return len(self._calls) >= self._settings.calls_min and failed >= self._settings.failures_max * len(self._calls)

    def _reopen(self, now: float) -> None:
        self._open_s = min(2.0 * self._open_s, self._settings.open_s_max)
        self._open(now)

    def _open(self, now: float) -> None:
        self._enter(BreakerState.OPEN)
        self._until_s = now + self._open_s

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._calls.clear()
        self._probes_given = self._probes_passed = 0
        if state is BreakerState.CLOSED:
            self._open_s = self._settings.open_s
