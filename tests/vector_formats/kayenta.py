"""Cases of Kayenta: the Mann-Whitney judge, its statistics and the score."""

import functools
import math
import random
import statistics
from collections.abc import Callable, Sequence

from vector_formats import Case, differing

from scaling import classification, mann_whitney, scoring
from scaling.classification import Criteria, Direction, EffectBounds, EffectMeasure, Label, NanStrategy

SEED = 1
TOLERANCE = 1e-6


def check_classifier(case: Case, _file: Case) -> str | None:
    criteria = Criteria(
        tolerance=case["tolerance"],
        confidence=case["confidence"],
        effect=EffectBounds(*case["effect_size_thresholds"]),
        critical_effect=EffectBounds(*case["critical_thresholds"]),
        measure=EffectMeasure(case["effect_size_measure"]),
        direction=Direction(case["direction"]),
        nan_strategy=NanStrategy(case["nan_strategy"]),
        is_critical=case["critical_metric"],
        needs_data=case["data_required"],
    )
    new, old = numbers(case["experiment"]), numbers(case["control"])
    found = classification.classify(new, old, criteria=criteria, rng=random.Random(SEED))
    wrong = differing(
        {"label": case["expected_classification"], "critical": case.get("expected_critical")},
        {"label": found.label.value, "critical": found.is_critical},
    )
    if wrong is None and case.get("expected_deviation") is not None:
        wrong = near("deviation", number(case["expected_deviation"]), found.deviation, tolerance=TOLERANCE)
    return wrong


def check_confidence_interval(case: Case, file: Case) -> str | None:
    new, old = pair(case, file, section="confidence_interval", names=("x_experiment", "y_control"))
    found = mann_whitney.estimate_shift(new, old, confidence=case["confidence"])
    default = case.get("tolerance", TOLERANCE)
    around = case.get("tolerance_ci", default)
    return (
        near("low", case["expected_ci_low"], found.low, tolerance=around)
        or near("high", case["expected_ci_high"], found.high, tolerance=around)
        or near(
            "estimate", case["expected_estimate"], found.estimate, tolerance=case.get("tolerance_estimate", default)
        )
    )


def check_rank_difference(case: Case, file: Case) -> str | None:
    x, y = pair(case, file, section="wilcoxon_diff", names=("x", "y"))
    found = mann_whitney.rank_difference(x, y, shift=case["mu"], quantile=case["quantile"])
    return near("difference", case["expected"], found, tolerance=case.get("tolerance", TOLERANCE))


def intermediate_cases(section: Case) -> list[Case]:
    """Make a case of each intermediate value, so that each is counted."""
    facts = {key: value for key, value in section.items() if key != "expected"}
    return [{"name": name, "fact": name, "value": value, **facts} for name, value in section["expected"].items()]


def check_intermediate(case: Case, _file: Case) -> str | None:
    x, y = numbers(case["x"]), numbers(case["y"])
    low, high = min(x) - max(y), max(x) - min(y)
    quantile = statistics.NormalDist().inv_cdf((1.0 - case["confidence"]) / 2)

    def difference(shift: float, *, z: float) -> float:
        return mann_whitney.rank_difference(x, y, shift=shift, quantile=z)

    def root(z: float) -> float:
        function = functools.partial(difference, z=z)
        return mann_whitney.find_root(function, low=(low, function(low)), high=(high, function(high)))

    facts: dict[str, Callable[[], float]] = {
        "mu_min": lambda: low,
        "mu_max": lambda: high,
        "zq_lower": lambda: -quantile,
        "zq_upper": lambda: quantile,
        "f_lower_1": lambda: difference(low, z=-quantile),
        "f_upper_1": lambda: difference(high, z=-quantile),
        "f_lower_2": lambda: difference(low, z=quantile),
        "f_upper_2": lambda: difference(high, z=quantile),
        "ci_low": lambda: root(-quantile),
        "ci_high": lambda: root(quantile),
        "estimate": lambda: root(0.0),
    }
    return near(case["fact"], case["value"], facts[case["fact"]](), tolerance=case.get("tolerance", TOLERANCE))


def check_score(case: Case, _file: Case) -> str | None:
    metrics = [
        scoring.JudgedMetric(
            label=Label(metric["classification"]),
            groups=tuple(metric["groups"]),
            is_critical=metric.get("critical", False),
        )
        for metric in case["metrics"]
        if not metric.get("muted")
    ]
    points = scoring.score(metrics, case["group_weights"])
    wrong = near("score", case["expected_summary_score"], points, tolerance=1e-9)
    if wrong is None and case.get("expected_classification") is not None:
        outcome = scoring.classify_score(
            points, pass_from=case["pass_threshold"], marginal_from=case["marginal_threshold"]
        )
        wrong = differing({"outcome": case["expected_classification"]}, {"outcome": outcome.value})
    return wrong


def check_detector(case: Case, _file: Case) -> str | None:
    data, factor = numbers(case["data"]), case["factor"]
    if case["detector"] == "iqr":
        widened = bool(case.get("reduce_sensitivity"))
        found = classification.iqr_outliers(data, factor=factor, is_widened=widened)
    elif case["detector"] == "ksigma":
        found = classification.sigma_outliers(data, factor=factor)
    else:
        raise ValueError(f"unknown detector {case['detector']!r}")
    return differing({"outliers": case["expected_is_outlier"]}, {"outliers": found})


def check_statistic(case: Case, _file: Case) -> str | None:
    of_one: dict[str, Callable[[Sequence[float]], float]] = {
        "mean": statistics.fmean,
        "min": min,
        "max": max,
        "count": len,
        "std": lambda data: statistics.stdev(data) if len(data) > 1 else 0.0,
        "median": lambda data: classification.percentile(data, 50),
    }
    of_two = {
        "mean_ratio": classification.mean_ratio,
        "cles": classification.cles,
        "cohen_d": classification.cohen_d,
        "cohens_d": classification.cohen_d,
    }
    kind = case["kind"]
    if kind in of_two:
        found = of_two[kind](numbers(case["experiment"]), numbers(case["control"]))
    elif kind.startswith("percentile"):
        found = classification.percentile(numbers(case["data"]), case["p"])
    elif kind in of_one:
        data = numbers(case["data"])
        found = of_one[kind](data) if data else 0.0
    else:
        raise ValueError(f"unknown statistic {kind!r}")
    return near(kind, number(case["expected"]), found, tolerance=case.get("tolerance", 1e-9))


def pair(case: Case, file: Case, *, section: str, names: tuple[str, str]) -> tuple[list[float], list[float]]:
    """Return a case's two samples, or those of the section's first case where it says so."""
    source = file[section][0] if isinstance(case[names[0]], str) else case
    return numbers(source[names[0]]), numbers(source[names[1]])


def numbers(values: Sequence[float | str | None]) -> list[float]:
    return [number(value) for value in values]


def number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def near(name: str, expected: float, found: float, *, tolerance: float) -> str | None:
    if math.isnan(expected):
        return None if math.isnan(found) else f"{name}: expected NaN, got {found!r}"
    return None if abs(expected - found) <= tolerance else f"{name}: expected {expected!r}, got {found!r}"
