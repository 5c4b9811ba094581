"""A user's strategy file: what the host learns without running it, and how a worker loads it."""

import hashlib
import sys
from pathlib import Path

import pytest

from strategies import Bar, Signal, StrategyFileError, run_strategy
from strategies.file import SOURCE_BYTES_MAX, content_hash, inspect_source, load, read_source

GOOD = """\
from strategies import FLAT, Bar, Signal, Strategy


class BuyTheDip(Strategy):
    lookback = 2

    def signal(self, bars):
        if len(bars) < 2 or bars[-1].close >= bars[-2].close:
            return FLAT
        return Signal(0.5, 0.9)
"""
SIGNAL = "    def signal(self, bars): return None\n"


def write(directory, text, name="mine.py"):
    path = directory / name
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def _forget_loaded_modules():
    before = set(sys.modules)
    yield
    for name in [name for name in sys.modules if name.startswith("user_strategy_") and name not in before]:
        del sys.modules[name]


def test_inspecting_tells_class_name_lookback_and_hash():
    found = inspect_source(GOOD, "mine.py")
    assert (found.class_name, found.name, found.lookback) == ("BuyTheDip", "buy_the_dip", 2)
    assert found.sha256 == content_hash(GOOD) == hashlib.sha256(GOOD.encode()).hexdigest()


def test_inspecting_runs_nothing():
    inspect_source("raise SystemExit('executed')\n" + GOOD, "mine.py")


@pytest.mark.parametrize(
    ("body", "name", "lookback"),
    [
        pytest.param('    name = "dip-2"\n    lookback: int = 7\n', "dip-2", 7, id="literals, one annotated"),
        pytest.param("    lookback = WINDOW\n", "mine", None, id="lookback from a constant"),
    ],
)
def test_inspecting_reads_literals_of_the_class_body(body, name, lookback):
    found = inspect_source(f"import strategies\nclass Mine(strategies.Strategy):\n{body}{SIGNAL}", "mine.py")
    assert (found.name, found.lookback) == (name, lookback)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("x = (1\n", r"^mine\.py:1: .* was never closed$", id="syntax error"),
        pytest.param("x = 1\n\n  y = 2\n", r"^mine\.py:3: unexpected indent$", id="indentation"),
        pytest.param("x = 1\0", r"^mine\.py:1: .*null byte", id="null byte"),
        pytest.param("", r"found no Strategy class, but no class at all; write one: class MyStrategy", id="empty"),
        pytest.param(f"class A:\n{SIGNAL}", r"A \(line 1: Strategy is not among its bases\)", id="no base"),
        pytest.param("class A(Strategy):\n    lookback = 1\n", r"A \(line 1: it defines no signal\)", id="no signal"),
        pytest.param(
            "class A(Strategy):\n    async def signal(self, bars): ...\n",
            r"its signal is async, write def signal",
            id="async",
        ),
        pytest.param(
            f"class A(Strategy):\n{SIGNAL}class B(Strategy):\n{SIGNAL}",
            r"found 2 Strategy classes, A \(line 1\), B \(line 3\); keep one",
            id="two",
        ),
        pytest.param(
            f"class A(Strategy):\n{SIGNAL}", r"^mine\.py:1: A sets no lookback; .* lookback = 20$", id="no lookback"
        ),
        pytest.param(
            f"class A(Strategy):\n    lookback = 0\n{SIGNAL}", r"lookback is 0; it is a whole number", id="zero"
        ),
        pytest.param(f"class A(Strategy):\n    lookback = -5\n{SIGNAL}", r"lookback is -5; it is", id="negative"),
        pytest.param(f"class A(Strategy):\n    lookback = 2.5\n{SIGNAL}", r"lookback is 2\.5; it is", id="fraction"),
        pytest.param(f"class A(Strategy):\n    lookback = 10_001\n{SIGNAL}", r"lookback is 10001; it is", id="huge"),
        pytest.param(
            f"class A(Strategy):\n    lookback = 1\n    name = 'a b'\n{SIGNAL}",
            r"the name is 'a b'; a name is",
            id="name",
        ),
    ],
)
def test_inspecting_says_what_is_wrong_and_what_to_do(source, reason):
    with pytest.raises(StrategyFileError, match=reason):
        inspect_source(source, "mine.py")


def test_loaded_strategy_signals(tmp_path):
    strategy = load(write(tmp_path, GOOD))
    falling = [Bar("2013-02-28", 2.0, 2.0, 2.0, 2.0, 0.0), Bar("2013-03-01", 1.0, 1.0, 1.0, 1.0, 0.0)]
    assert strategy.name == "buy_the_dip"
    assert type(strategy).__module__ == f"user_strategy_{content_hash(GOOD)[:8]}"
    assert run_strategy(strategy, falling) == Signal(0.5, 0.9)


def test_loading_leaves_nothing_beside_the_file(tmp_path):
    load(write(tmp_path, GOOD))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_file_may_define_dataclasses_and_other_classes(tmp_path):
    other = "import dataclasses\n@dataclasses.dataclass\nclass Band:\n    width: float = 2.0\n"
    assert load(write(tmp_path, other + GOOD)).name == "buy_the_dip"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param(
            "import no_such_module\n" + GOOD, r"raised ModuleNotFoundError: No module named .*mine\.py:1\)", id="import"
        ),
        pytest.param(GOOD + "raise SystemExit(3)\n", r"running the file raised SystemExit: 3", id="exit"),
        pytest.param(GOOD + "1 / 0\n", r"raised ZeroDivisionError: division by zero \(.*mine\.py:11\)", id="raises"),
        pytest.param(GOOD + "BuyTheDip = None\n", r"BuyTheDip is no Strategy once the file has run", id="replaced"),
        pytest.param(
            GOOD + "    def __init__(self, n): pass\n",
            r"BuyTheDip\(\) raised TypeError: .*; a strategy is made without arguments",
            id="arguments",
        ),
        pytest.param(
            GOOD.replace("lookback = 2", "lookback = len('')"),
            r"BuyTheDip: lookback is 0; it is a whole",
            id="computed lookback",
        ),
        pytest.param(
            GOOD.replace("lookback = 2", "lookback = 2\n    name = 'x' * 65"), r"the name is 'xxx", id="computed name"
        ),
    ],
)
def test_loading_says_what_the_file_did(tmp_path, source, reason):
    before = set(sys.modules)
    with pytest.raises(StrategyFileError, match=reason):
        load(write(tmp_path, source))
    if "running the file" in reason:
        assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("mine.txt", b"", "a strategy file ends in .py", id="extension"),
        pytest.param("mine.py", b"\xff", "byte 0 is not UTF-8", id="encoding"),
        pytest.param("mine.py", b"#" * (SOURCE_BYTES_MAX + 1), "bytes, more than the 262144 allowed", id="size"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StrategyFileError, match=reason):
        read_source(path)


def test_missing_file_and_directory_are_refused(tmp_path):
    with pytest.raises(StrategyFileError, match="there is no such file; give a path from"):
        read_source(tmp_path / "none.py")
    (tmp_path / "directory.py").mkdir()
    with pytest.raises(StrategyFileError, match="cannot be read: Is a directory"):
        read_source(tmp_path / "directory.py")


def test_example_in_the_documentation_works(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "STRATEGIES.md").read_text()
    example = text.split("```python\n", 1)[1].split("```", 1)[0]
    strategy = load(write(tmp_path, example))
    bars = [Bar(f"{1900 + i}-01-01", 100.0 + i, 100.0 + i, 100.0 + i, 100.0 + i, 0.0) for i in range(strategy.lookback)]
    assert run_strategy(strategy, bars).target > 0
    assert run_strategy(strategy, bars[:3]).target == 0
