"""The user's own prices: a .csv or .parquet file with one row for each bar.

Every row is checked before anything runs on it, because a strategy trusts its bars; the first bad row is
named with its place. docs/MARKET_DATA.md describes the columns.
"""

import csv
import dataclasses
import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from strategies import Bar
from trading.errors import MarketDataError
from trading.series import Series

if TYPE_CHECKING:
    import pyarrow as pa

LICENCE = "the user's own file"
_ALIASES = {"date": "time", "ticker": "symbol"}
_COLUMNS = ("time", "symbol", "open", "high", "low", "close", "volume")
_REQUIRED = ("time", "symbol", "close")

_Row = tuple[str, dict[str, object]]
"""Where the row is, for messages, and its cells by column; a missing cell is absent, None or empty."""


class _RowError(Exception):
    """What is wrong with a row; its place is added by who knows it."""


def read_user_data(path: Path) -> dict[str, Series]:
    """Read a file of bars and return them by symbol, in the order of the file.

    Columns, in any order and case: `time` (or `date`), `symbol` (or `ticker`), `close`, and if there are any
    `open`, `high`, `low`, `volume`; other columns are ignored. Times are ISO 8601, all dates or all
    datetimes, and increase for each symbol; those with a zone are turned into UTC. A missing open, high or
    low is the close, a missing volume is 0.

    Raises MarketDataError with one line: ``file:line: reason`` for the first bad row of a .csv, ``file:row n:
    reason`` of a .parquet (rows count from 1), or what is wrong with the file as a whole.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise MarketDataError(f"{path}: a data file ends in {' or '.join(readers)}")
    if not path.is_file():
        raise MarketDataError(f"{path}: there is no such file; give a path from {Path.cwd()}")
    collected = _Collector()
    for place, cells in reader(path):
        try:
            collected.add(cells)
        except _RowError as error:
            raise MarketDataError(f"{place}: {error}") from None
    if not collected.bars:
        raise MarketDataError(
            f"{path}: holds no rows; it needs the columns {', '.join(_REQUIRED)} and a row for each bar"
        )
    return {
        symbol: Series(symbol=symbol, bars=tuple(bars), source=path.name, licence=LICENCE)
        for symbol, bars in collected.bars.items()
    }


@dataclasses.dataclass(slots=True)
class _Collector:
    """Takes rows in the order of the file and checks each against those before."""

    bars: dict[str, list[Bar]] = dataclasses.field(default_factory=dict)
    time_kind: str = ""

    def add(self, cells: dict[str, object]) -> None:
        """Add one bar. Raises _RowError."""
        symbol = str(cells.get("symbol") or "").strip()
        if not symbol:
            raise _RowError("the symbol is missing")
        time, kind = _parse_time(cells.get("time"))
        self.time_kind = self.time_kind or kind
        if kind != self.time_kind:
            raise _RowError(f"time {time} is {kind}, the rows before have {self.time_kind}; use one of them")
        bars = self.bars.setdefault(symbol, [])
        # The times of one kind are spelled alike, so they sort as text.
        if bars and time <= bars[-1].time:
            problem = "is there twice" if time == bars[-1].time else f"comes after {bars[-1].time}"
            raise _RowError(f"time {time} of {symbol} {problem}; sort the rows by time and keep one for each time")
        bars.append(_make_bar(time, cells))


def _make_bar(time: str, cells: dict[str, object]) -> Bar:
    close = _parse_price("close", cells.get("close"))
    if close is None:
        raise _RowError("close is missing")
    opened, high, low = (
        close if price is None else price
        for price in (_parse_price(name, cells.get(name)) for name in ("open", "high", "low"))
    )
    if not (low <= min(opened, close) and max(opened, close) <= high):
        raise _RowError(
            f"open {opened:g}, high {high:g}, low {low:g}, close {close:g}: open and close must lie from low to high"
        )
    volume = _parse_number("volume", cells.get("volume"))
    if volume is not None and volume < 0:
        raise _RowError(f"volume is {volume:g}, it cannot be negative")
    return Bar(time, opened, high, low, close, volume or 0.0)


def _parse_price(name: str, cell: object) -> float | None:
    price = _parse_number(name, cell)
    if price is not None and price <= 0:
        raise _RowError(f"{name} is {price:g}, a price must be positive")
    return price


def _parse_number(name: str, cell: object) -> float | None:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = float(cell)  # type: ignore[arg-type]  # a cell that is no number raises TypeError
    except (TypeError, ValueError, OverflowError):
        raise _RowError(f"{name} is {cell!r}, not a number") from None
    if not math.isfinite(number):
        raise _RowError(f"{name} is {number}, not a finite number")
    return number


def _parse_time(cell: object) -> tuple[str, str]:
    """Return the time as text and what kind of time it is."""
    if isinstance(cell, str):
        cell = _parse_iso(cell.strip())
    if isinstance(cell, dt.datetime):
        try:
            if cell.tzinfo is not None:
                return cell.astimezone(dt.UTC).isoformat(), "a datetime with a zone"
        except OverflowError:
            raise _RowError(f"time {cell} is out of range") from None
        return cell.isoformat(), "a datetime without a zone"
    if isinstance(cell, dt.date):
        return cell.isoformat(), "a date"
    raise _RowError("the time is missing" if cell is None else f"time is {cell!r}, not a date or datetime")


def _parse_iso(text: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise _RowError(f"time is {text!r}, not ISO 8601 such as 2026-01-31 or 2026-01-31T15:30:00") from None


def _match_columns(names: Sequence[str], where: str) -> dict[str, int]:
    """Return the place of each column we know."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        plain = name.strip().lower()
        column = _ALIASES.get(plain, plain)
        if column not in _COLUMNS:
            continue
        if column in places:
            raise MarketDataError(
                f"{where}: two columns for {column}: {names[places[column]]!r} and {name!r}; keep one"
            )
        places[column] = place
    missing = [column for column in _REQUIRED if column not in places]
    if missing:
        raise MarketDataError(
            f"{where}: no column {', '.join(missing)}; found {', '.join(names) or 'none'}; "
            f"needed are {', '.join(_REQUIRED)}"
        )
    return places


def _read_csv(path: Path) -> Iterator[_Row]:
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            if header is None:
                raise MarketDataError(f"{path}: is empty; its first line names the columns {', '.join(_REQUIRED)}")
            places = _match_columns(header, f"{path}:1")
            for row in reader:
                line = reader.line_num
                if not row:
                    continue
                if len(row) != len(header):
                    raise MarketDataError(f"{path}:{line}: {len(row)} cells, the header has {len(header)}")
                yield f"{path}:{line}", {column: row[place] for column, place in places.items()}
    except csv.Error as error:
        raise MarketDataError(f"{path}:{line + 1}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise MarketDataError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8") from error
    except OSError as error:
        raise MarketDataError(f"{path}: cannot be read: {error.strerror}") from error


def _read_parquet(path: Path) -> Iterator[_Row]:
    import pyarrow as pa  # here, because it takes 0.2 s that a .csv file need not pay
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            places = _match_columns(names, str(path))
            for batch in file.iter_batches(columns=[names[place] for place in places.values()]):
                columns = {column: _cells(batch.column(names[place])) for column, place in places.items()}
                for cells in zip(*columns.values(), strict=True):
                    number += 1
                    yield f"{path}:row {number}", dict(zip(columns, cells, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise MarketDataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _cells(column: "pa.Array") -> list[object]:
    """Return the cells as Python values; times as datetimes, because nanoseconds would come as pandas' own."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None))
    cells: list[object] = column.to_pylist()
    return cells
