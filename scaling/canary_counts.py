"""How many agents of the new version and how many of the old stand for a weight, and the next safe move there.

Without a traffic router a weight can only be approximated by counts, and counts move within a surge and an
unavailability budget. With a router the weight is exact, and the counts follow it. The rules are those of
argoproj/argo-rollouts `utils/replicaset/canary.go` and `replicaset.go` (Apache-2.0), at commit 9f8d111d.
Counts that serve traffic are "available"; counts that were asked for are "wanted" (there: spec.replicas).
"""

import dataclasses
import math
from collections.abc import Sequence

WEIGHT_MAX = 100
Share = int | str
"""A count, or a percentage of the fleet such as ``25%``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """The agents of one version: how many were asked for, and how many serve."""

    wanted: int
    available: int


@dataclasses.dataclass(frozen=True, slots=True)
class Counts:
    """How many agents each version should have."""

    canary: int
    stable: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """By how much a fleet may be over and under its size while it moves."""

    surge: int
    unavailable: int


def resolve_budget(replicas: int, *, surge: Share | None = None, unavailable: Share | None = None) -> Budget:
    """Work out a budget for a fleet of `replicas`; the default of both is ``25%``.

    A surge is rounded up, an unavailability down. If both come to 0 nothing could move, so one may then be
    missing; never more than there are. Raises ValueError on a share that is neither a count nor a percentage.
    """
    over = _resolve_share("25%" if surge is None else surge, replicas, rounds_up=True)
    under = _resolve_share("25%" if unavailable is None else unavailable, replicas, rounds_up=False)
    if over == 0 and under == 0:
        under = 1
    return Budget(surge=over, unavailable=min(under, replicas))


def approximate_weight(replicas: int, weight: int, *, surge: int, weight_max: int = WEIGHT_MAX) -> Counts:
    """Return the counts whose share comes nearest to `weight`, with one agent more in all if there is a surge.

    Between 1 and 99 % both versions get at least one agent, unless there is only one and no surge. When two
    counts are equally near the larger canary wins. Example: 10 agents at 24 % with a surge are 3 beside 8. Where the
    larger of two equally near ones is all agents and there is no surge, the original finds no count: none (5 at 90 %).
    """
    if replicas == 0:
        return Counts(0, 0)
    exact = replicas * weight / weight_max
    upper, lower = math.ceil(exact), math.floor(exact)
    may_be_none = weight in (0, weight_max) or (replicas == 1 and surge == 0)
    options: list[tuple[int, int]] = []
    if upper < replicas or may_be_none:
        options.append((upper, replicas))
    has_lower = lower != 0 or may_be_none
    if has_lower and not _is_tied(replicas, weight, weight_max=weight_max):
        options.append((lower, replicas))
    if surge > 0:
        options.append((upper, replicas + 1))
        if has_lower and not _is_tied(replicas + 1, weight, weight_max=weight_max):
            options.append((lower, replicas + 1))
    if not options:
        return Counts(0, replicas)
    # min() keeps the first of equals, as the original does.
    canary, total = min(options, key=lambda option: abs(option[0] * weight_max / option[1] - weight))
    return Counts(canary, total - canary)


def replicas_for_weight(replicas: int, weight: int, *, weight_max: int = WEIGHT_MAX) -> int:
    """Return the agents that serve `weight` when a router splits exactly: rounded up."""
    return math.ceil(weight * replicas / weight_max)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet in the middle of a rollout without a traffic router."""

    replicas: int
    """The size it should have."""
    canary: Side
    stable: Side
    older_wanted: int = 0
    """Agents of versions older than both."""

    @property
    def wanted(self) -> int:
        """All that were asked for."""
        return self.canary.wanted + self.stable.wanted + self.older_wanted


def next_counts(fleet: Fleet, weight: int, *, budget: Budget, weight_max: int = WEIGHT_MAX) -> Counts:
    """Return the counts to ask for next on the way to `weight`, within the budget.

    Up first, the old version before the new one, as far as the surge allows. Down only when versions older than
    both are gone, and only the side that has too many, as long as enough serve. The side that grows is counted
    by what serves, the side that shrinks by what was asked for: else a broken version could never be drained.
    """
    goal = approximate_weight(fleet.replicas, weight, surge=budget.surge, weight_max=weight_max)
    most, least = fleet.replicas + budget.surge, fleet.replicas - budget.unavailable
    room = most - fleet.wanted
    stable = _grow(fleet.stable.wanted, goal.stable, room=room)
    canary = _grow(fleet.canary.wanted, goal.canary, room=room - (stable - fleet.stable.wanted))
    if fleet.older_wanted > 0:
        return Counts(canary, stable)
    grows = goal.canary >= fleet.canary.wanted
    serving = _counted(fleet.canary, ignores_availability=not grows) + _counted(
        fleet.stable, ignores_availability=grows
    )
    if serving <= least:
        return Counts(canary, stable)
    spare = serving - least
    if grows:
        drained = _Drain(_shrink(fleet.stable.wanted, goal.stable, spare=spare, planned=stable), fleet.stable)
        stable, canary = drained.settle(_Kept(canary, fleet.canary), most=most, least=least)
    else:
        drained = _Drain(_shrink(fleet.canary.wanted, goal.canary, spare=spare, planned=canary), fleet.canary)
        canary, stable = drained.settle(_Kept(stable, fleet.stable), most=most, least=least)
    return Counts(canary, stable)


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    planned: int
    side: Side


@dataclasses.dataclass(frozen=True, slots=True)
class _Drain:
    planned: int
    side: Side

    def settle(self, kept: _Kept, *, most: int, least: int) -> tuple[int, int]:
        """Bring both sides within `most`: first the kept one as far as enough serve, then the drained one."""
        planned = kept.planned - max(0, kept.planned + self.planned - most)
        serving = min(self.side.available, self.planned) + min(kept.side.available, planned)
        lost = max(0, kept.side.available - planned)
        planned += min(lost, max(0, least - serving))
        return self.planned - max(0, planned + self.planned - most), planned


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CanaryScale:
    """An explicit size for the canary, apart from its weight; used only with a traffic router."""

    replicas: int | None = None
    weight: int | None = None
    matches_traffic_weight: bool = False
    """Whether this step ends an explicit size given before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RoutedStep:
    """Where a rollout with a traffic router stands."""

    replicas: int
    weight: int
    scale: CanaryScale | None = None
    is_aborted: bool = False
    abort_delay_s: int | None = None
    """Seconds the canary outlives an abort; None is the default of 30, an explicit 0 keeps it for good."""
    members_min: int | None = None
    """The least agents a version that is not at 0 may have."""


def routed_canary(step: RoutedStep, *, weight_max: int = WEIGHT_MAX) -> int:
    """Return the agents of the new version when a router splits the traffic.

    An explicit size counts before the weight, unless the rollout was aborted and the canary is to end.
    """
    scale = step.scale
    ends = step.is_aborted and step.abort_delay_s != 0
    if scale is None or scale.matches_traffic_weight or ends:
        scale = CanaryScale()
    if scale.replicas is not None:
        return scale.replicas
    weight = step.weight if scale.weight is None else scale.weight
    count = replicas_for_weight(step.replicas, weight, weight_max=weight_max)
    return _at_least_members(count, step)


def routed_counts(step: RoutedStep, *, weight_max: int = WEIGHT_MAX) -> Counts:
    """Return both counts when the old version stays whole, so that going back takes no time."""
    return Counts(routed_canary(step, weight_max=weight_max), step.replicas)


@dataclasses.dataclass(frozen=True, slots=True)
class TrafficWeights:
    """What the router sends to each version now."""

    canary: int
    stable: int


def dynamic_counts(step: RoutedStep, traffic: TrafficWeights | None, *, weight_max: int = WEIGHT_MAX) -> Counts:
    """Return both counts when the old version shrinks as the new one grows.

    Neither side goes below the traffic it still gets: the old one always, the new one during an abort.
    """
    canary = routed_canary(step, weight_max=weight_max)
    stable = replicas_for_weight(step.replicas, weight_max - step.weight, weight_max=weight_max)
    if traffic is not None:
        stable = max(stable, replicas_for_weight(step.replicas, traffic.stable, weight_max=weight_max))
        if step.is_aborted:
            canary = max(canary, replicas_for_weight(step.replicas, traffic.canary, weight_max=weight_max))
    return Counts(_at_least_members(canary, step), _at_least_members(stable, step))


def abort_weight(
    step_weights: Sequence[int], replicas: int, *, canary: Side, stable: Side, abort_delay_s: int | None = None
) -> int:
    """Return the weight to go back to next when an abort walks the steps backwards.

    It is the highest step whose canary is smaller than what the old version cannot cover yet, or than the canary
    that still serves; else 0. With an explicit delay the canary's own size does not count: it would wait for the
    weight while the weight waits for it.
    """
    needed = replicas - stable.available
    if not abort_delay_s:
        needed = max(needed, canary.available)
    smaller = [weight for weight in reversed(step_weights) if replicas_for_weight(replicas, weight) < needed]
    return smaller[0] if smaller else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Threshold:
    """When a step counts as reached: so many agents serve, or so many percent of those wanted."""

    value: int
    is_percentage: bool = False


def is_step_reached(threshold: Threshold | None, side: Side | None, *, desired: int) -> bool:
    """Say whether enough agents of a version serve for the step to count as reached.

    Without a threshold, or with a negative one, all must have been asked for and serve.
    """
    if side is None or threshold is None or threshold.value < 0:
        return side is not None and desired == side.wanted == side.available
    if not threshold.is_percentage:
        return side.available >= threshold.value
    if desired == 0:
        return True
    percent = side.available / desired * 100
    return percent >= threshold.value or math.isclose(percent, threshold.value, rel_tol=0.0, abs_tol=1e-10)


def _resolve_share(share: Share, replicas: int, *, rounds_up: bool) -> int:
    if isinstance(share, int):
        return share
    number = share.removesuffix("%")
    if number == share or not number.isdigit():
        raise ValueError(f"{share!r} is neither a count nor a percentage such as '25%'")
    hundredths = int(number) * replicas
    return -(-hundredths // 100) if rounds_up else hundredths // 100


def _is_tied(total: int, weight: int, *, weight_max: int) -> bool:
    return math.modf(total * (weight / weight_max))[0] == 0.5


def _grow(now: int, goal: int, *, room: int) -> int:
    return min(goal, now + room) if now < goal and room > 0 else now


def _shrink(now: int, goal: int, *, spare: int, planned: int) -> int:
    return max(goal, now - spare) if now > goal else planned


def _counted(side: Side, *, ignores_availability: bool) -> int:
    if side.wanted < side.available or ignores_availability:
        return side.wanted
    return side.available


def _at_least_members(count: int, step: RoutedStep) -> int:
    if count == 0 or step.members_min is None:
        return count
    return max(count, min(step.members_min, step.replicas))
