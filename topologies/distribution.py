"""How a leader or a hub shares out a round's tasks: only to those who can do them, evenly.

Pure: the same tasks, branches and loads give the same shares.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from topologies.messages import Task
from topologies.seats import Branch


class UnmatchedCapability(LookupError):
    """A task asks for a strategy that no branch can run."""


def tasks_of_round(round: int, symbols: Sequence[str], *, strategies: Sequence[str]) -> tuple[Task, ...]:
    """List the tasks of a round where each (strategy, symbol) is computed once."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
        for symbol in sorted(symbols)
        for strategy in sorted(strategies)
    )


def round_robin(tasks: Sequence[Task], branches: Sequence[Branch], *, turn: int) -> dict[str, tuple[Task, ...]]:
    """Deal tasks to branches in turn, a branch with more workers more often; `turn` moves the start.

    Every branch has an entry, possibly empty. Raises UnmatchedCapability.
    """
    shares: dict[str, list[Task]] = {branch.agent: [] for branch in branches}
    dealt: Counter[str] = Counter()
    for task in tasks:
        slots = [branch.agent for branch in _able(task, branches) for _ in range(branch.capacity[task.strategy])]
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
        able = _able(task, branches)
        start = turn % len(able)
        rotated = able[start:] + able[:start]
        choice = min(rotated, key=lambda branch: load[branch.agent] / branch.capacity[task.strategy])
        load[choice.agent] += 1
        shares[choice.agent].append(task)
    return {agent: tuple(given) for agent, given in shares.items()}


def _able(task: Task, branches: Sequence[Branch]) -> list[Branch]:
    able = [branch for branch in branches if branch.capacity.get(task.strategy, 0) > 0]
    if not able:
        known = ", ".join(sorted({name for branch in branches for name in branch.capacity})) or "none"
        raise UnmatchedCapability(
            f"task {task.key} needs strategy {task.strategy!r}; the branches here can run: {known}"
        )
    return able
