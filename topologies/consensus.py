"""Distribution for agreement: each task goes to several branches, and a poll makes one answer of theirs.

A replica is a task of its own, so that each has one effect: its key is the task's with the number of its slot. How
many replicas there are depends on who could do the task and never on who is there now: a branch that is away leaves
its slot unanswered, and the quorum of the invited sees it.
"""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from topologies.capability import NONE_AWAY, able_branches
from topologies.messages import Task
from topologies.outstanding import Outstanding, Shares, rotated
from topologies.poll import Question
from topologies.seats import Branch

REPLICAS = 3
SLOT_MARK = "#"


class Consensus:
    """Give each task to `replicas` different branches, those with the least outstanding work for each worker.

    A task that is a replica already, at a leader below, goes to one branch.
    """

    def __init__(self, branches: Sequence[Branch], *, replicas: int = REPLICAS) -> None:
        self._branches = tuple(branches)
        self._outstanding = Outstanding(branches)
        self._replicas = replicas

    def share(
        self, tasks: Sequence[Task], *, turn: int, away: Collection[str] = NONE_AWAY
    ) -> dict[str, tuple[Task, ...]]:
        shares = Shares(self._branches, self._outstanding)
        able = [able_branches(task, self._branches, away=away) for task in tasks]
        for task, branches in zip(tasks, able, strict=True):
            idle_first = sorted(
                rotated(branches, turn),
                key=lambda branch: self._outstanding.per_worker(branch, task.strategy),
            )
            slots = replicas_of(task, self._branches, replicas=self._replicas)
            for replica, branch in zip(slots, idle_first, strict=False):  # fewer may be there than were invited
                shares.give(branch.agent, replica)
        return shares.result()

    def answered(self, branch: str, tasks: int, *, elapsed_s: float, errors: int) -> None:
        self._outstanding.answered(branch, tasks)


def replicas_of(task: Task, branches: Sequence[Branch], *, replicas: int) -> tuple[Task, ...]:
    """List the replicas of a task, as many as asked for and at most one for each branch that can do it.

    Raises UnmatchedCapability.
    """
    if is_replica(task):
        return (task,)
    slots = min(replicas, len(able_branches(task, branches)))
    return tuple(msgspec.structs.replace(task, key=f"{task.key}{SLOT_MARK}{slot}") for slot in range(slots))


def is_replica(task: Task) -> bool:
    return SLOT_MARK in task.key


def questions_of(round: int, replicas: Iterable[Task]) -> tuple[Question, ...]:
    """List what the replicas of a round ask, one question for each symbol: so their votes are fused by the rule."""
    by_symbol: dict[str, list[Task]] = {}
    for task in replicas:
        by_symbol.setdefault(task.symbol, []).append(task)
    return tuple(
        Question(round=round, symbol=symbol, invited=tuple(invited)) for symbol, invited in sorted(by_symbol.items())
    )
