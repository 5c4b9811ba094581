"""A rate lets through what it says and no more, in every stretch of time, and makes nobody wait for nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.rates import Rate, take_turn

START = datetime(2026, 11, 20, tzinfo=UTC)
rates = st.builds(Rate, per_s=st.sampled_from([0.5, 1.0, 3.0, 5.0, 100.0]), burst=st.integers(1, 5))
gaps = st.lists(st.floats(0, 5), min_size=1, max_size=40)


def take_all(rate, gaps):
    now, due = START, None
    for gap in gaps:
        now += timedelta(seconds=gap)
        turn = take_turn(rate, due, now=now)
        due = turn.due
        yield now, turn.at


@given(rate=rates, gaps=gaps)
def test_no_stretch_of_time_has_more_turns_than_the_rate_allows(rate, gaps):
    turns = [at for _, at in take_all(rate, gaps)]
    assert turns == sorted(turns)
    for first, early in enumerate(turns):
        for last, late in enumerate(turns[first:], first):
            allowed = rate.burst + (late - early).total_seconds() * rate.per_s
            assert last - first + 1 <= allowed + 1e-3  # microseconds of calendar time, at 100 a second


@given(rate=rates, gaps=gaps)
def test_turn_is_never_before_it_is_asked_for_nor_later_than_the_queue_is_long(rate, gaps):
    for number, (now, at) in enumerate(take_all(rate, gaps), 1):
        assert now <= at <= now + timedelta(seconds=number / rate.per_s)


@given(rate=rates)
def test_burst_after_a_rest_is_let_through_at_once(rate):
    turns = [at for _, at in take_all(rate, [0.0] * (rate.burst + 1))]
    assert turns[: rate.burst] == [START] * rate.burst
    assert turns[rate.burst] > START


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_rate_that_lets_nothing_through_is_refused(per_s, burst):
    with pytest.raises(ValueError, match="lets nothing through"):
        Rate(per_s=per_s, burst=burst)
