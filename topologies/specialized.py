"""Distribution by capability: a task goes to who can do little else, so that those who can do all stay free."""

from collections.abc import Collection, Sequence

from topologies.capability import NONE_AWAY, able_branches
from topologies.messages import Task
from topologies.outstanding import Outstanding, Shares, rotated
from topologies.seats import Branch

BACKLOG_MAX = 4
"""Tasks for each of its workers that a specialist may owe before the next less specialised is asked."""


class Specialized:
    """Give each task to the able branch that runs the fewest strategies and is not behind.

    When all that can do it are behind, the one with the least outstanding work for each worker gets it.
    """

    def __init__(self, branches: Sequence[Branch]) -> None:
        self._branches = tuple(branches)
        self._outstanding = Outstanding(branches)

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        shares = Shares(self._branches, self._outstanding)
        able = [able_branches(task, self._branches, away=away) for task in tasks]
        for task, branches in zip(tasks, able, strict=True):
            shares.give(self._choose(rotated(branches, turn), task.strategy).agent, task)
        return shares.result()

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        self._outstanding.answered(branch, tasks)

    def _choose(self, branches: list[Branch], strategy: str) -> Branch:
        load = {branch.agent: self._outstanding.per_worker(branch, strategy) for branch in branches}
        free = [branch for branch in branches if load[branch.agent] < BACKLOG_MAX]
        if not free:
            return min(branches, key=lambda branch: load[branch.agent])
        return min(free, key=lambda branch: (_breadth(branch), load[branch.agent]))


def _breadth(branch: Branch) -> int:
    return sum(1 for workers in branch.capacity.values() if workers > 0)
