"""Rebalancing by work stealing: which queued tasks move from a branch that is behind to one that is idle.

A plan is made from what the planner last heard, which may be old. So a steal has two phases, as in Dask's scheduler
(`distributed/stealing.py`): the plan asks, and the victim confirms only what it still has in its queue. What runs is
never taken. A task is stolen at most once in an epoch, so that it cannot be passed around instead of done.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from topologies.consensus import is_replica
from topologies.messages import Task

IMBALANCE_MIN = 0.3
"""Below this imbalance nothing is moved."""
TRANSFER_S = 0.1
"""Seconds that a move costs the thief before it can begin (Dask's estimate of latency)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a branch has before it: `queued` tasks not begun, in order, and `running` tasks that stay with it.

    `task_s` is the seconds between two tasks done there, all its workers together.
    """

    agent: str
    strategies: frozenset[str]
    queued: tuple[Task, ...]
    running: int = 0
    task_s: float = 1.0

    @property
    def left_s(self) -> float:
        """Seconds until all is done."""
        return (len(self.queued) + self.running) * self.task_s


@dataclass(frozen=True, slots=True)
class Steal:
    """One task to move."""

    task: Task
    victim: str
    thief: str


def imbalance(backlogs: Sequence[Backlog]) -> float:
    """Return how far apart the branches will end: 0 when all end together, 1 when one is idle already."""
    left_s = [backlog.left_s for backlog in backlogs]
    latest = max(left_s, default=0.0)
    return (latest - min(left_s)) / latest if latest > 0.0 else 0.0


def plan_steals(
    backlogs: Sequence[Backlog],
    *,
    stolen: Collection[str],
    imbalance_min: float = IMBALANCE_MIN,
    transfer_s: float = TRANSFER_S,
) -> tuple[Steal, ...]:
    """Plan the moves, each of which lets a task be done sooner, taking from the ends of queues.

    `stolen` are the keys of tasks that were moved in this epoch already. Replicas are never moved: two of one task
    could come together at one branch.
    """
    if imbalance(backlogs) < imbalance_min:
        return ()
    branches = {backlog.agent: backlog for backlog in backlogs}
    moved = set(stolen)
    steals: list[Steal] = []
    while (steal := _best_steal(branches, moved=moved, transfer_s=transfer_s)) is not None:
        steals.append(steal)
        moved.add(steal.task.key)
        branches = apply_steals(branches, [steal])
    return tuple(steals)


def confirm(queued: Sequence[Task], *, victim: str, steals: Sequence[Steal]) -> tuple[Steal, ...]:
    """Keep the steals of this victim that it can still give: those of tasks in its queue, each once."""
    still = {task.key for task in queued}
    confirmed: list[Steal] = []
    for steal in steals:
        if steal.victim == victim and steal.task.key in still:
            still.remove(steal.task.key)
            confirmed.append(steal)
    return tuple(confirmed)


def apply_steals(branches: Mapping[str, Backlog], steals: Sequence[Steal]) -> dict[str, Backlog]:
    """Move confirmed tasks; what the victim no longer has in its queue is left where it is."""
    queues = {agent: list(backlog.queued) for agent, backlog in branches.items()}
    for steal in steals:
        if steal.task in queues[steal.victim] and steal.thief in queues:
            queues[steal.victim].remove(steal.task)
            queues[steal.thief].append(steal.task)
    return {
        agent: Backlog(
            agent=agent,
            strategies=backlog.strategies,
            queued=tuple(queues[agent]),
            running=backlog.running,
            task_s=backlog.task_s,
        )
        for agent, backlog in branches.items()
    }


class StolenTasks:
    """Which tasks were moved in the current epoch."""

    def __init__(self) -> None:
        self._epoch = 0
        self._keys: set[str] = set()

    def note(self, steals: Sequence[Steal], *, epoch: int) -> None:
        """Take note of confirmed steals; a later epoch forgets those of earlier ones, an earlier epoch is ignored."""
        self._enter(epoch)
        if epoch == self._epoch:
            self._keys |= {steal.task.key for steal in steals}

    def keys(self, *, epoch: int) -> frozenset[str]:
        """Return the keys that may not be moved again in this epoch."""
        self._enter(epoch)
        return frozenset(self._keys)

    def _enter(self, epoch: int) -> None:
        if epoch > self._epoch:
            self._epoch = epoch
            self._keys.clear()


def _best_steal(branches: Mapping[str, Backlog], *, moved: Collection[str], transfer_s: float) -> Steal | None:
    """Find a move from who ends last to who would end it first; None when no move gains anything."""
    by_end = sorted(branches.values(), key=lambda backlog: (backlog.left_s, backlog.agent))
    for victim in reversed(by_end):
        for task in reversed(victim.queued):
            if task.key in moved or is_replica(task):
                continue
            thieves = [thief for thief in by_end if thief is not victim and task.strategy in thief.strategies]
            thief = min(thieves, key=lambda thief: thief.left_s + thief.task_s, default=None)
            if thief is not None and thief.left_s + thief.task_s + transfer_s < victim.left_s:
                return Steal(task, victim.agent, thief.agent)
    return None
