"""Real prices that lie inside installed packages, read from their files.

The packages are located and never imported: importing one would run its code and pandas' for a second, and
only the rows of the wanted symbols are parsed. docs/MARKET_DATA.md lists what is there, and what may be done
with it.
"""

import csv
import dataclasses
import gzip
import importlib.metadata
import importlib.util
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from strategies import Bar
from trading.errors import MarketDataError, MissingPackageError, UnknownSymbolError
from trading.series import Series

_Reader = Callable[[Path, Sequence[str]], dict[str, list[Bar]]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    package: str
    requirement: str
    """What to tell pip."""
    licence: str
    symbols: tuple[str, ...]
    read: _Reader
    """From the package's directory and the wanted symbols to their bars."""


def available_symbols() -> tuple[str, ...]:
    """Return the symbols the installed packages have prices of, in alphabetical order."""
    return tuple(sorted({symbol for source in _SOURCES if _locate(source) for symbol in source.symbols}))


def known_symbols() -> tuple[str, ...]:
    """Return the symbols that could be read if every package were installed, in alphabetical order."""
    return tuple(sorted({symbol for source in _SOURCES for symbol in source.symbols}))


def read_series(symbols: Sequence[str]) -> dict[str, Series]:
    """Return all the prices there are of each of `symbols`, each file read once.

    Where two packages have a symbol, the first of bokeh_sampledata, arch and skfolio that is installed
    supplies it. Raises MissingPackageError with the line for pip, UnknownSymbolError, or MarketDataError when
    a package's file is not as expected.
    """
    wanted: dict[int, list[str]] = {}
    for symbol in symbols:
        wanted.setdefault(_choose_source(symbol), []).append(symbol)
    series: dict[str, Series] = {}
    for index in sorted(wanted):
        series.update(_read_source(_SOURCES[index], wanted[index]))
    return {symbol: series[symbol] for symbol in symbols}


def _choose_source(symbol: str) -> int:
    having = [index for index, source in enumerate(_SOURCES) if symbol in source.symbols]
    if not having:
        raise UnknownSymbolError(f"no package has prices of {symbol!r}; there are {', '.join(known_symbols())}")
    for index in having:
        if _locate(_SOURCES[index]):
            return index
    source = _SOURCES[having[0]]
    raise MissingPackageError(
        f"prices of {symbol} come from the package {source.package}, which is not installed: "
        f"pip install '{source.requirement}'"
    )


def _locate(source: _Source) -> Path | None:
    # Only ever a top-level name: to find a submodule, find_spec imports its parent.
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _read_source(source: _Source, symbols: Sequence[str]) -> dict[str, Series]:
    directory = _locate(source)
    assert directory is not None, "the source was chosen because it is installed"
    try:
        version = importlib.metadata.version(source.package)
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    try:
        bars = source.read(directory, symbols)
    except FileNotFoundError as error:
        raise MarketDataError(
            f"{source.package} {version} has no file {error.filename}: pip install '{source.requirement}'"
        ) from None
    except (OSError, EOFError, zlib.error, csv.Error, LookupError, ArithmeticError, ValueError) as error:
        raise MarketDataError(
            f"the prices in {source.package} {version} ({directory}) cannot be read: "
            f"{type(error).__name__}: {error}; pip install --force-reinstall '{source.requirement}'"
        ) from error
    name = f"{source.package} {version}"
    return {
        symbol: Series(symbol=symbol, bars=tuple(bars[symbol]), source=name, licence=source.licence, is_daily=True)
        for symbol in symbols
    }


def _read_lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        return file.read().splitlines()


def _rows(header: str, lines: Sequence[str], *, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the named columns of the lines, in that order."""
    names = next(csv.reader([header]))
    places = [names.index(column) for column in columns]
    for row in csv.reader(lines):
        yield [row[place] for place in places]


def _read_bokeh(directory: Path, symbols: Sequence[str]) -> dict[str, list[Bar]]:
    """Prices as traded, scaled by adjusted close / close, so that splits and dividends are no returns."""
    header, *lines = _read_lines(directory / "_data" / "stocks.csv.gz")
    prefixes = tuple(f"{symbol}," for symbol in symbols)
    wanted = [line for line in lines if line.startswith(prefixes)]
    columns = ("Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close")
    bars: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
    for symbol, date, *numbers in _rows(header, wanted, columns=columns):
        opened, high, low, close, volume, adjusted = map(float, numbers)
        factor = adjusted / close
        bars[symbol].append(Bar(date, opened * factor, high * factor, low * factor, close * factor, volume))
    return bars


def _read_arch(directory: Path, symbols: Sequence[str]) -> dict[str, list[Bar]]:
    """Index levels; two files with all prices of a session, and the VIX with its close alone."""
    bars: dict[str, list[Bar]] = {}
    for symbol in symbols:
        stem = symbol.lower()
        header, *lines = _read_lines(directory / "data" / stem / f"{stem}.csv.gz")
        if symbol == "VIX":
            rows = _rows(header, lines, columns=("Date", "vix"))
            bars[symbol] = [_flat_bar(_iso_date(date), level) for date, level in rows if level != "."]
            continue
        bars[symbol] = [
            Bar(_iso_date(date), *map(float, numbers))
            for date, *numbers in _rows(header, lines, columns=("Date", "Open", "High", "Low", "Close", "Volume"))
        ]
    return bars


def _read_skfolio(directory: Path, symbols: Sequence[str]) -> dict[str, list[Bar]]:
    """Adjusted closes only."""
    header, *lines = _read_lines(directory / "datasets" / "data" / "sp500_dataset.csv.gz")
    bars: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
    for date, *closes in _rows(header, lines, columns=("Date", *symbols)):
        for symbol, close in zip(symbols, closes, strict=True):
            bars[symbol].append(_flat_bar(date, close))
    return bars


def _iso_date(american: str) -> str:
    month, day, year = american.split("/")
    return f"{year}-{month:0>2}-{day:0>2}"


def _flat_bar(time: str, close: str) -> Bar:
    price = float(close)
    return Bar(time, price, price, price, price, 0.0)


_SKFOLIO_SYMBOLS = "AAPL AMD BAC BBY CVX GE HD JNJ JPM KO LLY MRK MSFT PEP PFE PG RRC UNH WMT XOM"
_SOURCES = (
    _Source(
        package="bokeh_sampledata",
        requirement="bokeh_sampledata>=2026.1",
        licence="public domain",
        symbols=("AAPL", "FB", "GOOG", "IBM", "MSFT"),
        read=_read_bokeh,
    ),
    _Source(
        package="arch",
        requirement="arch>=7.2",
        licence="in an NCSA-licensed package, prices of third parties",
        symbols=("NASDAQ", "SP500", "VIX"),
        read=_read_arch,
    ),
    _Source(
        package="skfolio",
        requirement="e2b-swarm[data]",
        licence="in a BSD-3 package, for tests and examples only",
        symbols=tuple(_SKFOLIO_SYMBOLS.split()),
        read=_read_skfolio,
    ),
)
