"""An agent's workplace: the price windows it keeps and the strategies it runs on them.

Every agent sees every tick, whether or not it has work for it: so any agent can take over any task at once.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from strategies import Bar, Signal, Strategy, StrategyError, StrategyFileError, run_strategy
from strategies.catalog import create
from strategies.file import load
from topologies.messages import Task, Tick, Vote
from topologies.round import MissedTicks
from workers.codec import StrategyRef, decode_bar


class StrategyDesk:
    """Feeds windows and runs strategies; one for each agent."""

    def __init__(
        self,
        agent: str,
        *,
        strategies: Mapping[str, Strategy],
        history: Mapping[str, Sequence[Bar]],
        rounds_over: int = 0,
    ) -> None:
        self._agent = agent
        self._strategies = dict(strategies)
        lookback = max((strategy.lookback for strategy in self._strategies.values()), default=1)
        self._windows = {symbol: deque(bars, maxlen=lookback) for symbol, bars in history.items()}
        self._lookback = lookback
        self._fed = rounds_over
        self.tasks_done = 0
        self.task_errors = 0

    def feed(self, tick: Tick) -> None:
        if tick.round <= self._fed:
            return
        if tick.round > self._fed + 1:
            raise MissedTicks(f"{self._agent} has seen round {self._fed}, and the next it is told of is {tick.round}")
        self._fed = tick.round
        for symbol, data in tick.bars.items():
            window = self._windows.setdefault(symbol, deque(maxlen=self._lookback))
            window.append(decode_bar(data))

    def work(self, tasks: Sequence[Task]) -> tuple[Vote, ...]:
        return tuple(self._vote(task) for task in tasks)

    def _vote(self, task: Task) -> Vote:
        self.tasks_done += 1
        try:
            signal = self._run(task)
        except StrategyError as error:
            self.task_errors += 1
            return Vote(task.key, task.symbol, self._agent, task.strategy, 0.0, 0.0, error=str(error))
        return Vote(task.key, task.symbol, self._agent, task.strategy, signal.target, signal.confidence)

    def _run(self, task: Task) -> Signal:
        strategy = self._strategies.get(task.strategy)
        if strategy is None:
            raise StrategyError(f"{self._agent} was given task {task.key}, but runs {', '.join(self._strategies)}")
        try:
            return run_strategy(strategy, tuple(self._windows.get(task.symbol, ())))
        except StrategyError:
            raise
        except (Exception, SystemExit) as error:  # a user's code may raise anything; it costs this one task
            raise StrategyError(f"{type(strategy).__name__}.signal raised {error!r}") from error


def load_strategies(references: Iterable[StrategyRef], home: Path) -> dict[str, Strategy]:
    """Load what an assignment names; files are read below `home` and must be what was uploaded.

    Raises StrategyError when a strategy is unknown, cannot be loaded, or is not the file whose hash was given.
    """
    return {reference.name: _load(reference, home) for reference in references}


def _load(reference: StrategyRef, home: Path) -> Strategy:
    if not reference.path:
        return create(reference.name)
    path = home / reference.path
    try:
        found = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StrategyFileError(f"{reference.path}: cannot be read in the sandbox: {error}") from error
    if found != reference.sha256:
        raise StrategyFileError(f"{reference.path}: expected sha256 {reference.sha256[:12]}, found {found[:12]}")
    return load(path)
