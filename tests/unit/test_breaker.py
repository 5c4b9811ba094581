"""A breaker opens on failures, stays open longer each time, and recovers by probes."""

import pytest

from topologies.breaker import BreakerSettings, BreakerState, CircuitBreaker, Permit

CLOSED, OPEN, HALF_OPEN = BreakerState


def call(breaker, outcomes, now=0.0):
    """Make calls that end at once: `+` succeeds, `x` fails."""
    for outcome in outcomes:
        breaker.settle(breaker.admit(now=now), is_success=outcome == "+", now=now)
    return breaker.state(now=now)


def opened(now=0.0):
    breaker = CircuitBreaker()
    assert call(breaker, "xxxxx", now) is OPEN
    return breaker


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param("xxxx", CLOSED, id="too few to say"),
        pytest.param("xxxxx", OPEN, id="five of five"),
        pytest.param("++xxx", OPEN, id="three of five"),
        pytest.param("+++xx", CLOSED, id="two of five"),
        pytest.param("+++xxx", OPEN, id="half"),
        pytest.param("x" + "+" * 19 + "x" * 9, CLOSED, id="nine of the last twenty"),
        pytest.param("x" + "+" * 19 + "x" * 10, OPEN, id="ten of the last twenty"),
        pytest.param("+" * 100 + "x" * 10, OPEN, id="what is long ago is forgotten"),
    ],
)
def test_breaker_opens_when_half_of_the_last_calls_failed(outcomes, state):
    assert call(CircuitBreaker(), outcomes) is state


@pytest.mark.parametrize(
    ("elapsed_s", "outcomes", "state"),
    [
        pytest.param(1.999, "", OPEN, id="not yet"),
        pytest.param(2.0, "", HALF_OPEN, id="its time has passed"),
        pytest.param(2.0, "+", HALF_OPEN, id="one probe succeeded"),
        pytest.param(2.0, "++", CLOSED, id="both succeeded"),
        pytest.param(2.0, "x", OPEN, id="the first failed"),
        pytest.param(2.0, "+x", OPEN, id="the second failed"),
        pytest.param(2.0, "++xxxx", CLOSED, id="failures of before are forgotten"),
    ],
)
def test_open_breaker_is_tried_by_probes(elapsed_s, outcomes, state):
    assert call(opened(), outcomes, now=elapsed_s) is state


def test_open_breaker_admits_nothing_and_says_how_long():
    breaker = opened(now=10.0)
    assert breaker.admit(now=11.5) is None
    assert breaker.retry_after_s(now=11.5) == pytest.approx(0.5)
    assert breaker.retry_after_s(now=12.0) == 0.0


def test_half_open_breaker_admits_two_probes_at_a_time():
    breaker = opened()
    permits = [breaker.admit(now=2.0) for _ in range(4)]
    assert [permit is None for permit in permits] == [False, False, True, True]
    assert breaker.settle(permits[0], is_success=True, now=2.1) is HALF_OPEN
    assert breaker.admit(now=2.1) is None
    assert breaker.settle(permits[1], is_success=True, now=2.1) is CLOSED


def test_time_open_doubles_up_to_a_limit_and_starts_anew_after_recovery():
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.retry_after_s(now=now))
        now += waits[-1]
        call(breaker, "x", now)
    assert waits == pytest.approx([2.0, 4.0, 8.0, 16.0, 30.0, 30.0])
    now += 30.0
    assert call(breaker, "++", now) is CLOSED
    assert call(breaker, "xxxxx", now) is OPEN
    assert breaker.retry_after_s(now=now) == pytest.approx(2.0)


def test_probe_that_never_ends_counts_as_failed():
    breaker = opened()
    breaker.admit(now=2.0)
    assert breaker.state(now=6.999) is HALF_OPEN
    assert breaker.state(now=7.0) is OPEN
    assert breaker.retry_after_s(now=7.0) == pytest.approx(4.0)


def test_half_open_breaker_waits_for_its_second_probe_as_long_as_there_is_no_call():
    breaker = opened()
    assert call(breaker, "+", now=2.0) is HALF_OPEN
    assert breaker.state(now=1000.0) is HALF_OPEN
    assert call(breaker, "+", now=1000.0) is CLOSED


@pytest.mark.parametrize("is_success", [True, False])
@pytest.mark.parametrize("now", [1.0, 2.0])
def test_end_of_a_call_from_before_it_opened_changes_nothing(is_success, now):
    breaker = CircuitBreaker()
    slow = breaker.admit(now=0.0)
    call(breaker, "xxxxx")
    before = breaker.state(now=now)
    assert breaker.settle(slow, is_success=is_success, now=now) is before
    assert breaker.settle(slow, is_success=is_success, now=now) is before


def test_failure_that_ends_after_recovery_is_not_counted():
    breaker = opened()
    old = Permit(0)
    call(breaker, "++", now=2.0)
    for _ in range(10):
        breaker.settle(old, is_success=False, now=2.0)
    assert breaker.state(now=2.0) is CLOSED


def test_settings_are_kept_to():
    breaker = CircuitBreaker(BreakerSettings(window=4, calls_min=2, failures_max=1.0, open_s=1.0, probes=1))
    assert call(breaker, "x+xxx") is CLOSED
    assert call(breaker, "x") is OPEN
    assert call(breaker, "+", now=1.0) is CLOSED
