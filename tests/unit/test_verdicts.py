"""Counting rules: the order of the checks, and what a run makes of its metrics."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.verdicts import (
    Condition,
    MetricLimits,
    MetricTally,
    RunMetric,
    VerdictPhase,
    assess_metric,
    assess_run,
    evaluate_measurement,
)

FINAL = [phase for phase in VerdictPhase if phase.is_final]


def tally(*measured: VerdictPhase) -> MetricTally:
    return next(reversed(list(itertools.accumulate(measured, MetricTally.add, initial=MetricTally()))))


def test_broken_conditions_are_errors_before_all_else():
    assert evaluate_measurement(Condition.TRUE, Condition.BROKEN) is VerdictPhase.ERROR
    assert evaluate_measurement(Condition.FALSE, Condition.FALSE) is VerdictPhase.INCONCLUSIVE


def test_an_error_is_no_measurement():
    counted = tally(VerdictPhase.SUCCESSFUL, VerdictPhase.ERROR, VerdictPhase.ERROR)
    assert (counted.count, counted.consecutive_errors, counted.consecutive_successes) == (1, 2, 0)
    assert assess_metric(MetricLimits(count=2), counted) is VerdictPhase.RUNNING


def test_inconclusive_overrides_failed_and_error_overrides_both():
    failed = MetricTally(latest=VerdictPhase.FAILED, failed=1)
    both = MetricTally(latest=VerdictPhase.FAILED, failed=1, inconclusive=1)
    all_three = MetricTally(latest=VerdictPhase.FAILED, failed=1, inconclusive=1, consecutive_errors=5)
    limits = MetricLimits(has_interval=True)
    assert [assess_metric(limits, one) for one in (failed, both, all_three)] == [
        VerdictPhase.FAILED,
        VerdictPhase.INCONCLUSIVE,
        VerdictPhase.ERROR,
    ]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param(MetricLimits(count=3), VerdictPhase.SUCCESSFUL, id="failures alone were counted"),
        pytest.param(
            MetricLimits(count=3, failures_max=-1, consecutive_successes=9), VerdictPhase.FAILED, id="successes alone"
        ),
        pytest.param(MetricLimits(count=3, consecutive_successes=9), VerdictPhase.INCONCLUSIVE, id="both"),
    ],
)
def test_a_count_that_is_reached_means_what_was_counted(limits, expected):
    assert assess_metric(limits, tally(*[VerdictPhase.SUCCESSFUL] * 3)) is expected


@given(st.lists(st.sampled_from(FINAL), max_size=12))
def test_a_metric_told_to_end_always_ends(measured):
    assert assess_metric(MetricLimits(has_interval=True), tally(*measured), terminating=True).is_final


@given(st.lists(st.sampled_from([None, *VerdictPhase]), max_size=6))
def test_metrics_that_only_look_on_never_spoil_a_run(phases):
    looking_on = [RunMetric(phase, is_dry_run=True) for phase in phases]
    assert assess_run(looking_on) in (VerdictPhase.SUCCESSFUL, VerdictPhase.RUNNING)


@given(st.lists(st.sampled_from(FINAL), min_size=1, max_size=6))
def test_a_finished_run_is_as_bad_as_its_worst_metric(phases):
    verdict = assess_run([RunMetric(phase) for phase in phases])
    assert verdict in phases
    assert not any(phase.is_worse_than(verdict) for phase in phases)


def test_one_bad_metric_ends_a_run_that_is_not_finished():
    metrics = [RunMetric(VerdictPhase.FAILED), RunMetric(VerdictPhase.RUNNING), RunMetric(None)]
    assert assess_run(metrics) is VerdictPhase.FAILED
    assert assess_run(metrics[1:]) is VerdictPhase.RUNNING
    assert assess_run([], terminating=True) is VerdictPhase.SUCCESSFUL
