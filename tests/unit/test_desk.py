"""An agent's desk: what it keeps of the prices, and that no strategy can do worse than lose one task."""

from hashlib import sha256

import pytest

from strategies import Bar, Signal, Strategy, StrategyError
from topologies.messages import Task, Tick
from topologies.round import MissedTicks
from workers.codec import StrategyRef, WireError, encode_bar
from workers.desk import StrategyDesk, load_strategies

FILE = """\
from strategies import Signal, Strategy


class Mine(Strategy):
    lookback = 3

    def signal(self, bars):
        return Signal(0.25, 1.0)
"""


def bar(close):
    return Bar("day", close, close, close, close, 0.0)


def tick(round, **closes):
    return Tick(round, f"day {round}", {symbol: encode_bar(bar(close)) for symbol, close in closes.items()})


class Last(Strategy):
    """Says what the last bars were, as a fraction."""

    lookback = 3

    def __init__(self):
        self.shown = []

    def signal(self, bars):
        self.shown.append([bar.close for bar in bars])
        return Signal(bars[-1].close / 100, 0.5)


class Raising(Strategy):
    lookback = 1

    def __init__(self, error):
        self.error = error

    def signal(self, bars):
        raise self.error


class Odd(Exception):
    """A class of its own, as user code may raise."""


def desk_with(strategy, history=None):
    return StrategyDesk("a", strategies={"s": strategy}, history=history or {})


def work(desk, *tasks):
    return desk.work([Task(f"1/{symbol}/{strategy}", symbol, strategy) for symbol, strategy in tasks])


def test_vote_says_who_ran_what_on_which_task():
    desk = desk_with(Last())
    desk.feed(tick(1, X=50))
    (vote,) = work(desk, ("X", "s"))
    assert (vote.task, vote.symbol, vote.agent, vote.strategy) == ("1/X/s", "X", "a", "s")
    assert (vote.target, vote.confidence, vote.error) == (0.5, 0.5, "")
    assert (desk.tasks_done, desk.task_errors) == (1, 0)


def test_strategy_sees_the_history_and_then_the_ticks_as_far_as_it_looks_back():
    strategy = Last()
    desk = desk_with(strategy, {"X": tuple(bar(close) for close in (1, 2, 3, 4))})
    for round, close in enumerate((5, 6), start=1):
        work(desk, ("X", "s"))
        desk.feed(tick(round, X=close))
    work(desk, ("X", "s"))
    assert strategy.shown == [[2, 3, 4], [3, 4, 5], [4, 5, 6]]


def test_window_is_as_long_as_the_longest_strategy_looks_back():
    short, long = Raising(ValueError()), Last()
    desk = StrategyDesk("a", strategies={"short": short, "long": long}, history={})
    for round in range(1, 6):
        desk.feed(tick(round, X=round))
    work(desk, ("X", "long"))
    assert long.shown == [[3, 4, 5]]


@pytest.mark.parametrize("rounds", [[1, 1], [1, 2, 1], [1, 2, 1, 2, 3]], ids=str)
def test_tick_seen_before_changes_nothing(rounds):
    strategy = Last()
    desk = desk_with(strategy)
    for round in rounds:
        desk.feed(tick(round, X=round))
    work(desk, ("X", "s"))
    assert strategy.shown == [sorted(set(rounds))]


@pytest.mark.parametrize(("rounds_over", "next_"), [(0, 2), (7, 9), (7, 100)])
def test_tick_after_one_that_never_came_is_refused(rounds_over, next_):
    desk = StrategyDesk("a", strategies={"s": Last()}, history={}, rounds_over=rounds_over)
    with pytest.raises(MissedTicks, match=f"a has seen round {rounds_over}, and the next it is told of is {next_}"):
        desk.feed(tick(next_, X=1))
    desk.feed(tick(rounds_over + 1, X=1))


def test_desk_that_begins_later_has_the_rounds_before_in_its_history():
    strategy = Last()
    desk = StrategyDesk("a", strategies={"s": strategy}, history={"X": (bar(6), bar(7))}, rounds_over=7)
    desk.feed(tick(7, X=99))
    desk.feed(tick(8, X=8))
    work(desk, ("X", "s"))
    assert strategy.shown == [[6, 7, 8]]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(ValueError("no"), "Raising.signal raised ValueError: no", id="a usual one"),
        pytest.param(Odd("odd"), "Raising.signal raised Odd('odd')", id="a class of its own"),
        pytest.param(StopIteration(), "Raising.signal raised StopIteration", id="StopIteration"),
        pytest.param(RecursionError("deep"), "Raising.signal raised RecursionError: deep", id="RecursionError"),
    ],
)
def test_strategy_that_raises_costs_one_task(error, said):
    desk = desk_with(Raising(error))
    desk.feed(tick(1, X=1))
    (vote,) = work(desk, ("X", "s"))
    assert vote.error.startswith(said)
    assert (vote.target, vote.confidence) == (0.0, 0.0)
    assert (desk.tasks_done, desk.task_errors) == (1, 1)


def test_strategy_that_exits_costs_one_task():
    desk = desk_with(Raising(SystemExit(3)))
    desk.feed(tick(1, X=1))
    assert "SystemExit" in work(desk, ("X", "s"))[0].error


def test_task_for_another_strategy_fails_and_the_rest_goes_on():
    desk = desk_with(Last())
    desk.feed(tick(1, X=10))
    lost, done = work(desk, ("X", "unknown"), ("X", "s"))
    assert lost.error == "a was given task 1/X/unknown, but runs s"
    assert done.error == ""


def test_bar_that_is_none_is_an_error_of_the_wire():
    with pytest.raises(WireError, match="not a bar"):
        desk_with(Last()).feed(Tick(1, "day", {"X": encode_bar("no bar")}))


def reference(content=FILE, path="swarm/mine.py"):
    return StrategyRef("mine", path, sha256(content.encode()).hexdigest())


@pytest.fixture
def home(tmp_path):
    (tmp_path / "swarm").mkdir()
    (tmp_path / "swarm" / "mine.py").write_text(FILE)
    return tmp_path


def test_assignment_names_built_in_strategies_and_uploaded_files(home):
    loaded = load_strategies([StrategyRef("momentum"), reference()], home)
    assert [(name, type(strategy).__name__) for name, strategy in loaded.items()] == [
        ("momentum", "Momentum"),
        ("mine", "Mine"),
    ]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        pytest.param(StrategyRef("unheard"), "there is no strategy 'unheard'", id="unknown name"),
        pytest.param(reference(path="swarm/none.py"), r"swarm/none\.py: cannot be read in the sandbox", id="no file"),
        pytest.param(reference(FILE + "#"), r"swarm/mine\.py: expected sha256 .{12}, found .{12}$", id="another file"),
    ],
)
def test_strategy_that_cannot_be_loaded_is_named(home, wanted, reason):
    with pytest.raises(StrategyError, match=reason):
        load_strategies([wanted], home)
