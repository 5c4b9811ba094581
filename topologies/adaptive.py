"""Distribution by what was learned: how fast each branch is and how often it fails.

Tasks go, one by one, to where each will probably be done first, failures counted as time. What was learned fades with
every answer, so a branch whose speed turns is followed, and with every share, so a branch that was left alone because
it was slow or failing slowly comes to be believed as good as the others again, and is tried. That is all the
exploration there is: `benchmarks/distribution.py` compares it with trying at random (Thompson sampling), which gained
nothing here and cost evenness.
"""

import math
import statistics
from collections.abc import Collection, Sequence

from topologies.capability import NONE_AWAY, able_branches
from topologies.messages import Task
from topologies.outstanding import Outstanding, Shares, rotated
from topologies.seats import Branch

MEMORY = 0.9
"""What an answer still counts after the next one of the same branch: about the last ten are remembered."""
AGEING = 0.95
"""What is known of a branch still counts after each share: by half after 14 shares without an answer."""
PRIOR_ANSWERS = 1.0
"""How many answers the guess counts that a branch is as fast as the others."""
PRIOR_ERRORS = 0.5
PRIOR_SUCCESSES = 9.5
"""Ten imagined tasks of which half a one failed: a branch is thought sound until it is seen to fail."""
ERROR_COST = 20.0
"""A failed task costs as much as this many tasks at the median speed: a lost vote is worse than a late one."""
SHORTEST_S = 1e-6


class Belief:
    """What is believed of one branch. All counts fade, so the memory is bounded."""

    def __init__(self) -> None:
        self.answers = 0.0
        self._log_s = 0.0
        self._errors = 0.0
        self._successes = 0.0

    @property
    def log_s(self) -> float:
        """The mean of the logarithm of seconds for a task, 0 where nothing is known."""
        return self._log_s

    def learn(self, tasks: int, *, elapsed_s: float, errors: int) -> None:
        """Take note of an answer: `tasks` tasks in `elapsed_s` seconds of work, `errors` of them failed."""
        if tasks <= 0:
            return
        sample = math.log(max(SHORTEST_S, elapsed_s) / tasks)
        self.answers = MEMORY * self.answers + 1.0
        self._log_s += (sample - self._log_s) / self.answers
        failed = min(max(0, errors), tasks) / tasks
        self._errors = MEMORY * self._errors + failed
        self._successes = MEMORY * self._successes + 1.0 - failed

    def age(self, factor: float) -> None:
        """Let what is known count less."""
        self.answers *= factor
        self._errors *= factor
        self._successes *= factor

    def task_s(self, *, guess_log_s: float) -> float:
        """Return the seconds a task may be expected to take here; `guess_log_s` is believed while little is known."""
        known = self.answers / (self.answers + PRIOR_ANSWERS)
        return math.exp(known * self._log_s + (1.0 - known) * guess_log_s)

    @property
    def error_rate(self) -> float:
        """The share of tasks that may be expected to fail: the mean of a Beta estimate."""
        errors = PRIOR_ERRORS + self._errors
        return errors / (errors + PRIOR_SUCCESSES + self._successes)


class Adaptive:
    """Give each task to the branch that will probably have done it first, failures counted as time."""

    def __init__(self, branches: Sequence[Branch], *, error_cost: float = ERROR_COST, ageing: float = AGEING) -> None:
        self._branches = tuple(branches)
        self._outstanding = Outstanding(branches)
        self.beliefs = {branch.agent: Belief() for branch in branches}
        self._error_cost = error_cost
        self._ageing = ageing

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        shares = Shares(self._branches, self._outstanding)
        able = [able_branches(task, self._branches, away=away) for task in tasks]
        task_s = self.task_s()
        error_s = self._error_s(task_s)
        for task, branches in zip(tasks, able, strict=True):
            cost = {
                branch.agent: (self._outstanding.of(branch.agent) + 1) * task_s[branch.agent] + error_s[branch.agent]
                for branch in rotated(branches, turn)
            }
            shares.give(min(cost, key=cost.__getitem__), task)
        for belief in self.beliefs.values():
            belief.age(self._ageing)
        return shares.result()

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        self._outstanding.answered(branch, tasks)
        if branch in self.beliefs:
            self.beliefs[branch].learn(tasks, elapsed_s=elapsed_s, errors=errors)

    def task_s(self) -> dict[str, float]:
        """Return for each branch the seconds between two tasks done there, all its workers together, as expected.

        A branch without an answer is thought as fast for each worker as the others are, by what was seen lately.
        """
        known = [
            (belief.answers, belief.log_s + math.log(_workers(branch)))
            for branch in self._branches
            if (belief := self.beliefs[branch.agent]).answers > 0.0
        ]
        answers = math.fsum(weight for weight, _ in known)
        guess_log_s = math.fsum(weight * log_s for weight, log_s in known) / answers if answers else 0.0
        return {
            branch.agent: self.beliefs[branch.agent].task_s(guess_log_s=guess_log_s - math.log(_workers(branch)))
            for branch in self._branches
        }

    def _error_s(self, task_s: dict[str, float]) -> dict[str, float]:
        """Return what the failures of a branch are worth in seconds, for each task given to it."""
        typical_s = statistics.median(task_s.values()) if task_s else 0.0
        return {agent: self._error_cost * self.beliefs[agent].error_rate * typical_s for agent in task_s}


def _workers(branch: Branch) -> int:
    return max(1, max(branch.capacity.values(), default=1))
