"""The user's own prices: what is accepted, and which line is named when it is not."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strategies import Bar
from trading.errors import MarketDataError
from trading.market_data import load_tape
from trading.user_data import read_user_data

HEADER = "time,symbol,open,high,low,close,volume\n"


def write(directory, text, name="prices.csv"):
    path = directory / name
    path.write_text(text, newline="")
    return path


def test_csv_becomes_series_that_make_a_tape(tmp_path):
    path = write(
        tmp_path,
        HEADER
        + "2024-01-02,X,10,12,9,11,500\n2024-01-02,Y,1,1,1,1,0\n2024-01-03,X,11,11,10,10.5,\n2024-01-03,Y,1,2,1,2,7\n",
    )
    series = read_user_data(path)
    assert list(series) == ["X", "Y"]
    assert series["X"].bars == (Bar("2024-01-02", 10, 12, 9, 11, 500), Bar("2024-01-03", 11, 11, 10, 10.5, 0))
    assert load_tape(series=series).window == ("2024-01-02", "2024-01-03")


@pytest.mark.parametrize(
    ("text", "bar"),
    [
        pytest.param("Date,TICKER,Close\n2024-01-02,X,11\n", Bar("2024-01-02", 11, 11, 11, 11, 0), id="only closes"),
        pytest.param("close,note,symbol,time\n11,a,X,20240102\n", Bar("2024-01-02", 11, 11, 11, 11, 0), id="any order"),
        pytest.param(
            "\ufefftime,symbol,close\n2024-01-02,X,11\n", Bar("2024-01-02", 11, 11, 11, 11, 0), id="byte order mark"
        ),
        pytest.param(
            "time,symbol,close\r\n2024-01-02,X,11\r\n\r\n",
            Bar("2024-01-02", 11, 11, 11, 11, 0),
            id="Windows, blank line",
        ),
        pytest.param(HEADER + "2024-01-02,X,,12,,11,\n", Bar("2024-01-02", 11, 12, 11, 11, 0), id="empty cells"),
        pytest.param(
            "time,symbol,close\n2024-01-02T10:30,X,11\n", Bar("2024-01-02T10:30:00", 11, 11, 11, 11, 0), id="datetime"
        ),
        pytest.param(
            "time,symbol,close\n2024-01-02T10:30:00-05:00,X,11\n",
            Bar("2024-01-02T15:30:00+00:00", 11, 11, 11, 11, 0),
            id="zone to UTC",
        ),
    ],
)
def test_accepted_spellings(tmp_path, text, bar):
    assert read_user_data(write(tmp_path, text))["X"].bars == (bar,)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param("2024-01-02,X,1,1,1,nan,0\n", r"prices\.csv:2: close is nan, not a finite number", id="nan"),
        pytest.param("2024-01-02,X,1,inf,1,1,0\n", r":2: high is inf, not a finite number", id="infinite"),
        pytest.param("2024-01-02,X,1,1,0,1,0\n", r":2: low is 0, a price must be positive", id="zero"),
        pytest.param("2024-01-02,X,1,1,1,-1,0\n", r":2: close is -1, a price must be positive", id="negative"),
        pytest.param("2024-01-02,X,1,1,1,1.2.3,0\n", r":2: close is '1\.2\.3', not a number", id="text"),
        pytest.param("2024-01-02,X,1,1,1,,0\n", r":2: close is missing", id="no close"),
        pytest.param("2024-01-02,,1,1,1,1,0\n", r":2: the symbol is missing", id="no symbol"),
        pytest.param(",X,1,1,1,1,0\n", r":2: the time is missing", id="no time"),
        pytest.param("01/02/2024,X,1,1,1,1,0\n", r":2: time is '01/02/2024', not ISO 8601 such as", id="American date"),
        pytest.param(
            "2024-01-02,X,5,4,3,4,0\n", r":2: open 5, high 4, low 3, close 4: open and close must lie", id="open high"
        ),
        pytest.param("2024-01-02,X,3,2,4,3,0\n", r":2: open 3, high 2, low 4", id="low above high"),
        pytest.param("2024-01-02,X,1,1,1,1,-5\n", r":2: volume is -5, it cannot be negative", id="volume"),
        pytest.param("2024-01-02,X,1,1,1,1\n", r":2: 6 cells, the header has 7", id="short row"),
        pytest.param(
            "2024-01-03,X,1,1,1,1,0\n2024-01-03,X,1,1,1,1,0\n", r":3: time 2024-01-03 of X is there twice", id="twice"
        ),
        pytest.param(
            "2024-01-03,X,1,1,1,1,0\n2024-01-02,X,1,1,1,1,0\n", r":3: .* comes after 2024-01-03; sort", id="unsorted"
        ),
        pytest.param(
            "2024-01-02,X,1,1,1,1,0\n2024-01-03T10:00,Y,1,1,1,1,0\n", r":3: .* a datetime without a zone", id="mixed"
        ),
        pytest.param(
            '2024-01-02,"X\nY",1,1,1,1,0\n2024-01-03,X,1,1,1,0,0\n', r":4: close is 0", id="quoted line break"
        ),
        pytest.param('2024-01-02,"X"Y,1,1,1,1,0\n', r":2: not CSV: ", id="bad quotes"),
        pytest.param("", r"prices\.csv: holds no rows", id="header only"),
    ],
)
def test_first_bad_row_is_named_by_its_line(tmp_path, rows, reason):
    with pytest.raises(MarketDataError, match=reason):
        read_user_data(write(tmp_path, HEADER + rows))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("prices.xlsx", b"", r"a data file ends in \.csv or \.parquet", id="extension"),
        pytest.param("prices.csv", b"", r"is empty; its first line names the columns", id="empty"),
        pytest.param(
            "prices.csv", b"time,close\n", r":1: no column symbol; found time, close; needed are", id="column"
        ),
        pytest.param(
            "prices.csv", b"time,Date,symbol,close\n", r":1: two columns for time: 'time' and 'Date'", id="both"
        ),
        pytest.param("prices.csv", b"time,symbol,close\n\xff,X,1\n", r"not UTF-8 text", id="encoding"),
        pytest.param("prices.parquet", b"time", r"cannot be read as Parquet", id="not parquet"),
    ],
)
def test_files_that_are_no_data_are_refused_in_one_line(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MarketDataError, match=reason) as raised:
        read_user_data(path)
    assert "\n" not in str(raised.value)


def test_example_in_the_documentation_is_accepted(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "MARKET_DATA.md").read_text()
    example = text.split("```csv\n", 1)[1].split("```", 1)[0]
    assert {symbol: len(one.bars) for symbol, one in read_user_data(write(tmp_path, example)).items()} == {
        "ACME": 2,
        "EMCA": 2,
    }


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(MarketDataError, match="there is no such file; give a path from"):
        read_user_data(tmp_path / "none.csv")


def write_parquet(directory, **columns):
    path = directory / "prices.parquet"
    pq.write_table(pa.table(columns), path)
    return path


DAYS = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
NOON = [dt.datetime.fromisoformat("2024-01-02T12:00"), dt.datetime.fromisoformat("2024-01-03T12:00")]


@pytest.mark.parametrize(
    ("times", "first"),
    [
        pytest.param(pa.array(DAYS), "2024-01-02", id="date"),
        pytest.param(pa.array(["2024-01-02", "2024-01-03"]), "2024-01-02", id="text"),
        pytest.param(pa.array(NOON, pa.timestamp("ns")), "2024-01-02T12:00:00", id="nanoseconds"),
        pytest.param(
            pa.array(NOON, pa.timestamp("ms", "Europe/Berlin")), "2024-01-02T12:00:00+00:00", id="zone to UTC"
        ),
    ],
)
def test_parquet_is_read_with_any_type_of_time(tmp_path, times, first):
    path = write_parquet(
        tmp_path, Time=times, Ticker=pa.array(["X", "X"]).dictionary_encode(), Close=[1.5, 2.5], other=[0, 0]
    )
    bars = read_user_data(path)["X"].bars
    assert bars[0] == Bar(first, 1.5, 1.5, 1.5, 1.5, 0.0)
    assert len(bars) == 2


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        pytest.param({"close": [1.0, None]}, r"prices\.parquet:row 2: close is missing", id="null"),
        pytest.param({"close": [1.0, float("nan")]}, r"prices\.parquet:row 2: close is nan", id="nan"),
        pytest.param(
            {"price": [1.0, 2.0]}, r"prices\.parquet: no column close; found time, symbol, price", id="column"
        ),
    ],
)
def test_first_bad_row_of_a_parquet_file_is_named(tmp_path, columns, reason):
    with pytest.raises(MarketDataError, match=reason):
        read_user_data(write_parquet(tmp_path, time=DAYS, symbol=["X", "X"], **columns))
