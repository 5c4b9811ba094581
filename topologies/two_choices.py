"""Distribution to the less loaded of two branches drawn by chance (power of two choices).

Looking at two is nearly as even as looking at all (the longest queue grows with log log n instead of log n /
log log n: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), costs the same whatever the
number of branches, and does not send every leader's next task to the same idle branch.
"""

from collections.abc import Collection, Sequence
from random import Random

from topologies.capability import NONE_AWAY, able_branches
from topologies.messages import Task
from topologies.outstanding import Outstanding, Shares, rotated
from topologies.seats import Branch


class LeastLoaded:
    """Give each task to the less loaded of two able branches; branches with more workers are drawn more often."""

    def __init__(self, branches: Sequence[Branch], *, rng: Random) -> None:
        self._branches = tuple(branches)
        self._outstanding = Outstanding(branches)
        self._rng = rng

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        shares = Shares(self._branches, self._outstanding)
        able = [able_branches(task, self._branches, away=away) for task in tasks]
        for task, branches in zip(tasks, able, strict=True):
            pair = self._draw_two(rotated(branches, turn), task.strategy)
            shares.give(min(pair, key=lambda branch: self._outstanding.per_worker(branch, task.strategy)).agent, task)
        return shares.result()

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        self._outstanding.answered(branch, tasks)

    def _draw_two(self, branches: list[Branch], strategy: str) -> list[Branch]:
        """Draw two in the order given; where there are no more than two, both."""
        if len(branches) <= 2:
            return branches
        weights = [branch.capacity[strategy] for branch in branches]
        first = self._rng.choices(range(len(branches)), weights)[0]
        weights[first] = 0
        second = self._rng.choices(range(len(branches)), weights)[0]
        return [branches[index] for index in sorted((first, second))]
