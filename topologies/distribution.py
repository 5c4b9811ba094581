"""How a leader or a hub shares out a round's tasks: only to those who can do them, by one of five strategies.

| strategy | a task goes to |
|---|---|
| round robin | the next in turn, by the number of workers |
| least loaded | the less loaded of two drawn by chance |
| specialized | who can do little else |
| consensus | several, whose answers are fused by the voting rule |
| adaptive | who will probably have done it first, by what was learned of speed and errors |

Pure: the same tasks, answers and draws give the same shares.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Protocol, assert_never

from topologies.adaptive import Adaptive
from topologies.capability import NONE_AWAY, UnmatchedCapability, able_branches
from topologies.consensus import Consensus
from topologies.kinds import DistributionStrategy
from topologies.messages import Task
from topologies.outstanding import rotated
from topologies.seats import Branch
from topologies.specialized import Specialized
from topologies.two_choices import LeastLoaded

__all__ = [
    "Distribution",
    "DistributionStrategy",
    "RoundRobin",
    "UnmatchedCapability",
    "create_distribution",
    "least_loaded",
    "round_robin",
    "tasks_of_round",
]


class Distribution(Protocol):
    """A policy that shares out tasks among branches."""

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        """Return for every branch what it is given, possibly nothing; branches that are `away` get nothing.

        `turn` moves who is first among equals. Raises UnmatchedCapability, and then nothing was given.
        """

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        """Take note that a branch has answered that many tasks.

        `elapsed_s` is for how long it worked on them: from when it got them, or from its answer before that if that
        was later. `errors` of them failed. Tasks that will never be answered are reported as failed, after the time
        that was waited for them.
        """


class RoundRobin:
    """Deal in turn, by the number of workers behind each branch."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self._branches = tuple(branches)

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        return round_robin(tasks, self._branches, turn=turn, away=away)

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        pass  # dealing in turn does not look at the load


def create_distribution(strategy: DistributionStrategy, branches: Sequence[Branch], *, rng: Random) -> Distribution:
    """Make the distribution for these branches; only least loaded draws from `rng`."""
    match strategy:
        case DistributionStrategy.ROUND_ROBIN:
            return RoundRobin(branches)
        case DistributionStrategy.LEAST_LOADED:
            return LeastLoaded(branches, rng=rng)
        case DistributionStrategy.SPECIALIZED:
            return Specialized(branches)
        case DistributionStrategy.CONSENSUS:
            return Consensus(branches)
        case DistributionStrategy.ADAPTIVE:
            return Adaptive(branches)
        case _:
            assert_never(strategy)


def tasks_of_round(round: int, symbols: Sequence[str], *, strategies: Sequence[str]) -> tuple[Task, ...]:
    """List the tasks of a round where each (strategy, symbol) is computed once."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
        for symbol in sorted(symbols)
        for strategy in sorted(strategies)
    )


def round_robin(
    tasks: Sequence[Task], branches: Sequence[Branch], *, turn: int, away: Collection[str] = NONE_AWAY
) -> dict[str, tuple[Task, ...]]:
    """Deal tasks to branches in turn, a branch with more workers more often; `turn` moves the start.

    Every branch has an entry, possibly empty. Raises UnmatchedCapability.
    """
    shares: dict[str, list[Task]] = {branch.agent: [] for branch in branches}
    dealt: Counter[str] = Counter()
    for task in tasks:
        slots = [
            branch.agent
            for branch in able_branches(task, branches, away=away)
            for _ in range(branch.capacity[task.strategy])
        ]
        shares[slots[(dealt[task.strategy] + turn) % len(slots)]].append(task)
        dealt[task.strategy] += 1
    return {agent: tuple(given) for agent, given in shares.items()}


def least_loaded(
    tasks: Sequence[Task], branches: Sequence[Branch], *, outstanding: Mapping[str, int], turn: int
) -> dict[str, tuple[Task, ...]]:
    """Give each task to the able branch with the least outstanding work per worker; `turn` breaks ties.

    `outstanding` counts tasks given earlier and not yet answered. Raises UnmatchedCapability.
    """
    load = {branch.agent: outstanding.get(branch.agent, 0) for branch in branches}
    shares: dict[str, list[Task]] = {branch.agent: [] for branch in branches}
    for task in tasks:
        able = rotated(able_branches(task, branches), turn)
        choice = min(able, key=lambda branch: load[branch.agent] / branch.capacity[task.strategy])
        load[choice.agent] += 1
        shares[choice.agent].append(task)
    return {agent: tuple(given) for agent, given in shares.items()}
