"""Task leases: who may do a task until when, so that a task outlives its agent and still has exactly one effect.

A task is granted to an agent for a time. The agent renews the lease while it works; when it falls silent the lease
expires and the task is granted again, with a higher token. Its key is its idempotency key: the first valid completion
is the effect, every later one is a duplicate. A completion is valid from the last agent the task was granted to, also
past its deadline as long as nobody else was granted it: what is done need not be done again.

    from            event                                        to
    PENDING         grant                                        LEASED
    LEASED          renew                                        LEASED, later deadline
    LEASED          deadline passed                              PENDING, or after `attempts_max` grants EXHAUSTED
    LEASED,
    PENDING,
    EXHAUSTED       completion with the last token               DONE
    any but DONE    withdrawn                                    WITHDRAWN

Leases end, and finished tasks are forgotten, in `expire` alone (and `release`). Pure: time comes as `now`, seconds on
any clock that does not go back.
"""

import heapq
from dataclasses import dataclass
from enum import StrEnum

LEASE_S = 2.0
ATTEMPTS_MAX = 5
RETENTION_S = 60.0
"""How long a finished task is remembered; longer than a completion may be under way (5 leases of 2 s, and margin)."""


class TaskState(StrEnum):
    PENDING = "pending"
    LEASED = "leased"
    DONE = "done"
    EXHAUSTED = "exhausted"
    """Granted as often as allowed and never done; somebody has to look at it."""
    WITHDRAWN = "withdrawn"
    """No longer wanted, as when its round is over; it has no effect any more."""


FINISHED = (TaskState.DONE, TaskState.EXHAUSTED, TaskState.WITHDRAWN)


class Completion(StrEnum):
    """What became of a completion."""

    ACCEPTED = "accepted"
    """It is the task's one effect."""
    DUPLICATE = "duplicate"
    """The task has had its effect."""
    STALE = "stale"
    """The task was granted again since, or withdrawn."""
    UNKNOWN = "unknown"
    """No such task, or it was finished so long ago that it is forgotten."""


@dataclass(frozen=True, slots=True)
class TaskLease:
    """The right to do a task until `deadline_s`. `token` is 1 for the first grant of a task, 2 for the second, ..."""

    key: str
    holder: str
    token: int
    deadline_s: float


@dataclass(slots=True)
class _Entry:
    state: TaskState = TaskState.PENDING
    lease: TaskLease | None = None
    finished_s: float = 0.0


class TaskLeases:
    """All tasks that were asked for and are not forgotten."""

    def __init__(
        self, *, lease_s: float = LEASE_S, attempts_max: int = ATTEMPTS_MAX, retention_s: float = RETENTION_S
    ) -> None:
        self._lease_s = lease_s
        self._attempts_max = attempts_max
        self._retention_s = retention_s
        self._entries: dict[str, _Entry] = {}
        self._due: list[tuple[float, str]] = []  # a heap of when to look at which task

    def add(self, key: str) -> bool:
        """Take a task in; False when it is known already. Keys name rounds, so a forgotten one does not come again."""
        if key in self._entries:
            return False
        self._entries[key] = _Entry()
        return True

    def grant(self, key: str, holder: str, *, now: float) -> TaskLease | None:
        """Lease a pending task to an agent; None when it is not pending. Raises KeyError for an unknown task."""
        entry = self._entries[key]
        if entry.state is not TaskState.PENDING:
            return None
        entry.state = TaskState.LEASED
        entry.lease = TaskLease(key, holder, _token(entry) + 1, now + self._lease_s)
        heapq.heappush(self._due, (entry.lease.deadline_s, key))
        return entry.lease

    def renew(self, lease: TaskLease, *, now: float) -> TaskLease | None:
        """Extend a lease that still holds; None when it does not, and the agent must let go of the task."""
        entry = self._entries.get(lease.key)
        if entry is None or entry.lease is None or entry.state is not TaskState.LEASED:
            return None
        if not _is_last(entry, lease) or now >= entry.lease.deadline_s:
            return None
        entry.lease = TaskLease(lease.key, lease.holder, lease.token, now + self._lease_s)
        heapq.heappush(self._due, (entry.lease.deadline_s, lease.key))
        return entry.lease

    def complete(self, lease: TaskLease, *, now: float) -> Completion:
        """Report that a task is done under a lease. Only for ACCEPTED may the result be used."""
        entry = self._entries.get(lease.key)
        if entry is None:
            return Completion.UNKNOWN
        if entry.state is TaskState.DONE:
            return Completion.DUPLICATE
        if entry.state is TaskState.WITHDRAWN or not _is_last(entry, lease):
            return Completion.STALE
        self._finish(lease.key, TaskState.DONE, now=now)
        return Completion.ACCEPTED

    def withdraw(self, key: str, *, now: float) -> bool:
        """Give a task up; False when it has had its effect. Raises KeyError for an unknown task."""
        if self._entries[key].state is TaskState.DONE:
            return False
        self._finish(key, TaskState.WITHDRAWN, now=now)
        return True

    def release(self, holder: str, *, now: float) -> tuple[str, ...]:
        """End all leases of an agent that is known to be gone, without waiting; return the keys of its tasks."""
        held = [key for key in self.keys(TaskState.LEASED) if _holder(self._entries[key]) == holder]
        for key in held:
            self._end_lease(key, now=now)
        return tuple(held)

    def expire(self, *, now: float) -> tuple[str, ...]:
        """End the leases whose deadline has passed and forget what was finished long ago; return the ended keys."""
        ended: list[str] = []
        while self._due and self._due[0][0] <= now:
            due_s, key = heapq.heappop(self._due)
            entry = self._entries.get(key)
            if entry is None:
                continue
            if entry.state in FINISHED and entry.finished_s + self._retention_s == due_s:
                del self._entries[key]
            elif entry.state is TaskState.LEASED and entry.lease is not None and entry.lease.deadline_s == due_s:
                self._end_lease(key, now=now)
                ended.append(key)
        return tuple(ended)

    def state(self, key: str) -> TaskState:
        """Return the state of a task. Raises KeyError for an unknown one."""
        return self._entries[key].state

    def keys(self, state: TaskState) -> tuple[str, ...]:
        """List the tasks in a state, in the order of their keys."""
        return tuple(sorted(key for key, entry in self._entries.items() if entry.state is state))

    def _end_lease(self, key: str, *, now: float) -> None:
        if _token(self._entries[key]) >= self._attempts_max:
            self._finish(key, TaskState.EXHAUSTED, now=now)
        else:
            self._entries[key].state = TaskState.PENDING

    def _finish(self, key: str, state: TaskState, *, now: float) -> None:
        self._entries[key].state = state
        self._entries[key].finished_s = now
        heapq.heappush(self._due, (now + self._retention_s, key))


def _holder(entry: _Entry) -> str:
    return entry.lease.holder if entry.lease is not None else ""


def _token(entry: _Entry) -> int:
    return entry.lease.token if entry.lease is not None else 0


def _is_last(entry: _Entry, lease: TaskLease) -> bool:
    """Say whether a lease is the last one granted: later deadlines by renewal do not matter."""
    return entry.lease is not None and (entry.lease.token, entry.lease.holder) == (lease.token, lease.holder)
