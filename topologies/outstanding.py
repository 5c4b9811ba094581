"""How much work each branch has been given and has not answered."""

from collections.abc import Iterable, Sequence

from topologies.messages import Task
from topologies.seats import Branch


class Outstanding:
    """Counts of tasks by branch: up when given, down when answered, never below 0."""

    def __init__(self, branches: Iterable[Branch]) -> None:
        self._tasks = {branch.agent: 0 for branch in branches}

    def give(self, agent: str) -> None:
        self._tasks[agent] += 1

    def answered(self, agent: str, tasks: int) -> None:
        """Take note of answers; an agent that is no branch is not counted."""
        if agent in self._tasks:
            self._tasks[agent] = max(0, self._tasks[agent] - tasks)

    def of(self, agent: str) -> int:
        return self._tasks[agent]

    def per_worker(self, branch: Branch, strategy: str) -> float:
        """Return what is outstanding at a branch for each of its workers that can run a strategy."""
        return self._tasks[branch.agent] / branch.capacity[strategy]


class Shares:
    """Who is given what in one share, while it is being worked out."""

    def __init__(self, branches: Iterable[Branch], outstanding: Outstanding) -> None:
        self._given: dict[str, list[Task]] = {branch.agent: [] for branch in branches}
        self._outstanding = outstanding

    def give(self, agent: str, task: Task) -> None:
        self._given[agent].append(task)
        self._outstanding.give(agent)

    def result(self) -> dict[str, tuple[Task, ...]]:
        """Return for every branch what it was given, possibly nothing."""
        return {agent: tuple(tasks) for agent, tasks in self._given.items()}


def rotated(branches: Sequence[Branch], turn: int) -> list[Branch]:
    """Return branches in order from another start, so that ties do not always fall to the same one."""
    start = turn % len(branches)
    return [*branches[start:], *branches[:start]]
