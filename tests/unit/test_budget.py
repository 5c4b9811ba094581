"""The budget: what was spent at which price, when it ends, and what that allows."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.budget import Budget, BudgetStatus, Cap, Usage, affordable, decide
from scaling.cost import SandboxPrice
from scaling.prices import E2B_PRICES, DatedPrice, PriceTable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
# A dollar an hour for one vCPU: figures that can be seen through.
DOLLAR = PriceTable((DatedPrice(since=NOW, price=SandboxPrice(vcpu_second_usd=1 / 3600, gib_second_usd=0.0)),))


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def used(start_s, end_s=None, vcpus=1.0):
    return Usage(started_at=ago(start_s), ended_at=None if end_s is None else ago(end_s), vcpus=vcpus)


def stand(budget, *usages, now=NOW, prices=DOLLAR):
    return decide(budget, usages, now=now, prices=prices)


def test_spending_is_counted_in_total_and_for_the_last_hour():
    found = stand(Budget(), used(7200), used(5400, 1800), used(9000, 7200))
    assert found.spent_total_usd == pytest.approx(2 + 1 + 0.5)
    assert found.spent_hour_usd == pytest.approx(1 + 0.5)
    assert found.burn_usd_per_h == pytest.approx(1)
    assert (found.status, found.cap, found.left_s) == (BudgetStatus.WITHIN, None, None)


def test_price_is_that_of_its_time():
    cheap, dear = SandboxPrice(vcpu_second_usd=1.0), SandboxPrice(vcpu_second_usd=10.0)
    table = PriceTable((DatedPrice(since=ago(1000), price=cheap), DatedPrice(since=ago(60), price=dear)))
    found = stand(Budget(), Usage(started_at=ago(100), ended_at=None, vcpus=1, memory_gib=0), prices=table)
    assert found.spent_total_usd == pytest.approx(40 * 1 + 60 * 10)
    assert found.burn_usd_per_h == pytest.approx(36_000)


def test_a_hundred_small_workers_of_e2b_cost_what_is_published():
    workers = [Usage(started_at=ago(3600), ended_at=None, vcpus=1, memory_gib=0.5)] * 100
    assert stand(Budget(), *workers, prices=E2B_PRICES).burn_usd_per_h == pytest.approx(5.85)


@pytest.mark.parametrize(
    ("budget", "status", "cap"),
    [
        pytest.param(Budget(total_usd=2.6), BudgetStatus.WITHIN, None, id="below"),
        pytest.param(Budget(total_usd=2.5), BudgetStatus.WARNING, Cap.TOTAL, id="80 %"),
        pytest.param(Budget(total_usd=2.0), BudgetStatus.SPENT, Cap.TOTAL, id="all"),
        pytest.param(Budget(hour_usd=1.25), BudgetStatus.WARNING, Cap.HOUR, id="80 % of the hour"),
        pytest.param(Budget(hour_usd=1.0, total_usd=2.5), BudgetStatus.SPENT, Cap.HOUR, id="the nearer cap decides"),
        pytest.param(Budget(total_usd=0.0), BudgetStatus.SPENT, Cap.TOTAL, id="nothing may be spent"),
        pytest.param(Budget(total_usd=2.5, warning_share=1.0), BudgetStatus.WITHIN, None, id="no warning wanted"),
    ],
)
def test_status_says_how_near_a_cap_is(budget, status, cap):
    found = stand(budget, used(7200))
    assert (found.status, found.cap) == (status, cap)
    assert found.may_create == (status is not BudgetStatus.SPENT)
    assert found.must_drain == (status is BudgetStatus.SPENT)


@pytest.mark.parametrize(
    ("budget", "usages", "left_s"),
    [
        pytest.param(Budget(total_usd=3), [used(7200)], 3600, id="total"),
        pytest.param(Budget(total_usd=3), [used(7200, 10)], None, id="nothing runs"),
        pytest.param(Budget(hour_usd=2), [used(1800)], None, id="the hour forgets as fast as is spent"),
        pytest.param(Budget(hour_usd=0.75), [used(1800)], 900, id="the hour fills up"),
        pytest.param(
            Budget(hour_usd=0.8), [used(3600, 1800), used(0, vcpus=2)], 1080, id="before the old is forgotten"
        ),
        pytest.param(Budget(hour_usd=1.6), [used(3600, 1800), used(0, vcpus=2)], 2880, id="after it is"),
        pytest.param(Budget(hour_usd=1), [used(7200)], 0, id="reached"),
    ],
)
def test_time_left_is_until_the_first_cap_at_the_present_number(budget, usages, left_s):
    found = stand(budget, *usages)
    assert found.left_s == (None if left_s is None else pytest.approx(left_s))


usages = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 10_000) | st.none(), st.sampled_from([0.5, 1.0, 4.0])), max_size=8
).map(lambda rows: [used(start, None if end is None else min(start, end), vcpus) for start, end, vcpus in rows])
budgets = st.builds(Budget, hour_usd=st.none() | st.floats(0.01, 10), total_usd=st.none() | st.floats(0.01, 30))


@given(budget=budgets, usages=usages)
def test_cap_is_reached_when_the_time_left_is_over_and_not_before(budget, usages):
    found = stand(budget, *usages)
    if found.left_s is None:
        for later in (1, 1800, 3600, 7200, 100_000):
            after = stand(budget, *usages, now=NOW + timedelta(seconds=later))
            assert after.may_create or share(after, budget) < 1 + 1e-6
        return
    at_the_end = stand(budget, *usages, now=NOW + timedelta(seconds=found.left_s))
    assert share(at_the_end, budget) > 1 - 1e-5
    if found.left_s > 1:
        assert stand(budget, *usages, now=NOW + timedelta(seconds=0.99 * found.left_s)).may_create


def share(decision, budget):
    spent = ((decision.spent_hour_usd, budget.hour_usd), (decision.spent_total_usd, budget.total_usd))
    return max((amount / cap for amount, cap in spent if cap is not None), default=0.0)


@given(budget=budgets, usages=usages, hold_s=st.sampled_from([60.0, 300.0, 3600.0]))
def test_what_is_affordable_stays_within_the_budget_until_the_lease_is_over(budget, usages, hold_s):
    found = stand(budget, *usages)
    number = affordable(found, budget, hold_s=hold_s, usd_per_s=1 / 3600)
    if number is None:
        assert (budget.hour_usd, budget.total_usd) == (None, None)
        return
    after = stand(budget, *usages, *[used(0)] * number, now=NOW + timedelta(seconds=hold_s))
    assert number == 0 or share(after, budget) <= 1 + 1e-6
    one_more = after.spent_total_usd + hold_s / 3600
    assert budget.hour_usd is not None or one_more > budget.total_usd - 1e-9


@pytest.mark.parametrize(
    "wrong",
    [{"hour_usd": -1.0}, {"total_usd": float("nan")}, {"total_usd": float("inf")}, {"warning_share": 0.0}],
)
def test_budget_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Budget(**wrong)


@pytest.mark.parametrize("moments", [[], [0, 0], [0, 10]], ids=["empty", "twice", "backwards"])
def test_price_table_out_of_order_is_refused(moments):
    with pytest.raises(ValueError, match="a price table has at least one row"):
        PriceTable([DatedPrice(since=ago(moment), price=SandboxPrice()) for moment in moments])
