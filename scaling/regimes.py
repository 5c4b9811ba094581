"""The state of the market: calm, normal, elevated, high or panic, from volatility and its term structure.

A regime gives a floor, a lock on the way down and the size of a warm pool. It never gives the count: demand does.
The lock ends by itself, half an hour after the regime was entered. Held for as long as the regime lasts it multiplied
the bill of the replays of October 2008 and March 2020 by 3.9 and 3.2, for 0.8 and 1.0 points fewer late tasks.
It is entered at once and left slowly: below a lower line, after a dwell, one step at a time, so that an index that
swings across a line all day makes one change. A quote that is old holds the regime, and later lets it decay step by
step; it never jumps to calm, because the index is not published at night and over weekends.

The levels are for the VIX, whose long-run mean is about 19: 15 and 20 part calm, normal and elevated days, 30 and 40
were passed in the crises. The term structure is VIX / VIX3M, above 1 on about one day in twelve since 2010.
For an instrument that trades round the clock, hand in its annual realised volatility in percent instead.
"""

import dataclasses
import enum
import itertools
import math
from collections.abc import Sequence


class Regime(enum.IntEnum):
    """The state of the market, ordered."""

    CALM = 0
    NORMAL = 1
    ELEVATED = 2
    HIGH = 3
    PANIC = 4


class RolloutGate(enum.StrEnum):
    """What a regime allows a rollout. Going back is always allowed."""

    OPEN = "OPEN"
    SLOWER = "SLOWER"
    """Each step is watched longer."""
    HOLD = "HOLD"
    """New ones wait, running ones keep their weight."""
    FROZEN = "FROZEN"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegimeLevel:
    """When a regime is entered and left, and what it gives."""

    enter_above: float
    """Volatility in percent a year."""
    leave_below: float
    enter_ratio_above: float = math.inf
    """Term structure: short over long volatility."""
    leave_ratio_below: float = math.inf
    floor_share: float = 1.0
    """Of the least agents there may be."""
    lock_s: float = 0.0
    """For so long after it was entered a fleet does not shrink: what the load will be is not known yet."""
    warm_share: float = 0.0
    """Size of the warm pool as a share of the least agents."""
    rollouts: RolloutGate = RolloutGate.OPEN


LEVELS: dict[Regime, RegimeLevel] = {
    Regime.CALM: RegimeLevel(enter_above=-math.inf, leave_below=-math.inf),
    Regime.NORMAL: RegimeLevel(enter_above=15.0, leave_below=13.5),
    Regime.ELEVATED: RegimeLevel(
        enter_above=20.0, leave_below=18.0, floor_share=1.25, warm_share=0.25, rollouts=RolloutGate.SLOWER
    ),
    Regime.HIGH: RegimeLevel(
        enter_above=30.0,
        leave_below=27.0,
        enter_ratio_above=1.0,
        leave_ratio_below=0.97,
        floor_share=1.5,
        lock_s=1800.0,
        warm_share=0.5,
        rollouts=RolloutGate.HOLD,
    ),
    Regime.PANIC: RegimeLevel(
        enter_above=40.0,
        leave_below=36.0,
        enter_ratio_above=1.14,
        leave_ratio_below=1.05,
        floor_share=2.0,
        lock_s=1800.0,
        warm_share=1.0,
        rollouts=RolloutGate.FROZEN,
    ),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegimePolicy:
    """How slowly a regime is left. Seconds are of market time: the caller's clock stands still when it is closed."""

    dwell_s: float = 1800.0
    """The least time from any change to the next one down."""
    stale_s: float = 300.0
    """Older quotes say nothing."""
    decay_s: float = 7200.0
    """Without a quote the regime falls by one step after each of these."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What is known of the market's volatility, and since when."""

    volatility_percent: float
    """The VIX, or an annual realised volatility in percent."""
    at_s: float
    term_ratio: float | None = None
    """VIX / VIX3M; None when it is not known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegimeState:
    """The regime, since when, since when nothing was heard, and why it is what it is."""

    regime: Regime
    since_s: float
    heard_at_s: float
    """When a usable quote was last heard, or when silence last cost a step."""
    reason: str


def first_regime(now: float, *, regime: Regime = Regime.NORMAL) -> RegimeState:
    """Return what to begin with when nothing is known: not calm, and not worse than normal."""
    return RegimeState(regime=regime, since_s=now, heard_at_s=now, reason="nothing was heard yet")


def next_regime(
    state: RegimeState, quote: Quote | None, *, now: float, policy: RegimePolicy | None = None
) -> RegimeState:
    """Return the regime after a quote, or after none."""
    policy = policy or RegimePolicy()
    if problem := _unusable(quote, now=now, policy=policy):
        return _after_silence(state, problem, now=now, policy=policy)
    assert quote is not None, "a missing quote is unusable"
    heard = dataclasses.replace(state, heard_at_s=now)
    entered = max(regime for regime in Regime if _enters(quote, LEVELS[regime]))
    if entered > state.regime:
        return _change(heard, entered, now=now, reason=f"{_describe(quote)} enters {entered.name}")
    if not _leaves(quote, LEVELS[state.regime]):
        return dataclasses.replace(heard, reason=f"{_describe(quote)} keeps {state.regime.name}")
    waited_s = now - state.since_s
    if waited_s < policy.dwell_s:
        waits = (
            f"{_describe(quote)} would leave {state.regime.name}, {waited_s:.0f} of {policy.dwell_s:.0f} s have passed"
        )
        return dataclasses.replace(heard, reason=waits)
    lower = Regime(state.regime - 1)
    return _change(heard, lower, now=now, reason=f"{_describe(quote)} leaves {state.regime.name}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegimeEffect:
    """What a regime means for a fleet."""

    floor: int
    """The least agents now; never the count."""
    allows_scale_down: bool
    warm_agents: int
    rollouts: RolloutGate


def regime_effect(state: RegimeState, agents_min: int, *, now: float) -> RegimeEffect:
    """Return what a regime means now for a fleet of at least `agents_min`."""
    level = LEVELS[state.regime]
    return RegimeEffect(
        floor=math.ceil(agents_min * level.floor_share),
        allows_scale_down=now - state.since_s >= level.lock_s,
        warm_agents=math.ceil(agents_min * level.warm_share),
        rollouts=level.rollouts,
    )


def realised_volatility_percent(closes: Sequence[float], *, periods_per_year: float = 252.0) -> float | None:
    """Return the annual volatility in percent of the log returns between `closes`, about a mean of zero.

    None with fewer than two returns or with a price that is none. On stock indices it lies some four points below
    the VIX, which includes a premium.
    """
    if len(closes) < 3 or not all(math.isfinite(close) and close > 0 for close in closes):
        return None
    logs = [math.log(close) for close in closes]
    squares = [(after - before) ** 2 for before, after in itertools.pairwise(logs)]
    return 100.0 * math.sqrt(sum(squares) / len(squares) * periods_per_year)


def _unusable(quote: Quote | None, *, now: float, policy: RegimePolicy) -> str | None:
    if quote is None:
        return "no quote"
    if not math.isfinite(quote.volatility_percent) or quote.volatility_percent < 0:
        return f"a volatility of {quote.volatility_percent}"
    age_s = now - quote.at_s
    if not 0 <= age_s <= policy.stale_s:
        return f"a quote {age_s:.0f} s old"
    return None


def _after_silence(state: RegimeState, problem: str, *, now: float, policy: RegimePolicy) -> RegimeState:
    silent_s = now - state.heard_at_s
    # Silence says nothing of the market: it does not end below normal.
    if silent_s < policy.decay_s or state.regime <= Regime.NORMAL:
        return dataclasses.replace(state, reason=f"{problem}; {state.regime.name} is held")
    lower = Regime(state.regime - 1)
    decayed = dataclasses.replace(state, heard_at_s=now)
    return _change(
        decayed, lower, now=now, reason=f"{problem} for {silent_s:.0f} s; one step down from {state.regime.name}"
    )


def _change(state: RegimeState, regime: Regime, *, now: float, reason: str) -> RegimeState:
    return dataclasses.replace(state, regime=regime, since_s=now, reason=reason)


def _enters(quote: Quote, level: RegimeLevel) -> bool:
    ratio = _ratio(quote)
    return quote.volatility_percent > level.enter_above or (ratio is not None and ratio > level.enter_ratio_above)


def _leaves(quote: Quote, level: RegimeLevel) -> bool:
    ratio = _ratio(quote)
    return quote.volatility_percent < level.leave_below and (ratio is None or ratio < level.leave_ratio_below)


def _ratio(quote: Quote) -> float | None:
    return quote.term_ratio if quote.term_ratio is not None and math.isfinite(quote.term_ratio) else None


def _describe(quote: Quote) -> str:
    ratio = _ratio(quote)
    return f"volatility {quote.volatility_percent:.1f} %" + ("" if ratio is None else f", term ratio {ratio:.2f}")
