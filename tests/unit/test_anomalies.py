"""What stands out, how often by mistake, and that a point never vouches for itself."""

import math
import random

import pytest

from scaling.anomalies import (
    AverageRule,
    AverageState,
    MedianRule,
    MedianState,
    check_by_average,
    check_by_median,
    median_score,
)

MEDIAN, AVERAGE = MedianRule(), AverageRule()


def flags_by_median(values) -> list[bool]:
    state, flags = MedianState(), []
    for value in values:
        checked, state = check_by_median(state, value, rule=MEDIAN)
        flags.append(checked.is_anomaly)
    return flags


def flags_by_average(values) -> list[bool]:
    state, flags = AverageState(), []
    for value in values:
        checked, state = check_by_average(state, value, rule=AVERAGE)
        flags.append(checked.is_anomaly)
    return flags


BOTH = pytest.mark.parametrize("flags", [flags_by_median, flags_by_average])


def gauss(count: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(100.0, 5.0) for _ in range(count)]


@pytest.mark.parametrize(
    ("flags", "share_max"), [(flags_by_median, 3e-4), (flags_by_average, 3e-4)], ids=["median", "average"]
)
def test_false_alarms_on_gaussian_noise_are_rare(flags, share_max):
    share = sum(flags(gauss(60_000, seed=11))) / 60_000
    assert share <= share_max


@BOTH
def test_one_outlier_is_found_and_the_next_one_too(flags):
    values = [*gauss(200, seed=3), 200.0, *gauss(5, seed=4), 200.0]
    found = flags(values)
    assert (found[200], found[206]) == (True, True)


@BOTH
def test_a_new_level_is_learned(flags):
    values = gauss(200, seed=5) + [value + 100.0 for value in gauss(400, seed=6)]
    found = flags(values)
    assert found[200]
    assert not any(found[-50:])


@BOTH
def test_a_constant_series_is_no_anomaly_and_its_first_change_is(flags):
    assert flags([7.0] * 100 + [7.5])[-2:] == [False, True]


@BOTH
@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_gaps_change_nothing(flags, gap):
    values = gauss(150, seed=8)
    assert [flag for flag, value in zip(flags([*values, gap, 300.0]), [*values, gap, 300.0], strict=True)][-2:] == [
        False,
        True,
    ]


def test_nothing_is_an_anomaly_before_there_is_a_baseline():
    assert not any(flags_by_median([1.0] * 5 + [1e9]))


def test_the_tested_point_is_not_in_its_own_baseline():
    # A z-score that includes the point cannot exceed (n - 1) / sqrt(n), here 2.85.
    assert median_score([1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 2.5], 1000.0) > 100
