"""Which branches can do a task."""

from collections.abc import Collection, Sequence

from topologies.messages import Task
from topologies.seats import Branch

NONE_AWAY: frozenset[str] = frozenset()


class UnmatchedCapability(LookupError):
    """A task asks for a strategy that no branch can run."""


def able_branches(task: Task, branches: Sequence[Branch], *, away: Collection[str] = NONE_AWAY) -> list[Branch]:
    """List the branches that can do a task and are not away, at least one. Raises UnmatchedCapability."""
    able = [branch for branch in branches if branch.capacity.get(task.strategy, 0) > 0]
    if not able:
        known = ", ".join(sorted({name for branch in branches for name in branch.capacity})) or "none"
        raise UnmatchedCapability(
            f"task {task.key} needs strategy {task.strategy!r}; the branches here can run: {known}"
        )
    present = [branch for branch in able if branch.agent not in away]
    if not present:
        names = ", ".join(branch.agent for branch in able)
        raise UnmatchedCapability(f"task {task.key} needs strategy {task.strategy!r}; all who can are away: {names}")
    return present
