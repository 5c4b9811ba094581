"""From what was measured to how many agents each measurement asks for.

Each metric proposes for itself, with a reason; what cannot be believed proposes nothing. A metric that is missing,
late, from the future, not a number or negative may stop a scale-down, and never causes one.

Three kinds of demand: a usage against a target (Kubernetes' rule), a backlog against the time it may take (dask
`distributed/scheduler.py`, `adaptive_target`: the total occupancy over the target duration, and never more workers than
tasks), and arrivals against the capacity of an agent (Little's law).
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from scaling.hpa.calculator import Tolerance

DEFAULT_TOLERANCE = Tolerance(down=0.25, up=0.1)
"""Kubernetes has a tenth both ways. On loads with a noise of 15 % a quarter on the way down makes a quarter of the
changes of mind (485 instead of 1,786 over the VIX of August 2015) for 2.6 % more dollars and no more late tasks."""
AGENTS_MAX = 1_000_000
"""No proposal goes beyond this, whatever was measured."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """An average over the agents and what it should be, in one unit: 62 % CPU of 70 %."""

    name: str
    value: float
    target: float
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Tasks that wait and run, and within how many seconds they should all be done."""

    name: str
    queued: float
    running: float
    task_s: float
    """What a task takes on average."""
    target_s: float
    at_s: float
    tasks_at_once: int = 1
    """By one agent."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Tasks that come in a second, and the share of its time an agent should be busy."""

    name: str
    per_s: float
    task_s: float
    busy_share: float
    at_s: float
    tasks_at_once: int = 1


Metric = Usage | Backlog | Arrivals


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DemandPolicy:
    """What is believed, and how small a change is worth nothing."""

    tolerance: Tolerance = DEFAULT_TOLERANCE
    stale_s: float = 60.0
    """Older metrics are not believed."""
    skew_s: float = 5.0
    """Metrics may be this far in the future, by clocks that differ."""


@dataclasses.dataclass(frozen=True, slots=True)
class Proposed:
    """How many agents a metric asks for, and why. None: it cannot be believed."""

    metric: str
    agents: int | None
    reason: str


def propose_all(
    metrics: Sequence[Metric], agents: int, *, ready: int, now: float, policy: DemandPolicy
) -> tuple[Proposed, ...]:
    """Return what each metric asks for, given that there are `agents` now, of which `ready` serve.

    Two metrics of one name that ask for different counts contradict each other, and neither is believed.
    """
    proposals = [propose(metric, agents, ready=ready, now=now, policy=policy) for metric in metrics]
    asked = Counter(name for name, _ in {(one.metric, one.agents) for one in proposals})
    return tuple(
        Proposed(one.metric, None, f"{one.metric} contradicts itself: {one.reason}") if asked[one.metric] > 1 else one
        for one in proposals
    )


def propose(metric: Metric, agents: int, *, ready: int, now: float, policy: DemandPolicy) -> Proposed:
    """Return what one metric asks for.

    A usage is an average over those that serve, so it is multiplied by them: agents that are on their way would
    otherwise be asked for twice.
    """
    if problem := _unbelievable(metric, now=now, policy=policy):
        return Proposed(metric.name, None, f"{metric.name} is not believed: {problem}")
    match metric:
        case Usage():
            return _from_usage(metric, agents, ready=ready, tolerance=policy.tolerance)
        case Backlog():
            return _from_backlog(metric)
        case Arrivals():
            return _from_arrivals(metric, agents, tolerance=policy.tolerance)
        case _:  # pragma: no cover
            assert_never(metric)


def _unbelievable(metric: Metric, *, now: float, policy: DemandPolicy) -> str | None:
    age_s = now - metric.at_s
    if not -policy.skew_s <= age_s <= policy.stale_s:
        return f"it is {age_s:.0f} s old; it counts for {policy.stale_s:.0f} s"
    values = {
        field.name: getattr(metric, field.name)
        for field in dataclasses.fields(metric)
        if field.name not in ("name", "at_s")
    }
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            return f"{name} is {value}"
    positive = ("target", "target_s", "busy_share", "tasks_at_once")
    if zero := next((name for name in positive if values.get(name) == 0), None):
        return f"{zero} is 0"
    return None


def _from_usage(metric: Usage, agents: int, *, ready: int, tolerance: Tolerance) -> Proposed:
    ratio = metric.value / metric.target
    said = f"{metric.name} is {metric.value:g} of {metric.target:g}"
    if agents > 0 and tolerance.holds(ratio):
        return Proposed(metric.name, agents, f"{said}, within the tolerance")
    return Proposed(metric.name, _whole(ratio * max(ready, 1)), said)


def _from_backlog(metric: Backlog) -> Proposed:
    tasks = metric.queued + metric.running
    work_s = tasks * metric.task_s
    by_time, by_tasks = work_s / metric.target_s, tasks
    wanted = _whole(min(by_time, by_tasks) / metric.tasks_at_once)
    if metric.queued > 0 or metric.running > 0:
        wanted = max(wanted, 1)
    said = f"{metric.name}: {tasks:g} tasks of {metric.task_s:g} s are {work_s:g} s of work for {metric.target_s:g} s"
    return Proposed(metric.name, wanted, said)


def _from_arrivals(metric: Arrivals, agents: int, *, tolerance: Tolerance) -> Proposed:
    busy = metric.per_s * metric.task_s / metric.tasks_at_once
    exact = busy / metric.busy_share
    said = f"{metric.name}: {metric.per_s:g} tasks a second keep {busy:.1f} agents busy"
    if agents > 0 and tolerance.holds(exact / agents):
        return Proposed(metric.name, agents, f"{said}, within the tolerance")
    return Proposed(metric.name, _whole(exact), said)


def _whole(agents: float) -> int:
    # A hair below a whole number is that number: 0.1 * 3 / 0.3 is not 2.
    return math.ceil(min(agents, AGENTS_MAX) - 1e-9)
