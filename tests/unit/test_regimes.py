"""The state of the market: entered at once, left slowly, and never the count."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.regimes import (
    LEVELS,
    Quote,
    Regime,
    RegimePolicy,
    RegimeState,
    first_regime,
    next_regime,
    realised_volatility_percent,
    regime_effect,
)

DWELL_S = RegimePolicy().dwell_s
MINUTE_S = 60.0


def walk(levels, *, step_s: float = MINUTE_S, ratio: float | None = None, regime: Regime = Regime.NORMAL):
    """Return the regimes over a list of levels; None is a quote that did not come."""
    state = first_regime(0.0, regime=regime)
    states = []
    for number, level in enumerate(levels, 1):
        now = number * step_s
        quote = None if level is None else Quote(volatility_percent=level, at_s=now, term_ratio=ratio)
        state = next_regime(state, quote, now=now)
        states.append(state)
    return states


@pytest.mark.parametrize(
    ("level", "regime"),
    [(10.0, Regime.NORMAL), (15.1, Regime.NORMAL), (20.1, Regime.ELEVATED), (30.1, Regime.HIGH), (82.69, Regime.PANIC)],
)
def test_a_regime_is_entered_at_once(level, regime):
    assert walk([level])[0].regime is regime


@pytest.mark.parametrize(("ratio", "regime"), [(1.01, Regime.HIGH), (1.15, Regime.PANIC), (0.9, Regime.NORMAL)])
def test_an_inverted_term_structure_is_stress_whatever_the_level(ratio, regime):
    assert walk([16.0], ratio=ratio)[0].regime is regime


@pytest.mark.parametrize("line", [15.0, 20.0, 30.0, 40.0])
def test_a_day_of_swings_across_a_line_is_one_change(line):
    states = walk([line + (0.5 if minute % 2 else -0.5) for minute in range(390)], regime=Regime.CALM)
    assert sum(one.regime is not other.regime for one, other in itertools.pairwise(states)) == 1


def test_a_regime_is_left_below_the_lower_line_after_the_dwell_one_step_at_a_time():
    states = walk([50.0] + [12.0] * 200)
    regimes = [state.regime for state in states]
    minutes = int(DWELL_S / MINUTE_S)
    assert regimes[minutes - 1] is Regime.PANIC
    assert regimes[minutes] is Regime.HIGH
    assert regimes[-1] is Regime.CALM
    assert sorted(set(regimes), reverse=True) == list(reversed(Regime))


def test_silence_holds_then_decays_and_never_becomes_calm():
    states = walk([50.0] + [None] * 1000)
    assert states[100].regime is Regime.PANIC
    assert states[130].regime is Regime.HIGH
    assert states[-1].regime is Regime.NORMAL


@pytest.mark.parametrize("level", [math.nan, math.inf, -1.0])
def test_a_quote_that_cannot_be_is_silence(level):
    state = walk([35.0, level])[-1]
    assert state.regime is Regime.HIGH
    assert "volatility of" in state.reason


def test_an_old_quote_is_silence():
    state = first_regime(0.0)
    assert next_regime(state, Quote(volatility_percent=80.0, at_s=0.0), now=301.0).regime is Regime.NORMAL


def effect_of(regime: Regime, *, now: float = 0.0):
    return regime_effect(RegimeState(regime=regime, since_s=0.0, heard_at_s=0.0, reason="told"), 8, now=now)


def test_effects_grow_with_the_regime():
    effects = [effect_of(regime) for regime in Regime]
    assert [effect.floor for effect in effects] == [8, 8, 10, 12, 16]
    assert [effect.allows_scale_down for effect in effects] == [True, True, True, False, False]
    assert [effect.warm_agents for effect in effects] == sorted(effect.warm_agents for effect in effects)


def test_a_lock_ends():
    assert not effect_of(Regime.PANIC, now=1799.0).allows_scale_down
    assert effect_of(Regime.PANIC, now=1800.0).allows_scale_down


@given(st.lists(st.none() | st.floats(5.0, 90.0), min_size=1, max_size=200), st.floats(1.0, 3600.0))
def test_downs_are_a_dwell_apart_and_replay_gives_the_same(levels, step_s):
    states = walk(levels, step_s=step_s)
    assert states == walk(levels, step_s=step_s)
    last_change, before = 0.0, Regime.NORMAL
    for number, state in enumerate(states, 1):
        now = number * step_s
        if state.regime < before:
            assert now - last_change >= DWELL_S
            assert state.regime == before - 1
        if state.regime is not before:
            last_change, before = now, state.regime


def test_lower_lines_are_below_upper_lines():
    for regime in list(Regime)[1:]:
        level = LEVELS[regime]
        assert level.leave_below < level.enter_above
        assert LEVELS[Regime(regime - 1)].enter_above < level.leave_below


def test_realised_volatility_is_annual_and_in_percent():
    closes = [100.0 * math.exp(0.01 * (number % 2)) for number in range(50)]
    assert realised_volatility_percent(closes) == pytest.approx(100 * 0.01 * math.sqrt(252), rel=1e-9)
    assert realised_volatility_percent([1.0, 2.0]) is None
    assert realised_volatility_percent([1.0, 0.0, 1.0]) is None
