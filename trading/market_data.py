"""The tape: the sessions a swarm is taken through, and the bars its strategies have seen before.

A tape is cut from whole series, bundled or the user's own, and never from the network. What it replays is
said by `describe`, so that no report passes a replay off as live.
"""

import bisect
import dataclasses
import difflib
from collections import Counter
from collections.abc import Mapping, Sequence

from strategies import Bar
from trading import bundled
from trading.bundled import available_symbols
from trading.errors import MarketDataError, UnknownSymbolError
from trading.series import Series

DEFAULT_SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
"""Four stocks with all prices of a session and data in the public domain."""
TICKS_DEFAULT = 250
"""About a year of sessions."""
WARMUP_BARS = 260
"""Enough for the longest built-in lookback, 253."""

__all__ = ["DEFAULT_SYMBOLS", "MarketTick", "Series", "Tape", "available_symbols", "load_tape"]


@dataclasses.dataclass(frozen=True, slots=True)
class MarketTick:
    """One session: what every symbol of the tape did in it."""

    time: str
    """ISO 8601 date or datetime, the time of each of the bars."""
    bars: dict[str, Bar]
    """By symbol."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tape:
    """The sessions common to some symbols, oldest first, and what went before."""

    symbols: tuple[str, ...]
    """In the order asked for."""
    ticks: tuple[MarketTick, ...]
    """At least one; each has a bar of every symbol."""
    history: dict[str, tuple[Bar, ...]]
    """By symbol: the last bars before the first tick, oldest first; fewer where a series starts late."""
    source: str
    """Who supplied the prices, with the licence in brackets."""
    is_daily: bool = False
    """Whether each tick is known to be one trading day."""

    @property
    def window(self) -> tuple[str, str]:
        """The times of the first and the last tick."""
        return self.ticks[0].time, self.ticks[-1].time

    def describe(self) -> str:
        """Say what is replayed: ``replay of AAPL, IBM daily bars 2012-03-02..2013-03-01 from ...``."""
        kind = "daily bars" if self.is_daily else "bars"
        first, last = self.window
        return f"replay of {', '.join(self.symbols)} {kind} {first}..{last} from {self.source}"


def load_tape(
    symbols: Sequence[str] | None = None,
    ticks: int | None = None,
    *,
    warmup: int = WARMUP_BARS,
    series: Mapping[str, Series] | None = None,
) -> Tape:
    """Return the last `ticks` sessions common to `symbols`, with up to `warmup` earlier bars of each.

    `series` is the user's own data and then the only data; without it the bundled prices are used. `symbols`
    defaults to all of the user's, or to DEFAULT_SYMBOLS. `ticks` defaults to 250, or to what there is when
    that is less.

    Raises UnknownSymbolError, MissingPackageError, or MarketDataError for a symbol named twice, for symbols
    without a common session, and for more ticks than there are.
    """
    if symbols is None:
        symbols = DEFAULT_SYMBOLS if series is None else sorted(series)
    _check_symbols(symbols, series)
    if ticks is not None and ticks < 1:
        raise MarketDataError(f"asked for {ticks} ticks; ask for at least 1")
    if warmup < 0:
        raise MarketDataError(f"asked for {warmup} bars of warm-up; ask for 0 or more")
    chosen = bundled.read_series(symbols) if series is None else {symbol: series[symbol] for symbol in symbols}
    by_time = {symbol: {bar.time: bar for bar in one.bars} for symbol, one in chosen.items()}
    times = _choose_times(chosen, common=sorted(set.intersection(*map(set, by_time.values()))), ticks=ticks)
    return Tape(
        symbols=tuple(symbols),
        ticks=tuple(MarketTick(time, {symbol: by_time[symbol][time] for symbol in symbols}) for time in times),
        history={symbol: _bars_before(one.bars, times[0], warmup=warmup) for symbol, one in chosen.items()},
        source=" and ".join(dict.fromkeys(f"{one.source} ({one.licence})" for one in chosen.values())),
        is_daily=all(one.is_daily for one in chosen.values()),
    )


def _check_symbols(symbols: Sequence[str], series: Mapping[str, Series] | None) -> None:
    available = available_symbols() if series is None else sorted(series)
    if not symbols:
        raise MarketDataError(f"asked for no symbol; choose from {', '.join(available)}")
    twice = [symbol for symbol, count in Counter(symbols).items() if count > 1]
    if twice:
        raise MarketDataError(f"asked for {', '.join(twice)} more than once; name each symbol once")
    known = bundled.known_symbols() if series is None else available
    for symbol in symbols:
        if symbol not in known:
            raise UnknownSymbolError(_explain_unknown(symbol, available))


def _explain_unknown(symbol: str, available: Sequence[str]) -> str:
    by_upper = {name.upper(): name for name in available}
    close = [by_upper[upper] for upper in difflib.get_close_matches(symbol.upper(), list(by_upper))]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"there are no prices of {symbol!r}; {hint}available: {', '.join(available)}"


def _choose_times(chosen: Mapping[str, Series], *, common: Sequence[str], ticks: int | None) -> Sequence[str]:
    if not common or (ticks is not None and ticks > len(common)):
        windows = "; ".join(
            f"{symbol} {one.bars[0].time}..{one.bars[-1].time} ({len(one.bars)} bars)" for symbol, one in chosen.items()
        )
        if not common:
            raise MarketDataError(
                f"{', '.join(chosen)} have no session in common: {windows}; choose symbols whose windows overlap"
            )
        raise MarketDataError(
            f"asked for {ticks} ticks, found {len(common)} sessions common to {', '.join(chosen)}: {windows}; "
            f"ask for at most {len(common)}, or for other symbols"
        )
    return common[-(ticks or TICKS_DEFAULT) :]


def _bars_before(bars: Sequence[Bar], time: str, *, warmup: int) -> tuple[Bar, ...]:
    end = bisect.bisect_left(bars, time, key=lambda bar: bar.time)
    return tuple(bars[max(0, end - warmup) : end])
