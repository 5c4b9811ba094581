"""The classic statistical judge of one metric: is the new version's sample high, low or alike?

After spinnaker/kayenta `MannWhitneyClassifier`, `EffectSizes`, `IQRDetector`, `KSigmaDetector` and `Transforms`
(Apache-2.0), at commit a69573be. Its limits are known: the bound is a share of the shift itself and not of the
metric, so with enough samples any shift is "high"; it does not know how often it is asked. `sequential` is the
judge that decides here; this one stands beside it.
"""

import dataclasses
import enum
import math
import random
from collections.abc import Sequence

import numpy as np

from scaling.mann_whitney import average_ranks, estimate_shift

NOISE_SHARE = 1e-5
"""Noise put on two constant samples, as a share of their value, so that they have ranks."""


class Label(enum.StrEnum):
    """What a metric came out as."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"
    ERROR = "Error"


class Direction(enum.StrEnum):
    """Which way a metric must not move."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


class NanStrategy(enum.StrEnum):
    """What becomes of a value that is not a number: left out, or taken as 0."""

    REMOVE = "remove"
    REPLACE = "replace"


class EffectMeasure(enum.StrEnum):
    """How large a difference is: the ratio of the means, or the chance that the new version's value is higher."""

    MEAN_RATIO = "meanRatio"
    CLES = "cles"


@dataclasses.dataclass(frozen=True, slots=True)
class EffectBounds:
    """The effect from which a low and a high metric count."""

    low: float = 1.0
    high: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """How one metric is judged. The defaults are those of NetflixACAJudge-v1.0."""

    tolerance: float = 0.25
    """A share of the estimated shift that the interval must clear."""
    confidence: float = 0.98
    effect: EffectBounds = EffectBounds()
    critical_effect: EffectBounds = EffectBounds()
    measure: EffectMeasure = EffectMeasure.MEAN_RATIO
    direction: Direction = Direction.EITHER
    nan_strategy: NanStrategy = NanStrategy.REMOVE
    is_critical: bool = False
    """Whether this metric alone can fail the whole."""
    needs_data: bool = False
    """Whether missing data fails this metric."""


@dataclasses.dataclass(frozen=True, slots=True)
class Classification:
    """What a metric came out as, whether that fails the whole, and the ratio of the means."""

    label: Label
    is_critical: bool
    deviation: float = 1.0


def classify(
    experiment: Sequence[float], control: Sequence[float], *, criteria: Criteria, rng: random.Random
) -> Classification:
    """Judge `experiment`, the new version's sample, against `control`.

    `rng` is drawn from only when both samples are constant and differ: then they get noise, as there are no
    ranks without it.
    """
    new, old = clean(experiment, criteria.nan_strategy), clean(control, criteria.nan_strategy)
    if not new or not old:
        return _judge_missing(criteria)
    if sorted(new) == sorted(old) or len({*new, *old}) == 1:
        return Classification(Label.PASS, is_critical=False)
    if len(set(new)) == 1 and len(set(old)) == 1:
        new, old = _add_noise(new, rng), _add_noise(old, rng)
    interval = estimate_shift(new, old, confidence=criteria.confidence)
    bound = criteria.tolerance * abs(interval.estimate)
    deviation = mean_ratio(new, old)
    effect = cles(new, old) if criteria.measure is EffectMeasure.CLES else deviation
    is_high = interval.low > bound and _reaches(effect, criteria.effect.high)
    is_low = interval.high < -bound and _falls_to(effect, criteria.effect.low)
    if is_high and criteria.direction is not Direction.DECREASE:
        critical = criteria.is_critical and _reaches(effect, criteria.critical_effect.high)
        return Classification(Label.HIGH, critical, deviation)
    if is_low and criteria.direction is not Direction.INCREASE:
        critical = criteria.is_critical and _falls_to(effect, criteria.critical_effect.low)
        return Classification(Label.LOW, critical, deviation)
    return Classification(Label.PASS, is_critical=False, deviation=deviation)


def clean(values: Sequence[float], strategy: NanStrategy) -> list[float]:
    """Leave out what is not a number, or put 0 in its place."""
    if strategy is NanStrategy.REMOVE:
        return [value for value in values if not math.isnan(value)]
    return [0.0 if math.isnan(value) else value for value in values]


def mean_ratio(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Return the ratio of the means; NaN when either mean is 0."""
    new, old = float(np.mean(experiment)), float(np.mean(control))
    return math.nan if new == 0.0 or old == 0.0 else new / old


def cles(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Return the chance that a value of `experiment` is above one of `control`, ties counting half.

    The common language effect size after Vargha and Delaney, Journal of Educational and Behavioral Statistics
    25(2) (2000) 101-132.
    """
    m, n = len(experiment), len(control)
    ranks, _ = average_ranks(np.array([*experiment, *control], dtype=float))
    return (2 * float(ranks[:m].sum()) - m * (m + 1)) / (2 * n * m)


def cohen_d(experiment: Sequence[float], control: Sequence[float]) -> float:
    """Return the absolute difference of the means in pooled standard deviations."""
    m, n = len(experiment), len(control)
    pooled = ((m - 1) * float(np.var(experiment, ddof=1)) + (n - 1) * float(np.var(control, ddof=1))) / (m + n - 2)
    return abs(float(np.mean(experiment)) - float(np.mean(control))) / math.sqrt(pooled)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile with linear interpolation between order statistics (R-7); NaN without values."""
    return float(np.percentile(np.asarray(values, dtype=float), percent)) if len(values) else math.nan


def iqr_outliers(values: Sequence[float], *, factor: float = 1.5, is_widened: bool = False) -> list[bool]:
    """Say of each value whether it lies outside Tukey's fences, `factor` interquartile ranges off the quartiles.

    The judge itself widens the fences to the 1st and 99th percentile, so that a narrow sample keeps its tails.
    """
    if not len(values):
        return []
    first, third = percentile(values, 25), percentile(values, 75)
    low, high = first - factor * (third - first), third + factor * (third - first)
    if is_widened:
        low, high = min(low, percentile(values, 1)), max(high, percentile(values, 99))
    return [value > high or value < low for value in values]


def sigma_outliers(values: Sequence[float], *, factor: float = 3.0) -> list[bool]:
    """Say of each value whether it is more than `factor` population standard deviations from the mean."""
    if not len(values):
        return []
    mean, deviation = float(np.mean(values)), float(np.std(values))
    return [abs(value - mean) > deviation * factor for value in values]


def _judge_missing(criteria: Criteria) -> Classification:
    if criteria.nan_strategy is NanStrategy.REPLACE:
        return Classification(Label.PASS, is_critical=False)
    if criteria.needs_data and not criteria.is_critical:
        return Classification(Label.NODATA_FAIL, is_critical=False)
    return Classification(Label.NODATA, is_critical=criteria.is_critical)


def _reaches(effect: float, bound: float) -> bool:
    return math.isnan(effect) or effect >= bound


def _falls_to(effect: float, bound: float) -> bool:
    return math.isnan(effect) or effect <= bound


def _add_noise(values: Sequence[float], rng: random.Random) -> list[float]:
    scale = abs(values[0]) * NOISE_SHARE
    return [value + rng.gauss(0.0, scale) if scale > 0 else value for value in values]
