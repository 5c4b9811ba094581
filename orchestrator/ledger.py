"""The account of rounds: which decisions came, what was lost or came twice, and how long each took. Pure.

Every number of the summary about rounds and tasks is counted here, from what agents reported; nothing is assumed.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from topologies.messages import Decision

_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class _Open:
    started_s: float
    missing: set[str]


@dataclass(slots=True)
class RoundLedger:
    """Takes note of rounds begun, decisions reported and rounds given up. `task_keys` names a round's tasks."""

    symbols: Sequence[str]
    task_keys: Callable[[int], frozenset[str]]
    completed: int = 0
    failed: int = 0
    decisions: list[Decision] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    late: int = 0
    duplicate_decisions: int = 0
    tasks_assigned: int = 0
    tasks_failed: int = 0
    task_effects: Counter[str] = field(default_factory=Counter)
    tasks_by_agent: Counter[str] = field(default_factory=Counter)
    _open: dict[int, _Open] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def begin(self, round: int, now_s: float) -> None:
        """A tick has been sent to the entry agents."""
        self._open[round] = _Open(now_s, set(self.symbols))
        self.tasks_assigned += len(self.task_keys(round))

    def report(self, decision: Decision, now_s: float) -> bool:
        """A decision has come; say whether it is the first for its round and symbol."""
        if decision.key in self._seen:
            self.duplicate_decisions += 1
            return False
        current = self._open.get(decision.round)
        if current is None or decision.symbol not in current.missing:
            self.late += 1
            return False
        self._seen.add(decision.key)
        current.missing.discard(decision.symbol)
        self.decisions.append(decision)
        self.latencies_ms.append((now_s - current.started_s) * 1000.0)
        for vote in decision.votes:
            self.task_effects[vote.task] += 1
            self.tasks_by_agent[vote.agent] += 1
            self.tasks_failed += bool(vote.error)
        return True

    def is_complete(self, round: int) -> bool:
        current = self._open.get(round)
        return current is not None and not current.missing

    def end(self, round: int) -> bool:
        """A round is over, by completion or by its deadline; say whether it is complete."""
        is_complete = self.is_complete(round)
        self.completed += is_complete
        self.failed += not is_complete
        self._open.pop(round, None)
        return is_complete

    def recent(self) -> Sequence[Decision]:
        """Return the latest decisions, at least those of the last round."""
        return self.decisions[-len(self.symbols) :]

    @property
    def rounds(self) -> int:
        return self.completed + self.failed

    @property
    def tasks_completed(self) -> int:
        return len(self.task_effects)

    @property
    def tasks_lost(self) -> int:
        return self.tasks_assigned - self.tasks_completed

    @property
    def tasks_duplicated(self) -> int:
        return sum(count - 1 for count in self.task_effects.values())

    @property
    def decisions_hash(self) -> str:
        """Hash all decisions in the order of rounds and symbols: equal where the same was decided, in any mode."""
        digest = blake2b(digest_size=16)
        for decision in sorted(self.decisions, key=lambda made: (made.round, made.symbol)):
            digest.update(_encoder.encode(decision))
        return digest.hexdigest()

    @property
    def targets_hash(self) -> str:
        """Hash what was decided, whoever voted: equal where failures changed no position."""
        digest = blake2b(digest_size=16)
        for decision in sorted(self.decisions, key=lambda made: (made.round, made.symbol)):
            digest.update(_encoder.encode((decision.round, decision.symbol, decision.target)))
        return digest.hexdigest()


def quantile(sorted_values: Sequence[float], q: float) -> float | None:
    """Return the smallest value that at least the share `q` of the values do not exceed (nearest rank)."""
    if not sorted_values:
        return None
    return sorted_values[max(0, math.ceil(q * len(sorted_values)) - 1)]
