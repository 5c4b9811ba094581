"""Weights as counts of agents, and the moves towards them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.canary_counts import (
    Budget,
    CanaryScale,
    Counts,
    Fleet,
    RoutedStep,
    Side,
    TrafficWeights,
    abort_weight,
    approximate_weight,
    dynamic_counts,
    next_counts,
    resolve_budget,
    routed_counts,
)


@pytest.mark.parametrize(
    ("replicas", "weight", "surge", "canary", "stable"),
    [
        pytest.param(10, 15, 0, 2, 8, id="a tie goes to the larger canary"),
        pytest.param(10, 24, 1, 3, 8, id="one more agent comes nearer"),
        pytest.param(3, 49, 1, 2, 2, id="half of four is nearer to 49 than a third"),
        pytest.param(2, 1, 0, 1, 1, id="never none for a weight"),
        pytest.param(2, 99, 0, 1, 1, id="never all below the whole"),
        pytest.param(1, 50, 0, 1, 0, id="one agent is one or the other"),
    ],
)
def test_weight_is_approximated(replicas, weight, surge, canary, stable):
    assert approximate_weight(replicas, weight, surge=surge) == Counts(canary, stable)


def test_a_budget_of_nothing_lets_one_be_missing():
    assert resolve_budget(10, surge=0, unavailable="9%") == Budget(surge=0, unavailable=1)
    assert resolve_budget(10) == Budget(surge=3, unavailable=2)


@pytest.mark.parametrize("share", ["a quarter", "-5%", "2.5%", "%"])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="neither a count nor a percentage"):
        resolve_budget(10, surge=share)


def test_an_explicit_canary_size_outlives_an_abort_only_if_asked_to():
    explicit = CanaryScale(replicas=4)
    kept = RoutedStep(replicas=10, weight=0, scale=explicit, is_aborted=True, abort_delay_s=0)
    ended = RoutedStep(replicas=10, weight=0, scale=explicit, is_aborted=True)
    assert (routed_counts(kept), routed_counts(ended)) == (Counts(4, 10), Counts(0, 10))


def test_an_abort_keeps_the_canary_that_traffic_still_reaches():
    step = RoutedStep(replicas=10, weight=0, is_aborted=True)
    assert dynamic_counts(step, TrafficWeights(canary=30, stable=70)) == Counts(3, 10)


def test_an_abort_walks_the_steps_backwards():
    weights, canary = [20, 60], Side(6, 6)
    assert abort_weight(weights, 10, canary=canary, stable=Side(4, 4)) == 20
    assert abort_weight(weights, 10, canary=canary, stable=Side(10, 10), abort_delay_s=30) == 0


@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 5))
def test_counts_of_a_weight_sum_to_the_fleet_or_one_more(replicas, weight, surge):
    counts = approximate_weight(replicas, weight, surge=surge)
    assert counts.canary >= 0
    assert counts.stable >= 0
    assert counts.canary + counts.stable in ({replicas, replicas + 1} if surge else {replicas})
    has_fit = surge > 0 or 2 * replicas * weight != 100 * (2 * replicas - 1)
    if 0 < weight < 100 and replicas > 1 and has_fit:
        assert counts.canary > 0
        assert counts.stable > 0


def test_no_canary_where_a_tie_leaves_no_count():
    """Five agents at 90 % are four and a half; without a surge the original has no count for that."""
    assert approximate_weight(5, 90, surge=0) == Counts(0, 5)
    assert approximate_weight(5, 90, surge=1) == Counts(5, 1)


def step(fleet: Fleet, counts: Counts, serving: int) -> Fleet:
    """Carry out counts; of each side at most `serving` new agents come up, and agents taken away serve no more."""
    sides = []
    for side, wanted in ((fleet.canary, counts.canary), (fleet.stable, counts.stable)):
        sides.append(Side(wanted, min(wanted, side.available + serving)))
    return Fleet(replicas=fleet.replicas, canary=sides[0], stable=sides[1])


@given(
    st.integers(1, 30),
    st.integers(0, 6),
    st.integers(0, 6),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 3)), min_size=1, max_size=25),
)
def test_a_rollout_stays_within_its_budget_whatever_the_weights_and_the_readiness(replicas, surge, missing, moves):
    budget = resolve_budget(replicas, surge=surge, unavailable=missing)
    fleet = Fleet(replicas=replicas, canary=Side(0, 0), stable=Side(replicas, replicas))
    for weight, serving in moves:
        counts = next_counts(fleet, weight, budget=budget)
        fleet = step(fleet, counts, serving)
        assert fleet.wanted <= replicas + budget.surge
        assert fleet.canary.available + fleet.stable.available >= replicas - budget.unavailable


@given(st.integers(1, 30), st.integers(0, 6), st.integers(0, 6), st.integers(0, 100))
def test_every_weight_is_reached(replicas, surge, missing, weight):
    budget = resolve_budget(replicas, surge=surge, unavailable=missing)
    fleet = Fleet(replicas=replicas, canary=Side(0, 0), stable=Side(replicas, replicas))
    for _ in range(6 * replicas + 6):
        fleet = step(fleet, next_counts(fleet, weight, budget=budget), replicas)
    reached = Counts(fleet.canary.wanted, fleet.stable.wanted)
    assert reached == approximate_weight(replicas, weight, surge=budget.surge)
