"""How an agent is, from what was measured of it: with thresholds, and slow to believe in a recovery.

A status gets worse at once and better only after several good readings in a row, below a lower line than the
one it was entered at, so that a value that swings around a threshold changes nothing. Each field has one unit,
in its name: a CPU in percent is never compared with a share.
"""

import dataclasses
import enum
import math

STALE_S = 30.0
"""Seconds after which a reading says nothing any more."""


class HealthStatus(enum.StrEnum):
    """How an agent is, from best to worst; UNKNOWN is apart."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    CRITICAL = "CRITICAL"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


_WORSENING = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.CRITICAL, HealthStatus.FAILED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HealthReading:
    """What was measured of an agent at one time. None: not measured."""

    at_s: float
    """On the caller's clock."""
    is_running: bool = True
    """Whether its process is there."""
    cpu_percent: float | None = None
    """Of what is allocated, 0 to 100."""
    memory_percent: float | None = None
    """Of what is allocated, 0 to 100."""
    response_s: float | None = None
    errors_percent: float | None = None
    """Of its tasks, 0 to 100."""
    trade_latency_s: float | None = None
    """From a signal to the order's acknowledgement."""


@dataclasses.dataclass(frozen=True, slots=True)
class Threshold:
    """From where a value is degraded and critical. None: it never is."""

    degraded: float
    critical: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HealthPolicy:
    """Where the lines are, and how slowly an agent is believed to be better.

    The lines are those of the first design: CPU and memory 75 and 90 %, response 2 and 5 s, errors 5 and 10 %,
    trade latency 1 s.
    """

    cpu_percent: Threshold = Threshold(75.0, 90.0)
    memory_percent: Threshold = Threshold(75.0, 90.0)
    response_s: Threshold = Threshold(2.0, 5.0)
    errors_percent: Threshold = Threshold(5.0, 10.0)
    trade_latency_s: Threshold = Threshold(1.0)
    leave_share: float = 0.9
    """A status is left below this share of the line it is entered at."""
    readings_to_recover: int = 3
    """So many readings in a row must be better."""
    stale_s: float = STALE_S


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an agent is, and what must be remembered to judge its next reading."""

    status: HealthStatus = HealthStatus.UNKNOWN
    reasons: tuple[str, ...] = ("nothing was measured yet",)
    remembered: HealthStatus | None = None
    """The last status that was known."""
    better_readings: int = 0
    """How many in a row were better than that."""
    last_at_s: float = -math.inf
    """When the last reading that counted was taken: one that comes again, or late, counts once."""


METRICS = ("cpu_percent", "memory_percent", "response_s", "errors_percent", "trade_latency_s")


def assess_health(
    before: Health, reading: HealthReading | None, *, now: float, policy: HealthPolicy | None = None
) -> Health:
    """Return an agent's health after a reading, or after none.

    Without a reading, with one that is too old or from the future, or with one in which nothing was measured, the
    status is UNKNOWN; what was known is remembered, so that silence is no recovery. A process that is gone is
    FAILED at once.
    """
    policy = policy or HealthPolicy()
    if problem := _unusable(reading, now=now, policy=policy):
        return dataclasses.replace(before, status=HealthStatus.UNKNOWN, reasons=(problem,), better_readings=0)
    assert reading is not None, "a missing reading is unusable"
    entered, reasons = _worst(reading, policy, share=1.0)
    held_from = before.remembered or entered
    if _rank(entered) >= _rank(held_from):
        return Health(status=entered, reasons=reasons, remembered=entered, last_at_s=reading.at_s)
    # Better than before. Against the lower line it may still be what it was.
    left, held_reasons = _worst(reading, policy, share=policy.leave_share)
    if _rank(left) >= _rank(held_from):
        return Health(status=held_from, reasons=held_reasons, remembered=held_from, last_at_s=reading.at_s)
    better = before.better_readings + (reading.at_s > before.last_at_s)
    if better < policy.readings_to_recover:
        waits = f"better in {better} of {policy.readings_to_recover} readings"
        return Health(
            status=held_from,
            reasons=(waits,),
            remembered=held_from,
            better_readings=better,
            last_at_s=max(reading.at_s, before.last_at_s),
        )
    return Health(status=left, reasons=held_reasons or reasons, remembered=left, last_at_s=reading.at_s)


def _unusable(reading: HealthReading | None, *, now: float, policy: HealthPolicy) -> str | None:
    if reading is None:
        return "nothing was measured"
    age_s = now - reading.at_s
    if not 0 <= age_s <= policy.stale_s:
        return f"the reading is {age_s:.0f} s old; it counts for {policy.stale_s:.0f} s"
    if reading.is_running and not _measured(reading):
        return "the reading has no values"
    return None


def _measured(reading: HealthReading) -> dict[str, float]:
    """Return the values that are numbers; what is negative or not finite was not measured."""
    values = {name: getattr(reading, name) for name in METRICS}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value) and value >= 0}


def _worst(reading: HealthReading, policy: HealthPolicy, *, share: float) -> tuple[HealthStatus, tuple[str, ...]]:
    """Return the worst status any value gives against lines lowered to `share`, and the values that give it."""
    if not reading.is_running:
        return HealthStatus.FAILED, ("the process is gone",)
    given: dict[str, HealthStatus] = {}
    values = _measured(reading)
    for name, value in values.items():
        threshold: Threshold = getattr(policy, name)
        if threshold.critical is not None and value >= threshold.critical * share:
            given[name] = HealthStatus.CRITICAL
        elif value >= threshold.degraded * share:
            given[name] = HealthStatus.DEGRADED
    worst = max(given.values(), key=_rank, default=HealthStatus.HEALTHY)
    reasons = tuple(f"{name} is {values[name]:g}: {status}" for name, status in given.items() if status is worst)
    return worst, reasons


def _rank(status: HealthStatus) -> int:
    return _WORSENING.index(status)
