"""Values that do not belong to what came before: by the median and by a moving average.

The point under test never enters its own baseline. A z-score that includes it cannot exceed (n - 1) / sqrt(n),
so that three sigma are out of reach for up to ten points, and one outlier hides the next. The median and the
median absolute deviation stand half of the points being wrong (Hampel, "The influence curve and its role in robust
estimation", Journal of the American Statistical Association 69 (1974) 383-393).

False alarms of the defaults, counted on Gaussian noise with fixed seeds: the median's rule raises 4 in 100,000 points
and the moving average's 7 (300,000 and 800,000 points); tests/unit/test_anomalies.py holds both below 30. On noise
with heavy tails (Student's t with 4 degrees of freedom) they raise 7 and 5 in 1,000: there an outlier is ordinary.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

MAD_TO_SIGMA = 1.4826
"""What a median absolute deviation is multiplied by to estimate the standard deviation of a normal distribution."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a point came out as."""

    score: float | None
    """Distance from the baseline in its own sigmas, signed; None while there is no baseline."""
    is_anomaly: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MedianRule:
    """Compares a point with the median of those before it."""

    window: int = 60
    """How many points the baseline has at most."""
    points_min: int = 20
    """Below this many nothing is an anomaly."""
    threshold: float = 5.0
    """From this many sigmas a point is one. The median of 60 points is itself uncertain: 3 would alarm all day."""
    sigma_min: float = 1e-9
    """A lower bound for sigma, in the unit of the values: a constant series has none."""
    adopt_after: int = 10
    """So many anomalies in a row are the new normal."""


@dataclasses.dataclass(frozen=True, slots=True)
class MedianState:
    """The baseline, and the anomalies in a row since."""

    points: tuple[float, ...] = ()
    outside: tuple[float, ...] = ()


def check_by_median(state: MedianState, value: float, *, rule: MedianRule) -> tuple[Checked, MedianState]:
    """Test a point against those before it, and return the state to test the next with.

    An anomaly does not enter the baseline, unless so many follow each other that the level has moved. What is not
    a number is neither an anomaly nor part of the baseline.
    """
    if not math.isfinite(value):
        return Checked(score=None, is_anomaly=False), state
    score = (
        median_score(state.points, value, sigma_min=rule.sigma_min) if len(state.points) >= rule.points_min else None
    )
    if score is None or abs(score) < rule.threshold:
        return Checked(score=score, is_anomaly=False), MedianState((*state.points, value)[-rule.window :])
    outside = (*state.outside, value)
    if len(outside) >= rule.adopt_after:
        return Checked(score=score, is_anomaly=True), MedianState(outside[-rule.window :])
    return Checked(score=score, is_anomaly=True), MedianState(state.points, outside)


def median_score(points: Sequence[float], value: float, *, sigma_min: float = 1e-9) -> float:
    """Return how many robust sigmas `value` is from the median of `points`, which must not contain it."""
    middle = statistics.median(points)
    spread = MAD_TO_SIGMA * statistics.median(abs(point - middle) for point in points)
    return (value - middle) / max(spread, sigma_min)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AverageRule:
    """Compares a point with an exponentially weighted mean of those before it; it forgets slowly and needs no list."""

    weight: float = 0.05
    """Of the newest point, so that about 2 / weight points matter."""
    points_min: int = 60
    threshold: float = 4.5
    """From this many sigmas a point is an anomaly."""
    sigma_min: float = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class AverageState:
    """The mean and the variance so far, each weighted, and how many points there were."""

    mean: float = 0.0
    variance: float = 0.0
    count: int = 0


def check_by_average(state: AverageState, value: float, *, rule: AverageRule) -> tuple[Checked, AverageState]:
    """Test a point against the moving average before it, and return the state to test the next with.

    An anomaly enters only as far as the threshold, so that one cannot blind the test for the next, and a new
    level is still learned.
    """
    if not math.isfinite(value):
        return Checked(score=None, is_anomaly=False), state
    sigma = max(math.sqrt(state.variance), rule.sigma_min)
    score = (value - state.mean) / sigma if state.count >= rule.points_min else None
    is_anomaly = score is not None and abs(score) >= rule.threshold
    taken = state.mean + math.copysign(rule.threshold * sigma, value - state.mean) if is_anomaly else value
    # The first points weigh alike, as in a plain mean; later ones by the weight.
    weight = max(rule.weight, 1.0 / (state.count + 1))
    moved = taken - state.mean
    mean = state.mean + weight * moved
    variance = (1.0 - weight) * (state.variance + weight * moved * moved)
    return Checked(score=score, is_anomaly=is_anomaly), AverageState(mean, variance, state.count + 1)
