"""From one metric to the count of replicas it asks for.

The rules are those of kubernetes/kubernetes `pkg/controller/podautoscaler/replica_calculator.go` and
`metrics/utilization.go`. Amounts are in thousandths ("milli") as integers, as there: 1000 milli-CPU is one core.
Three traps of the original are kept, because a count that differs by one is a different count: utilisation is a
whole percentage rounded down, averages are rounded down, and the tolerance is a closed interval.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping

from scaling.hpa.grouping import Groups, Member, Phase

INT64_MAX = 2**63 - 1
REPLICAS_MAX = 2**31 - 1
_NO_MEMBERS = "no pods returned by selector while calculating replica count"


class MetricUnusableError(Exception):
    """A metric says nothing of how many replicas are needed. Keep the count, or ask another metric."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far a ratio may be from 1 without anything being done: the closed interval [1 - down, 1 + up]."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        """Say whether `ratio` is within the tolerance."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one metric asks for."""

    replicas: int
    usage_milli: int
    """The usage the count was worked out from: an average, or a total for `propose_by_value`."""
    utilization_percent: int | None = None
    """For utilisation only: usage as a whole percentage of the request."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The fleet a metric was taken of."""

    replicas: int
    """The count now."""
    members: Collection[Member]
    groups: Groups


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Usage:
    """What some members use against a target: the ratio that drives the count, and the figures to report."""

    ratio: float
    average_milli: int
    percent: int | None = None


def propose_by_utilization(
    usage_milli: Mapping[str, int],
    fleet: Fleet,
    *,
    requests_milli: Mapping[str, int | None],
    target_percent: int,
    tolerance: Tolerance,
) -> Proposal:
    """Propose the count that brings usage to `target_percent` of what the members asked for.

    `usage_milli` and `requests_milli` are by member; usage of members that the fleet does not know enters no sum.
    A missing member counts as using its whole request (or the target, when that is above 100 %) if the others
    would scale down, and as using nothing if they would scale up. Raises MetricUnusableError.
    """
    if not usage_milli:
        raise MetricUnusableError(
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API"
        )
    trusted = _trusted(usage_milli, fleet)
    requests = _known_requests(requests_milli, fleet)

    def measure(usage: Mapping[str, int]) -> _Usage:
        return _utilization(usage, requests, target_percent=target_percent)

    fallback = {name: requests[name] * max(100, target_percent) // 100 for name in fleet.groups.missing}
    return _propose(trusted, fleet, measure=measure, fallback=fallback, tolerance=tolerance)


def propose_by_average(
    usage_milli: Mapping[str, int], fleet: Fleet, *, target_milli: int, tolerance: Tolerance, metric: str = "metric"
) -> Proposal:
    """Propose the count that brings the members' average usage to `target_milli`.

    A missing member counts as using exactly the target if the others would scale down, and as using nothing if
    they would scale up. Raises MetricUnusableError.
    """
    if not usage_milli:
        raise MetricUnusableError(f"unable to get metric {metric}: no metrics returned from custom metrics API")
    trusted = _trusted(usage_milli, fleet)

    def measure(usage: Mapping[str, int]) -> _Usage:
        average = _divide(_saturate(sum(usage.values())), len(usage))
        return _Usage(ratio=average / target_milli, average_milli=average)

    fallback = dict.fromkeys(fleet.groups.missing, target_milli)
    return _propose(trusted, fleet, measure=measure, fallback=fallback, tolerance=tolerance)


def propose_by_value(values_milli: Iterable[int], fleet: Fleet, *, target_milli: int, tolerance: Tolerance) -> Proposal:
    """Propose the count that brings a figure of the whole fleet, a queue for example, to `target_milli`.

    The ratio multiplies the members that run and are ready; from 0 replicas it is the count itself, without a
    tolerance. Several values are added up. Raises MetricUnusableError.
    """
    usage = _saturate(sum(values_milli))
    ratio = usage / target_milli
    if fleet.replicas == 0:
        return Proposal(replicas=_whole(ratio), usage_milli=usage)
    if tolerance.holds(ratio):
        return Proposal(replicas=fleet.replicas, usage_milli=usage)
    if not fleet.members:
        raise MetricUnusableError(f"unable to calculate ready pods: {_NO_MEMBERS}")
    ready = sum(1 for member in fleet.members if member.phase is Phase.RUNNING and member.is_ready)
    return Proposal(replicas=_whole(ratio * ready), usage_milli=usage)


def propose_by_share(
    values_milli: Iterable[int], replicas: int, *, target_milli: int, tolerance: Tolerance
) -> Proposal:
    """Propose the count that leaves each replica at most `target_milli` of a figure of the whole fleet.

    The usage reported is what falls to each replica now, rounded up.
    """
    usage = _saturate(sum(values_milli))
    ratio = usage / (target_milli * replicas) if replicas else math.inf
    wanted = replicas if tolerance.holds(ratio) else _whole(usage / target_milli)
    share = usage if usage == INT64_MAX or not replicas else math.ceil(usage / replicas)
    return Proposal(replicas=wanted, usage_milli=share)


def _trusted(usage_milli: Mapping[str, int], fleet: Fleet) -> dict[str, int]:
    """Leave out members that are on their way in or out."""
    if not fleet.members:
        raise MetricUnusableError(_NO_MEMBERS)
    out = fleet.groups.ignored | fleet.groups.unready
    trusted = {name: usage for name, usage in usage_milli.items() if name not in out}
    if not trusted:
        raise MetricUnusableError("did not receive metrics for targeted pods (pods might be unready)")
    return trusted


def _known_requests(requests_milli: Mapping[str, int | None], fleet: Fleet) -> dict[str, int]:
    known: dict[str, int] = {}
    for member in fleet.members:
        request = requests_milli.get(member.name)
        if request is None:
            raise MetricUnusableError(f"missing request for cpu in Pod {member.name}")
        known[member.name] = request
    return known


def _utilization(usage: Mapping[str, int], requests: Mapping[str, int], *, target_percent: int) -> _Usage:
    known = [name for name in usage if name in requests]
    used, asked = sum(usage[name] for name in known), sum(requests[name] for name in known)
    if asked == 0:
        raise MetricUnusableError("no metrics returned matched known pods")
    percent = min(_divide(used * 100, asked), REPLICAS_MAX)
    return _Usage(ratio=percent / target_percent, average_milli=_divide(used, len(known)), percent=percent)


def _propose(
    usage: Mapping[str, int],
    fleet: Fleet,
    *,
    measure: Callable[[Mapping[str, int]], _Usage],
    fallback: Mapping[str, int],
    tolerance: Tolerance,
) -> Proposal:
    """Turn the usage of the trusted members into a count, after filling in what is not known of the others."""
    groups = fleet.groups
    first = measure(usage)

    def settle(replicas: int) -> Proposal:
        return Proposal(replicas=replicas, usage_milli=first.average_milli, utilization_percent=first.percent)

    grows_with_unready = bool(groups.unready) and first.ratio > 1.0
    if not grows_with_unready and not groups.missing:
        held = tolerance.holds(first.ratio)
        return settle(fleet.replicas if held else _whole(first.ratio * groups.ready_count))
    filled = dict(usage)
    if first.ratio < 1.0:
        filled.update(fallback)
    elif first.ratio > 1.0:
        filled.update(dict.fromkeys(groups.missing, 0))
    if grows_with_unready:
        filled.update(dict.fromkeys(groups.unready, 0))
    second = measure(filled).ratio
    turns = (first.ratio < 1.0 < second) or (second < 1.0 < first.ratio)
    replicas = _whole(second * len(filled))
    contradicts = (second < 1.0 and replicas > fleet.replicas) or (second > 1.0 and replicas < fleet.replicas)
    return settle(fleet.replicas if tolerance.holds(second) or turns or contradicts else replicas)


def _divide(dividend: int, divisor: int) -> int:
    """Divide integers towards zero, as Go does."""
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _saturate(total: int) -> int:
    return min(total, INT64_MAX)


def _whole(replicas: float) -> int:
    """Round a count up, and keep it within what the original can hold."""
    return REPLICAS_MAX if replicas > REPLICAS_MAX else math.ceil(replicas)
