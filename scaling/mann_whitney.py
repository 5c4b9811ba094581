"""The shift between two samples by ranks: the Mann-Whitney test with a confidence interval, as Kayenta has it.

The interval is found by inverting the normal approximation with corrections for ties and continuity, as R's
`wilcox.test` does. The root finder is part of the definition: its tolerance is an absolute 1e-4, so on data of
that scale another finder gives another answer. After spinnaker/kayenta `kayenta-mannwhitney` (Apache-2.0), at
commit a69573be; `classification` judges by it.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

ITERATIONS_MAX = 1001
ROOT_TOLERANCE = 1e-4
EPSILON = 2.220446049250313e-16

Samples = Sequence[float] | npt.NDArray[np.float64]
Function = Callable[[float], float]
Point = tuple[float, float]


class AllTiedError(ValueError):
    """All observations are the same: there is no interval."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShiftInterval:
    """Where the shift of the first sample against the second lies, in the samples' unit."""

    low: float
    high: float
    estimate: float


def estimate_shift(x: Samples, y: Samples, *, confidence: float) -> ShiftInterval:
    """Return the shift from `y` to `x` and its two-sided interval. Raises AllTiedError.

    The search goes from the smallest possible shift to the largest; an end that the statistic does not cross is
    the bound itself.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    lowest, highest = float(first.min() - second.max()), float(first.max() - second.min())
    # The same sum as in the original: 1 - 0.95 is not 0.05.
    quantile = statistics.NormalDist().inv_cdf((1.0 - confidence) / 2)

    def root(z: float, *, is_bounded: bool) -> float:
        def difference(shift: float) -> float:
            return rank_difference(first, second, shift=shift, quantile=z)

        at_lowest, at_highest = difference(lowest), difference(highest)
        if is_bounded and at_lowest <= 0:
            return lowest
        if is_bounded and at_highest >= 0:
            return highest
        return find_root(difference, low=(lowest, at_lowest), high=(highest, at_highest))

    return ShiftInterval(
        low=root(-quantile, is_bounded=True),
        high=root(quantile, is_bounded=True),
        estimate=root(0.0, is_bounded=False),
    )


def rank_difference(x: Samples, y: Samples, *, shift: float, quantile: float) -> float:
    """Return the standardised rank sum of `x` moved down by `shift`, less `quantile`. Raises AllTiedError.

    Ranks of equals are averaged, the variance is corrected for them, and half a rank is taken off towards zero.
    """
    moved, other = np.asarray(x, dtype=float) - shift, np.asarray(y, dtype=float)
    n, m = len(moved), len(other)
    ranks, tie_sizes = average_ranks(np.concatenate([moved, other]))
    excess = float(ranks[:n].sum()) - n * (n + 1) / 2 - n * m / 2
    ties = float(((tie_sizes.astype(float) ** 3) - tie_sizes).sum())
    variance = (n * m / 12) * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        raise AllTiedError("cannot compute confidence interval when all observations are tied")
    return (excess - 0.5 * float(np.sign(excess))) / math.sqrt(variance) - quantile


def average_ranks(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the rank of each value from 1, equals sharing the mean, and the size of each set of equals."""
    _, places, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[places.reshape(-1)], sizes


def find_root(function: Function, *, low: Point, high: Point) -> float:
    """Find where `function` crosses zero between two points (x, value), by Brent's method as in R's ``zeroin``.

    The tolerance is absolute. Without a crossing the result is wherever the search ends, as in the original.
    """
    a, fa = low
    b, fb = high
    if fa == 0:
        return a
    if fb == 0:
        return b
    c, fc = a, fa
    for _ in range(ITERATIONS_MAX):
        previous = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        tolerance = 2 * EPSILON * abs(b) + ROOT_TOLERANCE / 2
        step = (c - b) / 2
        if abs(step) <= tolerance or fb == 0:
            return b
        if abs(previous) >= tolerance and abs(fa) > abs(fb):
            step = _interpolate(((a, fa), (b, fb), (c, fc)), previous=previous, tolerance=tolerance)
        if abs(step) < tolerance:
            step = math.copysign(tolerance, step) if step != 0 else -tolerance
        a, fa = b, fb
        b += step
        fb = function(b)
        if (fb > 0 and fc > 0) or (fb < 0 and fc < 0):
            c, fc = a, fa
    return b


def _interpolate(points: tuple[Point, Point, Point], *, previous: float, tolerance: float) -> float:
    """Return the step of an interpolation through the points, or that of a bisection where it would stray."""
    (a, fa), (b, fb), (c, fc) = points
    span = c - b
    if a == c:
        ratio = fb / fa
        p, q = span * ratio, 1.0 - ratio
    else:
        q, t1, t2 = fa / fc, fb / fc, fb / fa
        p = t2 * (span * q * (q - t1) - (b - a) * (t1 - 1.0))
        q = (q - 1.0) * (t1 - 1.0) * (t2 - 1.0)
    p, q = (p, -q) if p > 0 else (-p, q)
    fits = p < 0.75 * span * q - abs(tolerance * q) / 2 and p < abs(previous * q / 2)
    return p / q if fits else span / 2
