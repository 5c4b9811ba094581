"""Which version gets a task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.traffic_split import WEIGHT_MAX, Split, Version, choose_pinned, choose_version, place, split_of_percent

KEYS = [f"swarm/{number}/AAPL" for number in range(20_000)]


@pytest.mark.parametrize("percent", [0.0, 5.0, 25.0, 50.0, 100.0])
def test_shares_are_as_asked_for(percent):
    split = split_of_percent("r1", percent)
    share = sum(choose_version(split, key) is Version.CANARY for key in KEYS) / len(KEYS)
    assert share == pytest.approx(percent / 100, abs=0.01)
    if percent in (0.0, 100.0):
        assert share == percent / 100


def test_the_place_of_a_key_is_the_same_everywhere():
    assert [place("r1", key) for key in ("a", "b", "")] == [42967, 98449, 79498]


@given(st.text(), st.text(), st.integers(0, WEIGHT_MAX), st.integers(0, WEIGHT_MAX))
def test_a_higher_weight_takes_no_key_back(rollout, key, one, other):
    low, high = (Split(rollout=rollout, canary_weight=weight) for weight in sorted((one, other)))
    if choose_version(low, key) is Version.CANARY:
        assert choose_version(high, key) is Version.CANARY


@given(st.text(min_size=1), st.lists(st.text(), min_size=2, max_size=9), st.integers(0, WEIGHT_MAX))
def test_a_session_stays_together(session, tasks, weight):
    split = Split(rollout="r1", canary_weight=weight)
    assert len({choose_version(split, task, session_key=session) for task in tasks}) == 1


def test_a_pin_outlives_a_rollback():
    nothing = split_of_percent("r1", 0.0)
    assert choose_pinned(nothing, "t", session_key="s", pins={"s": Version.CANARY}) is Version.CANARY
    assert choose_pinned(nothing, "t", session_key="s", pins={}) is Version.STABLE


def test_other_rollouts_begin_with_other_keys():
    first, second = split_of_percent("r1", 10.0), split_of_percent("r2", 10.0)
    both = sum(choose_version(first, key) is choose_version(second, key) is Version.CANARY for key in KEYS)
    assert both / len(KEYS) == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("weight", [-1, WEIGHT_MAX + 1])
def test_a_weight_that_cannot_be_is_refused(weight):
    with pytest.raises(ValueError, match="canary_weight is"):
        Split(rollout="r1", canary_weight=weight)
