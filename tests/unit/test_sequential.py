"""The judge that may always be asked: its promises, its three answers and its end."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.sequential import (
    PairCounts,
    SequentialPolicy,
    TaskOutcome,
    Verdict,
    judge,
    log_errors_fine,
    log_latency_fine,
    log_worse,
    pairs_to_catch,
)

POLICY = SequentialPolicy()
ERRORS_ONLY = SequentialPolicy(latency_margin=None)


def counts_of(pairs: int, *, canary: int = 0, stable: int = 0, slower: int = 0, much: int = 0) -> PairCounts:
    timed = pairs - canary - stable
    return PairCounts(
        pairs=pairs, canary_failed=canary, stable_failed=stable, timed=timed, slower=slower, much_slower=much
    )


def test_a_version_that_always_fails_is_rolled_back_within_a_dozen_pairs():
    counts = PairCounts()
    while judge(counts, policy=POLICY).verdict is Verdict.NOT_YET:
        counts = counts.add(TaskOutcome(is_error=True), TaskOutcome(is_error=False, latency_s=1.0), policy=POLICY)
    assert judge(counts, policy=POLICY).verdict is Verdict.ROLL_BACK
    assert counts.pairs <= 12


def test_a_version_that_never_fails_is_promoted_not_before_the_least_number():
    counts, fine = PairCounts(), TaskOutcome(is_error=False, latency_s=1.0)
    while judge(counts, policy=POLICY).verdict is Verdict.NOT_YET:
        counts = counts.add(fine, fine, policy=POLICY)
    assert judge(counts, policy=POLICY).verdict is Verdict.PROMOTE
    assert POLICY.pairs_min <= counts.pairs <= 100


def test_a_slow_version_is_rolled_back_though_it_never_fails():
    assert judge(counts_of(100, slower=85, much=60), policy=POLICY).verdict is Verdict.ROLL_BACK
    assert judge(counts_of(100, slower=85, much=60), policy=ERRORS_ONLY).verdict is Verdict.PROMOTE


def test_failed_and_untimed_tasks_have_no_latency():
    failed = TaskOutcome(is_error=True, latency_s=9.0)
    untimed = TaskOutcome(is_error=False, latency_s=math.nan)
    fine = TaskOutcome(is_error=False, latency_s=1.0)
    counts = PairCounts().add(failed, fine, policy=POLICY).add(untimed, fine, policy=POLICY)
    assert (counts.pairs, counts.timed, counts.canary_failed) == (2, 0, 1)


@pytest.mark.parametrize(
    ("counts", "elapsed_s", "verdict"),
    [
        pytest.param(counts_of(49), 3600.0, Verdict.ROLL_BACK, id="too few to say anything"),
        pytest.param(counts_of(400, canary=60, stable=50, slower=160), 3600.0, Verdict.PROMOTE, id="looks fine"),
        pytest.param(counts_of(400, canary=90, stable=65, slower=130), 3600.0, Verdict.ROLL_BACK, id="looks worse"),
    ],
)
def test_at_the_limit_the_plain_differences_decide_and_it_is_said(counts, elapsed_s, verdict):
    assert judge(counts, policy=POLICY).verdict is Verdict.NOT_YET
    judgement = judge(counts, policy=POLICY, elapsed_s=elapsed_s)
    assert (judgement.verdict, judgement.is_forced) == (verdict, True)
    assert "without evidence" in judgement.reason


@pytest.mark.parametrize(
    "fields",
    [
        {"false_rollback": 0.0},
        {"false_promotion": 1.0},
        {"errors_margin": 0.0},
        {"latency_margin": 1.0},
        {"pairs_min": 10, "pairs_max": 9},
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(fields):
    with pytest.raises(ValueError, match=r"."):
        SequentialPolicy(**fields)


def walk(rng: np.random.Generator, *, canary: float, stable: float, seeds: int, pairs: int):
    canary_failed = rng.random((seeds, pairs)) < canary
    stable_failed = rng.random((seeds, pairs)) < stable
    ups = (canary_failed & ~stable_failed).cumsum(axis=1)
    downs = (stable_failed & ~canary_failed).cumsum(axis=1)
    return ups, downs


@pytest.mark.parametrize("errors", [0.01, 0.05, 0.3])
def test_an_identical_version_is_rarely_ever_called_worse_however_often_one_looks(errors):
    rng = np.random.default_rng(20)
    ups, downs = walk(rng, canary=errors, stable=errors, seeds=1000, pairs=500)
    slower = (rng.random((1000, 500)) < 0.5).cumsum(axis=1)
    wealth = log_worse(ups, downs, times=(slower, np.broadcast_to(np.arange(1, 501), slower.shape)))
    ever = (wealth >= math.log(1 / POLICY.false_rollback)).any(axis=1).mean()
    assert ever <= POLICY.false_rollback


def test_a_version_worse_by_exactly_the_margin_is_rarely_ever_called_fine():
    rng = np.random.default_rng(21)
    ups, downs = walk(rng, canary=0.10, stable=0.05, seeds=1000, pairs=500)
    wealth = log_errors_fine(ups, downs, pairs=np.broadcast_to(np.arange(1, 501), ups.shape), margin=0.05)
    assert (wealth >= math.log(1 / POLICY.false_promotion)).any(axis=1).mean() <= POLICY.false_promotion


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_evidence_is_the_average_growth_and_never_grows_on_average_without_reason(bad, good, neither):
    """One pair further, the mean wealth over what may happen is at most the wealth, if nothing is worse."""
    now = math.exp(float(log_worse(bad, good, times=None)))
    after = [
        math.exp(float(log_worse(bad + 1, good, times=None))),
        math.exp(float(log_worse(bad, good + 1, times=None))),
    ]
    assert sum(after) / 2 <= now * (1 + 1e-9)
    margin, pairs = 0.05, bad + good + neither
    fine = math.exp(float(log_errors_fine(bad, good, pairs=pairs, margin=margin)))
    # The mean difference is the margin: as many more bad pairs as that.
    chances = {(1, 0): 0.5 * (0.2 + margin), (0, 1): 0.5 * (0.2 - margin), (0, 0): 0.8}
    mean = sum(
        chance * math.exp(float(log_errors_fine(bad + more_bad, good + more_good, pairs=pairs + 1, margin=margin)))
        for (more_bad, more_good), chance in chances.items()
    )
    assert mean <= fine * (1 + 1e-9)


@given(st.integers(0, 200), st.integers(0, 200))
def test_more_failures_are_never_less_evidence(bad, good):
    assert log_worse(bad + 1, good, times=None) > log_worse(bad, good, times=None)
    assert log_worse(bad, good + 1, times=None) < log_worse(bad, good, times=None)
    assert log_latency_fine(bad, bad + good + 1) > log_latency_fine(bad, bad + good)


@pytest.mark.parametrize("canary", [0.15, 0.3, 0.55])
def test_the_number_of_pairs_printed_before_is_about_what_it_takes(canary):
    ups, downs = walk(np.random.default_rng(5), canary=canary, stable=0.05, seeds=400, pairs=1200)
    crossed = log_worse(ups, downs, times=(np.zeros_like(ups), np.zeros_like(ups))) >= math.log(100)
    median = float(np.median(crossed.argmax(axis=1) + 1))
    assert crossed.any(axis=1).all()
    assert median / 1.6 <= pairs_to_catch(0.05, canary, policy=POLICY) <= median * 1.6
    assert pairs_to_catch(0.05, 0.05, policy=POLICY) == math.inf
