"""Bundled prices as they really are, and how a tape is cut from series."""

import gzip
import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest

from strategies import Bar
from trading import bundled
from trading.errors import MarketDataError, MissingPackageError, UnknownSymbolError
from trading.market_data import DEFAULT_SYMBOLS, Series, available_symbols, load_tape


def series_of(symbol, days):
    bars = tuple(Bar(f"2024-01-{day:02d}", 10.0, 12.0, 9.0, 11.0, 5.0) for day in days)
    return Series(symbol=symbol, bars=bars, source="prices.csv", licence="the user's own file")


OWN = {"A": series_of("A", range(1, 21)), "B": series_of("B", range(11, 31)), "C": series_of("C", range(25, 28))}


@pytest.mark.parametrize(
    ("symbol", "rows", "first", "last"),
    [
        ("AAPL", 3270, "2000-03-01", "2013-03-01"),
        ("FB", 196, "2012-05-18", "2013-03-01"),
        ("GOOG", 2148, "2004-08-19", "2013-03-01"),
        ("IBM", 3270, "2000-03-01", "2013-03-01"),
        ("MSFT", 3270, "2000-03-01", "2013-03-01"),
        ("NASDAQ", 5031, "1999-01-04", "2018-12-31"),
        ("SP500", 5031, "1999-01-04", "2018-12-31"),
        ("VIX", 1259, "2014-01-03", "2019-01-03"),
    ],
)
def test_bundled_series_are_whole_and_sane(symbol, rows, first, last):
    bars = bundled.read_series([symbol])[symbol].bars
    times = [bar.time for bar in bars]
    assert (len(bars), times[0], times[-1]) == (rows, first, last)
    assert times == sorted(set(times))
    for bar in bars:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high < math.inf
        assert 0 <= bar.volume < math.inf


def test_splits_are_no_returns():
    for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        closes = [bar.close for bar in bundled.read_series([symbol])[symbol].bars]
        moves = [abs(later / earlier - 1) for earlier, later in itertools.pairwise(closes)]
        assert max(moves) < 0.6, symbol


@pytest.mark.parametrize(
    ("symbol", "day", "low", "high"),
    [
        pytest.param("AAPL", "2000-06-21", 0.05, 0.15, id="Apple 2:1 of 2000"),
        pytest.param("AAPL", "2005-02-28", -0.05, 0.05, id="Apple 2:1 of 2005"),
        pytest.param("MSFT", "2003-02-18", -0.05, 0.05, id="Microsoft 2:1 of 2003"),
        pytest.param("MSFT", "2004-11-15", -0.05, 0.05, id="Microsoft 3 dollar dividend of 2004"),
        pytest.param("AAPL", "2000-09-29", -0.53, -0.50, id="Apple profit warning, a real loss"),
    ],
)
def test_return_on_days_where_raw_prices_jump(symbol, day, low, high):
    bars = bundled.read_series([symbol])[symbol].bars
    at = next(i for i, bar in enumerate(bars) if bar.time == day)
    assert low < bars[at].close / bars[at - 1].close - 1 < high


def test_default_tape_is_the_last_year_of_four_stocks_and_its_warm_up():
    tape = load_tape()
    assert tape.symbols == DEFAULT_SYMBOLS
    assert len(tape.ticks) == 250
    assert tape.window == ("2012-03-02", "2013-03-01")
    assert {symbol: len(bars) for symbol, bars in tape.history.items()} == dict.fromkeys(DEFAULT_SYMBOLS, 260)
    assert all(bars[-1].time == "2012-03-01" for bars in tape.history.values())
    assert all(tick.bars[symbol].time == tick.time for tick in tape.ticks for symbol in tape.symbols)
    assert tape.describe().startswith(
        "replay of AAPL, GOOG, IBM, MSFT daily bars 2012-03-02..2013-03-01 from bokeh_sampledata 20"
    )
    assert tape.describe().endswith(" (public domain)")


def test_symbols_of_two_packages_share_the_sessions_of_both():
    tape = load_tape(["SP500", "AAPL"], 5, warmup=3)
    assert tape.symbols == ("SP500", "AAPL")
    assert tape.window == ("2013-02-25", "2013-03-01")
    assert "bokeh_sampledata" in tape.source
    assert "arch" in tape.source


def test_loading_imports_neither_pandas_nor_the_packages():
    code = (
        "import sys; from trading.market_data import load_tape; load_tape(['AAPL', 'SP500']);"
        "print(sorted({'arch', 'bokeh_sampledata', 'numpy', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("symbols", "ticks", "window", "history"),
    [
        pytest.param(["A"], 5, ("2024-01-16", "2024-01-20"), 4, id="the last ones"),
        pytest.param(["A"], None, ("2024-01-01", "2024-01-20"), 0, id="all there are"),
        pytest.param(["A", "B"], 10, ("2024-01-11", "2024-01-20"), 4, id="common ones, with A's earlier bars"),
    ],
)
def test_tape_is_cut_from_the_end(symbols, ticks, window, history):
    tape = load_tape(symbols, ticks, warmup=4, series=OWN)
    assert tape.window == window
    assert len(tape.history["A"]) == history
    assert all(bar.time < window[0] for bars in tape.history.values() for bar in bars)


def test_own_data_defaults_to_all_its_symbols_and_is_named_in_the_description():
    tape = load_tape(series={"Z": series_of("Z", [1, 2]), "A": series_of("A", [1, 2])})
    assert tape.describe() == "replay of A, Z bars 2024-01-01..2024-01-02 from prices.csv (the user's own file)"


@pytest.mark.parametrize(
    ("symbols", "ticks", "series", "error", "reason"),
    [
        pytest.param(
            ["APPL"], None, None, UnknownSymbolError, r"'APPL'; did you mean AAPL\? available: AAPL, ", id="typo"
        ),
        pytest.param(["aapl"], None, None, UnknownSymbolError, r"did you mean AAPL\?", id="case"),
        pytest.param(
            ["AAPL"], None, OWN, UnknownSymbolError, r"no prices of 'AAPL'; available: A, B, C$", id="own only"
        ),
        pytest.param(["A", "B", "A"], None, OWN, MarketDataError, "asked for A more than once", id="twice"),
        pytest.param([], None, OWN, MarketDataError, "asked for no symbol; choose from A, B, C", id="none"),
        pytest.param(["A"], 0, OWN, MarketDataError, "asked for 0 ticks; ask for at least 1", id="no ticks"),
        pytest.param(
            ["A", "B"],
            11,
            OWN,
            MarketDataError,
            r"asked for 11 ticks, found 10 sessions common to A, B: A 2024-01-01.* at most 10",
            id="too many",
        ),
        pytest.param(
            ["A", "C"], None, OWN, MarketDataError, "A, C have no session in common: A 2024-01-01", id="disjoint"
        ),
        pytest.param(["AAPL", "VIX"], None, None, MarketDataError, "no session in common", id="disjoint bundled"),
    ],
)
def test_requests_that_cannot_be_met_say_what_was_found(symbols, ticks, series, error, reason):
    with pytest.raises(error, match=reason):
        load_tape(symbols, ticks, series=series)


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Only packages under the returned directory are found; the installed ones are not."""
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda name: spec_of(tmp_path / name))
    return tmp_path


def spec_of(directory: Path):
    if not directory.is_dir():
        return None
    return type("Spec", (), {"submodule_search_locations": [str(directory)]})


def write_gzip(path, text):
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(text.encode()))


def test_missing_package_is_named_with_the_line_for_pip(packages):
    with pytest.raises(MissingPackageError, match=r"AAPL come from .*pip install 'bokeh_sampledata>="):
        load_tape(["AAPL"])
    with pytest.raises(MissingPackageError, match=r"pip install 'e2b-swarm\[data\]'"):
        load_tape(["XOM"])
    assert available_symbols() == ()


def test_skfolio_has_closes_only_and_stands_in_for_bokeh(packages):
    write_gzip(
        packages / "skfolio" / "datasets" / "data" / "sp500_dataset.csv.gz",
        "Date,AAPL,XOM\n2022-12-27,128.0,107.0\n2022-12-28,125.5,106.5\n",
    )
    tape = load_tape(["XOM", "AAPL"])
    assert tape.ticks[-1].bars["XOM"] == Bar("2022-12-28", 106.5, 106.5, 106.5, 106.5, 0.0)
    assert tape.ticks[-1].bars["AAPL"].close == 125.5
    assert "XOM" in available_symbols()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "has no file .*stocks.csv.gz: pip install", id="older package"),
        pytest.param(b"not gzip", "cannot be read: BadGzipFile", id="not gzip"),
        pytest.param(
            gzip.compress(b"Ticker,Date\nAAPL,2000-03-01\n"), "cannot be read: ValueError", id="other columns"
        ),
    ],
)
def test_package_that_is_not_as_expected_is_named(packages, content, reason):
    path = packages / "bokeh_sampledata" / "_data" / "stocks.csv.gz"
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MarketDataError, match=reason):
        load_tape(["AAPL"])
