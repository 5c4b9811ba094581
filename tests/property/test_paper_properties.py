"""Whatever is decided at whatever prices, the paper account neither makes nor loses money between its ledgers."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import Bar
from trading.market_data import MarketTick
from trading.paper import PaperAccount

AGENTS = ["a", "b", "c"]
SYMBOLS = ["X", "Y"]

prices = st.floats(0.01, 1000.0)
weights = st.dictionaries(st.sampled_from(AGENTS), st.floats(0.01, 1.0), min_size=1)
decisions = st.tuples(st.sampled_from(SYMBOLS), st.one_of(st.just(0.0), st.floats(-1.0, 1.0)), weights)
sessions = st.dictionaries(st.sampled_from(SYMBOLS), st.tuples(prices, prices))
events = st.lists(st.tuples(st.lists(decisions, max_size=3), sessions), min_size=1, max_size=12)


def replay(events, fee_bps=5.0):
    account = PaperAccount(SYMBOLS, 100_000.0, fee_bps=fee_bps)
    for number, (decided, session) in enumerate(events):
        for symbol, target, weight in decided:
            total = math.fsum(weight.values())
            account.decide(symbol, target, shares={agent: value / total for agent, value in weight.items()})
        bars = {s: Bar(f"{number}", o, max(o, c), min(o, c), c, 0.0) for s, (o, c) in session.items()}
        account.on_tick(MarketTick(f"{number}", bars))
        yield account


@settings(deadline=None)
@given(events=events)
def test_what_agents_earned_is_what_the_account_earned(events):
    for account in replay(events):
        pnl = account.pnl()
        # 1e-6 of an account of 100,000; where prices rose a thousandfold, the same share of what moved.
        tolerance = 1e-6 * max(1.0, abs(pnl.total) / account.capital)
        assert math.fsum(pnl.per_agent.values()) == pytest.approx(pnl.total, abs=tolerance)
        assert account.equity - account.capital == pytest.approx(pnl.total, abs=tolerance)
        for symbol, units in account.quantities().items():
            parts = math.fsum(account.quantities(agent)[symbol] for agent in AGENTS)
            assert parts == pytest.approx(units, rel=1e-12, abs=1e-12)


@settings(deadline=None)
@given(events=events)
def test_ledger_agrees_with_the_fills(events):
    *_, account = replay(events)
    closes = {symbol: close for _, session in events for symbol, (_, close) in session.items()}
    bought = math.fsum(fill.quantity * (closes[fill.symbol] - fill.price) - fill.fee for fill in account.fills)
    moved = math.fsum(abs(fill.quantity) * (closes[fill.symbol] + fill.price) for fill in account.fills)
    assert account.pnl().total == pytest.approx(bought, abs=1e-6 + 1e-12 * moved)
    assert account.pnl().fees == pytest.approx(
        math.fsum(abs(fill.quantity) * fill.price * 5e-4 for fill in account.fills), rel=1e-9
    )


@settings(deadline=None)
@given(events=events)
def test_replay_of_the_same_events_gives_the_same_account(events):
    *_, first = replay(events)
    *_, second = replay(events)
    assert first.pnl() == second.pnl()
    assert first.fills == second.fills


@settings(deadline=None)
@given(events=events)
def test_fees_never_help(events):
    *_, dear = replay(events, fee_bps=50.0)
    *_, free = replay(events, fee_bps=0.0)
    assert dear.pnl().total <= free.pnl().total + 1e-6
    assert free.pnl().fees == 0.0
