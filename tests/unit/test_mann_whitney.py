"""The judge by ranks: the shift it finds, what it calls it, and the score of many."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.classification import Criteria, Direction, Label, classify, cles, percentile
from scaling.mann_whitney import AllTiedError, average_ranks, estimate_shift, find_root
from scaling.scoring import JudgedMetric, Outcome, classify_score, score

samples = st.lists(st.floats(-1000, 1000), min_size=2, max_size=30)


def judge(experiment, control, **criteria) -> Label:
    return classify(experiment, control, criteria=Criteria(**criteria), rng=random.Random(7)).label


def test_a_shift_is_found_with_its_interval():
    interval = estimate_shift([11.0, 12, 13, 14, 15, 16], [1.0, 2, 3, 4, 5, 6], confidence=0.95)
    assert interval.low < 10 < interval.high
    assert interval.estimate == pytest.approx(10, abs=1e-3)


def test_constant_samples_that_differ_have_no_ranks_but_get_noise():
    with pytest.raises(AllTiedError):
        estimate_shift([1.0, 1.0], [1.0, 1.0], confidence=0.95)
    assert judge([10.0] * 6, [1.0] * 6) is Label.HIGH
    assert judge([0.0] * 6, [1.0] * 6) is Label.LOW


def test_direction_says_what_counts():
    high, low = [11.0, 12, 13, 14, 15, 16], [1.0, 2, 3, 4, 5, 6]
    assert judge(high, low, direction=Direction.INCREASE) is Label.HIGH
    assert judge(high, low, direction=Direction.DECREASE) is Label.PASS
    assert judge(low, high, direction=Direction.DECREASE) is Label.LOW


@pytest.mark.parametrize("missing", [[], [math.nan]], ids=["empty", "not a number"])
def test_missing_data_is_said(missing):
    assert judge(missing, [1.0]) is Label.NODATA
    assert judge(missing, [1.0], needs_data=True) is Label.NODATA_FAIL


@given(samples, st.randoms(use_true_random=False))
def test_equal_samples_pass_in_any_order(values, rng):
    shuffled = list(values)
    rng.shuffle(shuffled)
    assert judge(values, shuffled) is Label.PASS


@given(samples)
def test_ranks_sum_to_what_ranks_sum_to(values):
    ranks, sizes = average_ranks(np.array(values))
    assert ranks.sum() == pytest.approx(len(values) * (len(values) + 1) / 2)
    assert sizes.sum() == len(values)


@given(samples, samples)
def test_effects_of_both_directions_add_up(x, y):
    assert cles(x, y) + cles(y, x) == pytest.approx(1.0)


@given(st.floats(-50, 50))
def test_a_root_is_found_within_the_tolerance(root):
    found = find_root(lambda x: (x - root) ** 3, low=(-60.0, (-60.0 - root) ** 3), high=(60.0, (60.0 - root) ** 3))
    assert abs(found - root) < 0.1  # a flat root: the value vanishes long before the place is known


@given(samples, st.floats(0, 100))
def test_a_percentile_lies_within_the_sample(values, percent):
    assert min(values) - 1e-9 <= percentile(values, percent) <= max(values) + 1e-9


def test_one_critical_metric_fails_all():
    passing = JudgedMetric(label=Label.PASS, groups=("a",))
    critical = JudgedMetric(label=Label.LOW, groups=("b",), is_critical=True)
    assert (score([passing], {}), score([passing, critical], {})) == (100.0, 0.0)


def test_the_weight_of_an_empty_group_is_lost():
    assert score([JudgedMetric(label=Label.PASS, groups=("a",))], {"a": 40.0, "b": 60.0}) == 40.0


@given(st.lists(st.tuples(st.sampled_from(Label), st.sampled_from("abc")), min_size=1, max_size=20))
def test_a_score_lies_between_0_and_100(judged):
    assert 0.0 <= score([JudgedMetric(label=label, groups=(group,)) for label, group in judged], {}) <= 100.0


def test_thresholds_are_met_by_reaching_them():
    outcomes = [classify_score(points, pass_from=95, marginal_from=75) for points in (95, 94.99, 75, 74.99)]
    assert outcomes == [Outcome.PASS, Outcome.MARGINAL, Outcome.MARGINAL, Outcome.FAIL]
