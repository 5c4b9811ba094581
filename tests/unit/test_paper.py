"""The paper account on ticks small enough to follow with a pencil."""

import math

import pytest

from strategies import Bar
from trading.errors import PaperAccountError
from trading.market_data import MarketTick
from trading.paper import Fill, PaperAccount


def tick(time, **prices):
    """One session of each symbol, given as (open, close)."""
    bars = {s: Bar(time, o, max(o, c), min(o, c), c, 0.0) for s, (o, c) in prices.items()}
    return MarketTick(time, bars)


def test_decision_trades_at_the_next_open_and_is_marked_at_its_close():
    account = PaperAccount(["X"], 1000.0, fee_bps=10.0)
    account.on_tick(tick("d1", X=(90.0, 95.0)))
    account.decide("X", 0.5, shares={"a": 1.0})
    assert account.on_tick(tick("d2", X=(100.0, 110.0))) == (
        Fill(time="d2", symbol="X", quantity=5.0, price=100.0, fee=0.5),
    )
    assert account.quantities() == {"X": 5.0}
    assert account.pnl().total == pytest.approx(5 * 10 - 0.5)
    assert account.pnl().fees == pytest.approx(0.5)
    assert account.equity == pytest.approx(1049.5)


def test_capital_is_split_evenly_over_the_symbols():
    account = PaperAccount(["X", "Y"], 1000.0, fee_bps=0.0)
    account.decide("X", 1.0, shares={"a": 1.0})
    account.decide("Y", -1.0, shares={"b": 1.0})
    account.on_tick(tick("d1", X=(10.0, 10.0), Y=(20.0, 15.0)))
    assert account.quantities() == {"X": 50.0, "Y": -25.0}
    assert account.pnl().per_agent == {"a": 0.0, "b": 125.0}


def test_position_is_held_until_the_target_changes():
    account = PaperAccount(["X"], 1000.0)
    for time, price in [("d1", 10.0), ("d2", 20.0), ("d3", 5.0)]:
        account.decide("X", 0.5, shares={"a": 0.25, "b": 0.75})
        account.on_tick(tick(time, X=(price, price)))
    assert account.trades == 1
    account.decide("X", 0.4, shares={"a": 0.25, "b": 0.75})
    assert account.on_tick(tick("d4", X=(5.0, 5.0)))[0].quantity == pytest.approx(80.0 - 50.0)


def test_position_changes_hands_without_an_order_when_only_its_owners_change():
    account = PaperAccount(["X"], 1000.0)
    account.decide("X", 0.5, shares={"a": 1.0})
    account.on_tick(tick("d1", X=(10.0, 20.0)))
    account.decide("X", 0.5, shares={"b": 1.0})
    assert account.on_tick(tick("d2", X=(20.0, 30.0))) == ()
    assert account.quantities("b") == {"X": 50.0}
    pnl = account.pnl()
    assert pnl.per_agent == pytest.approx({"a": 500.0 - pnl.fees, "b": 500.0})


def test_agents_earn_and_pay_by_their_share():
    account = PaperAccount(["X"], 1000.0, fee_bps=10.0)
    account.decide("X", 1.0, shares={"b": 0.75, "a": 0.25})
    account.on_tick(tick("d1", X=(10.0, 12.0)))
    assert account.pnl().per_agent == pytest.approx({"a": 50 - 0.25, "b": 150 - 0.75})
    assert account.quantities("b") == {"X": 75.0}
    assert account.quantities("stranger") == {"X": 0.0}


def test_agents_that_swap_their_parts_trade_nothing_on_the_market():
    account = PaperAccount(["X"], 1000.0, fee_bps=10.0)
    account.decide("X", 1.0, shares={"a": 1.0})
    account.on_tick(tick("d1", X=(10.0, 10.0)))
    account.decide("X", 1.0, shares={"b": 1.0})
    assert account.on_tick(tick("d2", X=(10.0, 11.0))) == ()
    assert account.quantities() == {"X": 100.0}
    assert account.pnl().per_agent == pytest.approx({"a": -1.0, "b": 100.0})
    assert account.pnl().total == pytest.approx(99.0)


def test_fee_of_a_net_order_is_paid_by_who_moved():
    account = PaperAccount(["X"], 1000.0, fee_bps=10.0)
    account.decide("X", 1.0, shares={"a": 1.0})
    account.on_tick(tick("d1", X=(10.0, 10.0)))
    account.decide("X", 0.5, shares={"b": 1.0})  # a sells 100, b buys 50: the account sells 50
    (fill,) = account.on_tick(tick("d2", X=(10.0, 10.0)))
    assert (fill.quantity, fill.fee) == (pytest.approx(-50.0), pytest.approx(0.5))
    assert account.pnl().per_agent == pytest.approx({"a": -1 - 0.5 * 100 / 150, "b": -0.5 * 50 / 150})


def test_symbol_without_a_bar_keeps_its_decision_and_its_last_close():
    account = PaperAccount(["X", "Y"], 1000.0, fee_bps=0.0)
    account.decide("X", 1.0, shares={"a": 1.0})
    account.on_tick(tick("d1", X=(10.0, 11.0)))
    account.decide("X", -1.0, shares={"a": 1.0})
    assert account.on_tick(tick("d2", Y=(1.0, 1.0))) == ()
    assert account.pending["X"].target == -1.0
    assert account.pnl().total == pytest.approx(50.0)
    account.on_tick(tick("d3", X=(12.0, 12.0)))
    assert account.pending == {}
    assert account.quantities()["X"] == pytest.approx(-500 / 12)


def test_latest_decision_counts_and_going_back_to_the_held_one_cancels():
    account = PaperAccount(["X"], 1000.0)
    account.decide("X", 1.0, shares={"a": 1.0})
    account.decide("X", -1.0, shares={"a": 1.0})
    assert account.pending["X"].target == -1.0
    account.decide("X", 0.0, shares={})
    assert account.pending == {}


def test_going_flat_sells_everything_and_drops_the_shares():
    account = PaperAccount(["X"], 1000.0, fee_bps=0.0)
    account.decide("X", 1.0, shares={"a": 1 / 3, "b": 2 / 3})
    account.on_tick(tick("d1", X=(7.0, 7.0)))
    account.decide("X", 0.0, shares={"a": 1.0})
    account.on_tick(tick("d2", X=(8.0, 9.0)))
    assert account.quantities() == {"X": 0.0}
    assert account.pnl().total == pytest.approx(1000 / 7)
    account.on_tick(tick("d3", X=(80.0, 90.0)))
    assert account.pnl().total == pytest.approx(1000 / 7)


@pytest.mark.parametrize(
    ("symbol", "target", "shares", "reason"),
    [
        pytest.param("Z", 1.0, {"a": 1.0}, "a decision for 'Z'; the account trades X", id="symbol"),
        pytest.param("X", math.nan, {"a": 1.0}, "the target is nan", id="nan"),
        pytest.param("X", math.inf, {"a": 1.0}, "the target is inf", id="infinite"),
        pytest.param("X", 1.1, {"a": 1.0}, "the target is 1.1; it must be from -1 to 1", id="range"),
        pytest.param("X", 1.0, {}, "the shares of 0 agents sum to 0.0; they must sum to 1", id="nobody"),
        pytest.param("X", 1.0, {"a": 0.5, "b": 0.4}, "the shares of 2 agents sum to 0.9", id="too little"),
        pytest.param("X", 1.0, {"a": 1.5, "b": -0.5}, "the share of a is 1.5", id="above one"),
        pytest.param("X", 1.0, {"a": math.nan}, "the share of a is nan", id="nan share"),
    ],
)
def test_decisions_that_make_no_sense_are_refused(symbol, target, shares, reason):
    account = PaperAccount(["X"])
    with pytest.raises(PaperAccountError, match=reason):
        account.decide(symbol, target, shares=shares)
    assert account.pending == {}


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.0, -1.0])
def test_price_that_is_no_price_is_refused_and_books_nothing(price):
    account = PaperAccount(["X", "Y"])
    account.decide("X", 1.0, shares={"a": 1.0})
    bad = MarketTick("d1", {"X": Bar("d1", 1.0, 1.0, 1.0, 1.0, 0.0), "Y": Bar("d1", 1.0, 1.0, 1.0, price, 0.0)})
    with pytest.raises(PaperAccountError, match=r"Y at d1 opens at 1\.0 and closes at"):
        account.on_tick(bad)
    assert account.trades == 0
    assert "X" in account.pending


@pytest.mark.parametrize(
    ("symbols", "capital", "fee_bps", "reason"),
    [
        pytest.param([], 1.0, 0.0, "name at least one", id="no symbol"),
        pytest.param(["X", "X"], 1.0, 0.0, "and each once", id="twice"),
        pytest.param(["X"], 0.0, 0.0, "the capital is 0.0", id="no capital"),
        pytest.param(["X"], math.nan, 0.0, "the capital is nan", id="nan capital"),
        pytest.param(["X"], 1.0, -1.0, "the fee is -1.0 basis points", id="negative fee"),
    ],
)
def test_account_that_makes_no_sense_is_refused(symbols, capital, fee_bps, reason):
    with pytest.raises(PaperAccountError, match=reason):
        PaperAccount(symbols, capital, fee_bps=fee_bps)
