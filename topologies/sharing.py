"""How a leader's tasks find branches, and what is learned from the answers: a distribution strategy at work.

The strategy knows the branches as laid out; here it is told who is away, and where nobody that is there was meant to
run a task, anybody does: all workers carry all strategies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from topologies.capability import UnmatchedCapability
from topologies.consensus import REPLICAS, is_replica, replicas_of
from topologies.distribution import DistributionStrategy, create_distribution, round_robin
from topologies.messages import Task, Vote
from topologies.outstanding import rotated
from topologies.seats import Branch


@dataclass(slots=True)
class _Busy:
    """What a branch works on, and since when (seconds)."""

    tasks: int = 0
    since_s: float = 0.0


class Sharing:
    """One leader's sharing. `now_s`: a clock; draws are made from `seed`."""

    def __init__(
        self, branches: Sequence[Branch], strategy: DistributionStrategy, *, seed: str, now_s: Callable[[], float]
    ) -> None:
        self._branches = tuple(branches)
        self._strategy = strategy
        self._policy = create_distribution(strategy, branches, rng=Random(seed))
        self._now_s = now_s
        self._busy = {branch.agent: _Busy() for branch in branches}

    def invite(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        """List the tasks that a round's tasks come to: with consensus each is asked several times."""
        if self._strategy is not DistributionStrategy.CONSENSUS:
            return tuple(tasks)
        return tuple(replica for task in tasks for replica in replicas_of(task, self._branches, replicas=REPLICAS))

    def share(self, tasks: Sequence[Task], alive: Sequence[Branch], *, turn: int) -> dict[str, tuple[Task, ...]]:
        """Give tasks to branches that are there; nothing to anybody when none can work."""
        able = [branch for branch in alive if branch.capacity]
        if not able or not tasks:
            return {}
        if any(is_replica(task) for task in tasks):
            shares = _spread(tasks, able, turn=turn)
        else:
            away = {branch.agent for branch in self._branches} - {branch.agent for branch in alive}
            try:
                shares = self._policy.share(tasks, turn=turn, away=away)
            except UnmatchedCapability:
                shares = round_robin(tasks, _widened(able, tasks), turn=turn)
        for agent, given in shares.items():
            busy = self._busy[agent]
            busy.since_s = busy.since_s if busy.tasks else self._now_s()
            busy.tasks += len(given)
        return shares

    def answered(self, branch: str, votes: Sequence[Vote]) -> None:
        """Learn from a branch's answers."""
        self._learn(branch, len(votes), errors=sum(bool(vote.error) for vote in votes))

    def lost(self, branch: str, tasks: int) -> None:
        """Learn that a branch will not answer some tasks."""
        self._learn(branch, tasks, errors=tasks)

    def _learn(self, branch: str, tasks: int, *, errors: int) -> None:
        if not tasks:
            return
        busy, now_s = self._busy[branch], self._now_s()
        self._policy.answered(branch, tasks, elapsed_s=max(0.0, now_s - busy.since_s), errors=errors)
        busy.tasks, busy.since_s = max(0, busy.tasks - tasks), now_s


def _spread(tasks: Sequence[Task], able: Sequence[Branch], *, turn: int) -> dict[str, tuple[Task, ...]]:
    """Give the replicas of one task to different branches, as long as there are enough."""
    shares: dict[str, list[Task]] = {branch.agent: [] for branch in able}
    for task in tasks:
        name, _, slot = task.key.rpartition("#")
        fit = [branch for branch in able if branch.capacity.get(task.strategy)] or list(able)
        offset = turn + sum(map(ord, name))
        shares[rotated(fit, (offset + int(slot)) % len(fit))[0].agent].append(task)
    return {agent: tuple(given) for agent, given in shares.items()}


def _widened(branches: Sequence[Branch], tasks: Sequence[Task]) -> list[Branch]:
    """Let everyone run what nobody left was meant to run."""
    orphaned = {task.strategy for task in tasks} - {name for branch in branches for name in branch.capacity}
    return [Branch(branch.agent, {**dict.fromkeys(sorted(orphaned), 1), **branch.capacity}) for branch in branches]
