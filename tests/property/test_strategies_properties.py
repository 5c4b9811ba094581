"""What holds for every strategy on any prices: in range, pure, blind to the future and to the unit of money."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import Bar, run_strategy
from strategies.catalog import BUILT_IN, create

any_positive = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)


def bars_of(closes):
    return [Bar(f"{i:05d}", close, close, close, close, 0.0) for i, close in enumerate(closes)]


def walk(seed, length):
    """Closes in whole cents that wander as a stock does."""
    chance = random.Random(seed)
    cents = [chance.randint(500, 50_000)]
    while len(cents) < length:
        cents.append(max(100, round(cents[-1] * (1 + chance.gauss(0.0, 0.02)))))
    return [value / 100 for value in cents]


@pytest.mark.parametrize("name", BUILT_IN)
@settings(deadline=None)
@given(data=st.data())
def test_signal_is_in_range_for_any_finite_positive_prices(name, data):
    strategy = create(name)
    seeds = data.draw(st.lists(any_positive, min_size=1, max_size=30))
    closes = [seeds[i % len(seeds)] for i in range(strategy.lookback)]
    signal = run_strategy(strategy, bars_of(closes))
    assert -1 <= signal.target <= 1
    assert 0 <= signal.confidence <= 1


@pytest.mark.parametrize("name", BUILT_IN)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32), older=st.lists(any_positive, max_size=5))
def test_signal_depends_on_the_window_alone(name, seed, older):
    strategy = create(name)
    closes = walk(seed, strategy.lookback)
    signal = strategy.signal(bars_of(closes))
    strategy.signal(bars_of(closes[::-1]))  # what it saw in between leaves no trace
    assert strategy.signal(bars_of(closes)) == signal
    assert strategy.signal(bars_of(older + closes)) == signal
    assert create(name).signal(tuple(bars_of(closes))) == signal


@pytest.mark.parametrize("name", BUILT_IN)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32), factor=st.floats(1e-3, 1e3))
def test_signal_does_not_depend_on_the_unit_of_money(name, seed, factor):
    strategy = create(name)
    closes = walk(seed, strategy.lookback)
    signal = strategy.signal(bars_of(closes))
    scaled = strategy.signal(bars_of([close * factor for close in closes]))
    assert scaled.target == pytest.approx(signal.target, abs=1e-6)
    assert scaled.confidence == pytest.approx(signal.confidence, abs=1e-6)


@pytest.mark.parametrize(("name", "sign"), [("momentum", -1), ("mean_reversion", -1)])
@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_signal_turns_with_the_prices(name, sign, seed):
    strategy = create(name)
    closes = walk(seed, strategy.lookback)
    # Momentum sees log prices, mean reversion prices: each is mirrored in its own terms.
    mirrored = [1 / close for close in closes] if name == "momentum" else [2 * max(closes) - close for close in closes]
    signal, turned = (strategy.signal(bars_of(values)) for values in (closes, mirrored))
    assert turned.target == pytest.approx(sign * signal.target, abs=1e-6)
