"""How far a count may move in a period, and between which bounds.

A rule is a set of policies ("4 more in 15 s", "100 % more in 15 s") of which the largest change is allowed, or
the smallest, or none. What already happened in the period counts: from the count at the period's start, as told
by the scale events. After kubernetes/kubernetes `pkg/controller/podautoscaler/horizontal.go`,
`convertDesiredReplicasWithBehaviorRate` and `storeScaleEvent`; the defaults are those of
`pkg/apis/autoscaling/v2/defaults.go`.
"""

import dataclasses
import enum
import math
from collections.abc import Iterable, Sequence


class Unit(enum.StrEnum):
    """What a policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Select(enum.StrEnum):
    """Which of several policies counts: that of the largest change, of the smallest, or no change at all."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class Limit(enum.StrEnum):
    """What bound a count."""

    WITHIN_RANGE = "DesiredWithinRange"
    TOO_FEW = "TooFewReplicas"
    TOO_MANY = "TooManyReplicas"
    SCALE_UP = "ScaleUpLimit"
    SCALE_DOWN = "ScaleDownLimit"


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """At most `value` pods or percent in `period_s` seconds."""

    unit: Unit
    value: int
    period_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The policies of one direction."""

    policies: tuple[Policy, ...]
    select: Select = Select.MAX


@dataclasses.dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A change that was made: how many replicas, always positive, and when."""

    change: int
    at_s: float
    is_outdated: bool = False
    """Whether no policy needs it any more, so that its place may be taken."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The changes made in each direction."""

    ups: tuple[ScaleEvent, ...] = ()
    downs: tuple[ScaleEvent, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """How fast a fleet may grow and shrink."""

    up: Rules = Rules(policies=(Policy(Unit.PODS, 4, 15), Policy(Unit.PERCENT, 100, 15)))
    down: Rules = Rules(policies=(Policy(Unit.PERCENT, 100, 15),))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The least and the most replicas there may be."""

    at_least: int
    at_most: int


@dataclasses.dataclass(frozen=True, slots=True)
class Limited:
    """A count and what bound it."""

    replicas: int
    limit: Limit


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has been changed, seen from `now`."""

    events: Events
    now: float

    def start_of_period(self, current: int, period_s: float) -> int:
        """Return the count when the period began. An event exactly as old as the period is out of it."""
        added = change_within(self.events.ups, period_s, now=self.now)
        removed = change_within(self.events.downs, period_s, now=self.now)
        return current - added + removed


def limit_rate(desired: int, current: int, *, bounds: Bounds, behavior: Behavior, changes: Changes) -> Limited:
    """Bring `desired` within what the policies allow now, and within the bounds of that direction.

    A bound of the other direction is not looked at, as upstream: the caller brings a count that is out of bounds
    back at once, before anything else.
    """
    if desired > current:
        allowed = max(current, up_limit(current, behavior.up, changes=changes))
        if bounds.at_most > allowed:
            return Limited(allowed, Limit.SCALE_UP) if desired > allowed else Limited(desired, Limit.WITHIN_RANGE)
        return _at_most(desired, bounds.at_most)
    if desired < current:
        allowed = min(current, down_limit(current, behavior.down, changes=changes))
        if bounds.at_least < allowed:
            return Limited(allowed, Limit.SCALE_DOWN) if desired < allowed else Limited(desired, Limit.WITHIN_RANGE)
        return _at_least(desired, bounds.at_least)
    return Limited(desired, Limit.WITHIN_RANGE)


def limit_without_behavior(desired: int, current: int, *, bounds: Bounds) -> Limited:
    """Bring `desired` within the bounds and below twice the current count, or 4 when that is more."""
    fast = max(2 * current, 4)
    if desired < bounds.at_least:
        return Limited(bounds.at_least, Limit.TOO_FEW)
    if bounds.at_most > fast:
        return Limited(fast, Limit.SCALE_UP) if desired > fast else Limited(desired, Limit.WITHIN_RANGE)
    return _at_most(desired, bounds.at_most)


def up_limit(current: int, rules: Rules, *, changes: Changes) -> int:
    """Return the most replicas the policies allow now; it may be below `current`."""
    if rules.select is Select.DISABLED or not rules.policies:
        return current
    proposals = []
    for policy in rules.policies:
        start = changes.start_of_period(current, policy.period_s)
        # Rounded up, because a small percentage of a small count would never let it grow.
        grown = start + policy.value if policy.unit is Unit.PODS else math.ceil(start * (1 + policy.value / 100))
        proposals.append(grown)
    return min(proposals) if rules.select is Select.MIN else max(proposals)


def down_limit(current: int, rules: Rules, *, changes: Changes) -> int:
    """Return the fewest replicas the policies allow now; it may be above `current`, or negative."""
    if rules.select is Select.DISABLED or not rules.policies:
        return current
    proposals = []
    for policy in rules.policies:
        start = changes.start_of_period(current, policy.period_s)
        shrunk = start - policy.value if policy.unit is Unit.PODS else int(start * (1 - policy.value / 100))
        proposals.append(shrunk)
    return max(proposals) if rules.select is Select.MIN else min(proposals)


def change_within(events: Iterable[ScaleEvent], period_s: float, *, now: float) -> int:
    """Add up the changes strictly younger than `period_s` seconds."""
    return sum(event.change for event in events if now - event.at_s < period_s)


def store_event(
    events: Sequence[ScaleEvent], change: int, *, rules: Rules | None, now: float
) -> tuple[ScaleEvent, ...]:
    """Remember a change of `change` replicas; without rules nothing is remembered.

    Events older than the longest period are marked, and the last of them gives its place to the new one.
    """
    if rules is None:
        return tuple(events)
    longest_s = max((policy.period_s for policy in rules.policies), default=0.0)
    marked = [
        dataclasses.replace(event, is_outdated=event.is_outdated or now - event.at_s > longest_s) for event in events
    ]
    newest = ScaleEvent(change, now)
    outdated = [index for index, event in enumerate(marked) if event.is_outdated]
    if outdated:
        marked[outdated[-1]] = newest
    else:
        marked.append(newest)
    return tuple(marked)


def _at_most(desired: int, most: int) -> Limited:
    return Limited(most, Limit.TOO_MANY) if desired > most else Limited(desired, Limit.WITHIN_RANGE)


def _at_least(desired: int, least: int) -> Limited:
    return Limited(least, Limit.TOO_FEW) if desired < least else Limited(desired, Limit.WITHIN_RANGE)
