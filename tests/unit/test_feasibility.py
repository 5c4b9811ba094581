"""What an account and a budget allow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.feasibility import Account, Budget, Sandboxes, Tokens, affordable, fit, refill

FULL = Tokens(left=75.0, at_s=0.0)


def sandboxes(agents: int, wanted: int, *, warm: int = 0, warm_wanted: int = 0, due: int = 0, spent: float = 0.0):
    return Sandboxes(
        agents=agents,
        warm=warm,
        agents_wanted=wanted,
        warm_wanted=warm_wanted,
        sessions_due=due,
        spent_usd=spent,
    )


def allow(wanted: Sandboxes, *, tokens: Tokens = FULL, account: Account | None = None, budget: Budget | None = None):
    return fit(wanted, account=account or Account(), budget=budget or Budget(), tokens=tokens)


def test_nothing_is_cut_that_fits():
    found = allow(sandboxes(10, 20))
    assert (found.agents, found.creates, found.reasons) == (20, 10, ())


def test_the_account_is_the_most():
    found = allow(sandboxes(90, 120), account=Account(sandboxes_max=100))
    assert (found.agents, found.creates) == (100, 10)
    assert "100 sandboxes at once" in found.reasons[0]


def test_warm_sandboxes_are_taken_before_new_ones_are_made():
    found = allow(sandboxes(10, 15, warm=3, warm_wanted=3), tokens=Tokens(left=4.0, at_s=0.0))
    assert (found.agents, found.creates, found.warm) == (15, 4, 2)


def test_sessions_are_renewed_with_room_and_tokens_only():
    assert allow(sandboxes(10, 10, due=4)).rotate == 4
    assert allow(sandboxes(99, 99, due=4), account=Account(sandboxes_max=100)).rotate == 1
    assert allow(sandboxes(10, 10, due=4), tokens=Tokens(left=0.9, at_s=0.0)).rotate == 0


@pytest.mark.parametrize(
    ("budget", "spent", "most"),
    [
        pytest.param(Budget(hourly_usd=1.0, agent_hour_usd=0.1), 0.0, 10, id="by the hour"),
        pytest.param(Budget(total_usd=1.0, agent_hour_usd=0.6, horizon_s=60.0), 0.9, 10, id="what is left"),
        pytest.param(Budget(total_usd=1.0), 1.0, 0, id="all is spent"),
        pytest.param(Budget(total_usd=1.0), 2.0, 0, id="more is spent"),
        pytest.param(Budget(agent_hour_usd=0.0), 0.0, 100, id="free"),
    ],
)
def test_dollars_are_the_most(budget, spent, most):
    # Sums of cents are not exact: a limit may be one below, never above.
    assert affordable(Account(), budget, spent_usd=spent)[0] in (most, most - 1)


def test_tokens_fill_at_the_rate_up_to_the_burst_and_not_backwards():
    account = Account(creates_per_s=5.0, creates_burst=20.0)
    assert refill(Tokens(left=0.0, at_s=10.0), account, now=12.0).left == 10.0
    assert refill(Tokens(left=0.0, at_s=10.0), account, now=99.0).left == 20.0
    assert refill(Tokens(left=3.0, at_s=10.0), account, now=5.0) == Tokens(left=3.0, at_s=10.0)


counts = st.integers(0, 200)


@given(
    st.builds(
        Sandboxes,
        agents=counts,
        warm=counts,
        agents_wanted=counts,
        warm_wanted=counts,
        sessions_due=counts,
        spent_usd=st.floats(0, 20),
    ),
    st.builds(Account, sandboxes_max=st.integers(1, 150)),
    st.builds(Budget, hourly_usd=st.floats(0, 20), total_usd=st.floats(0, 20)),
    st.floats(0, 75),
)
def test_no_plan_goes_above_any_limit(wanted, account, budget, left):
    found = allow(wanted, account=account, budget=budget, tokens=Tokens(left=left, at_s=0.0))
    assert 0 <= found.agents <= wanted.agents_wanted
    assert found.sandboxes <= account.sandboxes_max
    hourly_usd = found.sandboxes * budget.agent_hour_usd
    assert hourly_usd <= budget.hourly_usd + 1e-9
    assert hourly_usd * budget.horizon_s / 3600 <= max(0.0, budget.total_usd - wanted.spent_usd) + 1e-9
    assert 0 <= found.creates <= left
    assert found.tokens.left == pytest.approx(left - found.creates)
    cut = found.agents < wanted.agents_wanted or found.rotate < min(wanted.sessions_due, found.agents)
    assert bool(found.reasons) == (cut or found.warm < wanted.warm_wanted)
    assert math.isfinite(found.tokens.left)
