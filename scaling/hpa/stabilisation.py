"""A proposal against the proposals of the recent past, so that one noisy sample moves nothing.

Within a window the highest recent proposal holds a count up, and the lowest holds it down. What is remembered
are the proposals as they came, not the counts that were made of them: a count that is held up must not hold
itself up. After kubernetes/kubernetes `pkg/controller/podautoscaler/horizontal.go`,
`stabilizeRecommendationWithBehaviors` and `stabilizeRecommendation`.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Recommendation:
    """A proposed count and when it was made, in seconds on the caller's clock."""

    replicas: int
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How many seconds back proposals are looked at, by direction. 0 looks at none."""

    up_s: float = 0.0
    down_s: float = 300.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stabilised:
    """The count after looking back, and the memory to hand in next time."""

    replicas: int
    history: tuple[Recommendation, ...]


def stabilise(
    desired: int, *, current: int, history: Sequence[Recommendation], now: float, windows: Windows
) -> Stabilised:
    """Bring `current` between the lowest proposal of the up window and the highest of the down window.

    A proposal is within a window when it is strictly younger than the window. The new one takes the place of the
    last that is older than both windows, so the memory is bounded by what the windows need.
    """
    ages = [now - past.at_s for past in history]
    ups = [past.replicas for past, age in zip(history, ages, strict=True) if age < windows.up_s]
    downs = [past.replicas for past, age in zip(history, ages, strict=True) if age < windows.down_s]
    floor, ceiling = min([desired, *ups]), max([desired, *downs])
    outdated = [index for index, age in enumerate(ages) if age > windows.up_s and age > windows.down_s]
    return Stabilised(
        replicas=min(max(current, floor), ceiling),
        history=_remember(history, Recommendation(desired, now), outdated=outdated),
    )


def stabilise_down(
    desired: int, *, history: Sequence[Recommendation], now: float, window_s: float = 300.0
) -> Stabilised:
    """Return the highest proposal not older than `window_s`; the rule for a fleet without a behaviour block.

    Here, unlike in `stabilise`, a proposal exactly as old as the window is still within it.
    """
    recent = [past.replicas for past in history if now - past.at_s <= window_s]
    outdated = [index for index, past in enumerate(history) if now - past.at_s > window_s]
    return Stabilised(
        replicas=max([desired, *recent]), history=_remember(history, Recommendation(desired, now), outdated=outdated)
    )


def _remember(
    history: Sequence[Recommendation], newest: Recommendation, *, outdated: Sequence[int]
) -> tuple[Recommendation, ...]:
    if not outdated:
        return (*history, newest)
    kept = list(history)
    kept[outdated[-1]] = newest
    return tuple(kept)
