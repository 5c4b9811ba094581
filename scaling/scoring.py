"""From the classification of many metrics to one score out of 100.

Metrics pass or fail in groups, groups have weights, and one critical metric fails all. After spinnaker/kayenta
`WeightedSumScorer` and `ThresholdScoreClassifier` (Apache-2.0), at commit a69573be.
"""

import dataclasses
import decimal
import enum
from collections.abc import Mapping, Sequence

from scaling.classification import Label

NODATA_PERCENT_MAX = 50.0
"""From this share of metrics without data the score is 0."""


class Outcome(enum.StrEnum):
    """What a score means."""

    PASS = "Pass"  # noqa: S105 - a verdict, not a password
    MARGINAL = "Marginal"
    FAIL = "Fail"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMetric:
    """A metric with its classification and the groups it belongs to; it counts in each."""

    label: Label
    groups: tuple[str, ...]
    is_critical: bool = False


def score(metrics: Sequence[JudgedMetric], weights: Mapping[str, float]) -> float:
    """Return the score of 0 to 100, rounded to two decimals.

    A critical metric that did not pass makes it 0, and so does half or more of the metrics without data. Groups
    without a weight share equally what the others leave of 100. A group in which nothing could be judged counts as
    100, and the weight of a group that has no metric is lost.
    """
    if any(metric.is_critical and metric.label is not Label.PASS for metric in metrics):
        return 0.0
    missing = sum(1 for metric in metrics if metric.label is Label.NODATA)
    if metrics and missing / len(metrics) * 100 >= NODATA_PERCENT_MAX:
        return 0.0
    groups = group_scores(metrics)
    unweighted = [name for name in groups if name not in weights]
    share = (100 - sum(weights.values())) / len(unweighted) if unweighted else 0.0
    total = sum(
        (100.0 if points is None else points) * (weights.get(name, share) / 100) for name, points in groups.items()
    )
    # Half away from zero on the shortest decimal, as there; round() would go to the even digit of the binary value.
    exact = decimal.Decimal(repr(total))
    return float(exact.quantize(decimal.Decimal("0.01"), rounding=decimal.ROUND_HALF_UP))


def group_scores(metrics: Sequence[JudgedMetric]) -> dict[str, float | None]:
    """Return the percentage of passing metrics of each group; None where nothing could be judged."""
    labels: dict[str, list[Label]] = {}
    for metric in metrics:
        for group in metric.groups:
            labels.setdefault(group, []).append(metric.label)
    return {group: _pass_percent(of_group) for group, of_group in labels.items()}


def classify_score(points: float, *, pass_from: float, marginal_from: float) -> Outcome:
    """Say what a score means: thresholds are reached by being met."""
    if points >= pass_from:
        return Outcome.PASS
    return Outcome.MARGINAL if points >= marginal_from else Outcome.FAIL


def _pass_percent(labels: Sequence[Label]) -> float | None:
    judged = [label for label in labels if label in (Label.PASS, Label.HIGH, Label.LOW, Label.NODATA_FAIL)]
    return labels.count(Label.PASS) / len(judged) * 100 if judged else None
