"""How an agent is: the lines, the slow recovery, and silence."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.actions import ScalingAction, act_on_health
from scaling.health import Health, HealthReading, HealthStatus, assess_health


def after(*readings: HealthReading | None, start: Health | None = None) -> Health:
    """Assess readings ten seconds apart, each taken when it is assessed."""
    health = start or Health()
    for number, reading in enumerate(readings, 1):
        now = number * 10.0
        stamped = None if reading is None else HealthReading(**{**fields(reading), "at_s": now})
        health = assess_health(health, stamped, now=now)
    return health


def fields(reading: HealthReading) -> dict[str, object]:
    return {name: getattr(reading, name) for name in HealthReading.__dataclass_fields__}


def reading(**values) -> HealthReading:
    return HealthReading(at_s=0.0, **values)


FINE = reading(cpu_percent=10.0, memory_percent=10.0)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        pytest.param({"cpu_percent": 74.9}, HealthStatus.HEALTHY, id="below"),
        pytest.param({"cpu_percent": 75.0}, HealthStatus.DEGRADED, id="CPU at 75 %"),
        pytest.param({"cpu_percent": 90.0}, HealthStatus.CRITICAL, id="CPU at 90 %"),
        pytest.param({"memory_percent": 75.0}, HealthStatus.DEGRADED, id="memory at 75 %"),
        pytest.param({"memory_percent": 90.0}, HealthStatus.CRITICAL, id="memory at 90 %"),
        pytest.param({"response_s": 2.0}, HealthStatus.DEGRADED, id="response of 2 s"),
        pytest.param({"response_s": 5.0}, HealthStatus.CRITICAL, id="response of 5 s"),
        pytest.param({"errors_percent": 5.0}, HealthStatus.DEGRADED, id="errors at 5 %"),
        pytest.param({"errors_percent": 10.0}, HealthStatus.CRITICAL, id="errors at 10 %"),
        pytest.param({"trade_latency_s": 60.0}, HealthStatus.DEGRADED, id="a slow trade is never critical"),
        pytest.param({"cpu_percent": 80.0, "errors_percent": 50.0}, HealthStatus.CRITICAL, id="the worst counts"),
        pytest.param({"cpu_percent": math.nan, "memory_percent": 1.0}, HealthStatus.HEALTHY, id="NaN was not measured"),
        pytest.param({"is_running": False}, HealthStatus.FAILED, id="no process"),
        pytest.param({}, HealthStatus.UNKNOWN, id="no values"),
        pytest.param({"cpu_percent": -1.0}, HealthStatus.UNKNOWN, id="a value that cannot be"),
    ],
)
def test_status_of_one_reading(values, status):
    assert after(reading(**values)).status is status


def test_silence_is_unknown_and_no_recovery():
    bad = reading(cpu_percent=95.0)
    assert after(bad, None).status is HealthStatus.UNKNOWN
    assert after(bad, None, FINE).status is HealthStatus.CRITICAL


@pytest.mark.parametrize("age_s", [31.0, -1.0], ids=["old", "from the future"])
def test_a_reading_of_another_time_says_nothing(age_s):
    stale = HealthReading(at_s=100.0 - age_s, cpu_percent=1.0)
    assert assess_health(Health(), stale, now=100.0).status is HealthStatus.UNKNOWN


def test_recovery_takes_three_good_readings_in_a_row():
    bad = reading(cpu_percent=95.0)
    assert after(bad, FINE, FINE).status is HealthStatus.CRITICAL
    assert after(bad, FINE, FINE, FINE).status is HealthStatus.HEALTHY
    assert after(bad, FINE, FINE, bad, FINE, FINE).status is HealthStatus.CRITICAL


def test_the_same_reading_seen_again_is_no_further_proof():
    health = after(reading(cpu_percent=95.0))
    for now in (20.0, 21.0, 22.0, 23.0):
        health = assess_health(health, HealthReading(at_s=20.0, cpu_percent=1.0), now=now)
    assert health.status is HealthStatus.CRITICAL


@given(st.lists(st.floats(68.0, 82.0), min_size=2, max_size=40))
def test_a_value_that_swings_around_a_line_changes_the_status_once(values):
    statuses = []
    health = Health()
    for number, value in enumerate(values):
        health = assess_health(health, HealthReading(at_s=float(number), cpu_percent=value), now=float(number))
        statuses.append(health.status)
    changes = sum(one is not other for one, other in itertools.pairwise(statuses))
    assert changes <= 1


@pytest.mark.parametrize(
    ("statuses", "action"),
    [
        pytest.param("HHHHHHHFFF", ScalingAction.MAINTAIN, id="30 % failed is not above 30 %"),
        pytest.param("HHHHHHFFFF", ScalingAction.EMERGENCY_SHUTDOWN, id="40 % failed"),
        pytest.param("HHHHHCCCCC", ScalingAction.MAINTAIN, id="half are critical"),
        pytest.param("HHHHCCCCCC", ScalingAction.FAILOVER, id="more than half are critical"),
        pytest.param("UUUUUUUUUU", ScalingAction.MAINTAIN, id="nothing is known"),
        pytest.param("UUUUUUHHHF", ScalingAction.MAINTAIN, id="unknown ones count neither way"),
        pytest.param("", ScalingAction.MAINTAIN, id="nobody"),
    ],
)
def test_health_of_a_fleet_calls_for_action(statuses, action):
    by_letter = {status.value[0]: status for status in HealthStatus}
    said, why = act_on_health([by_letter[letter] for letter in statuses])
    assert said is action
    assert why
