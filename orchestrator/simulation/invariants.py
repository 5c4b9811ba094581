"""What must never be, checked while a world runs; the first violation ends it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from topologies.layouts import Topology
from topologies.messages import Decision
from topologies.round import Report
from topologies.seats import MeshSeat
from topologies.voting import quorum_size, shares


class Invariant(StrEnum):
    """Each is a sentence about every state of every run."""

    ONE_HOLDER = "one holder per token"
    TOKENS_RISE = "no effect of an older token after a newer one"
    ONE_OWNER = "one owner of everything, soon after the last fault"
    ONE_EFFECT = "one effect per task"
    QUORUM = "a decision has its quorum on record"
    ON_EDGES = "no message off an edge"
    REPAIRED = "the topology is whole, soon after the last fault"
    LANE_ORDER = "a lane's rounds take effect in order"
    CONSERVED = "nothing appears and nothing disappears"
    PROGRESS = "rounds end, soon after the last fault"


class Violation(msgspec.Struct, frozen=True):
    """Which invariant, when (virtual seconds), and what was found."""

    invariant: Invariant
    at_s: float
    found: str


class Violated(Exception):
    """An invariant does not hold."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(f"{violation.invariant} at {violation.at_s:.6f} s: {violation.found}")
        self.violation = violation


@dataclass(slots=True)
class Checker:
    """Hears what happens and compares it with what may."""

    topology: Topology
    now_s: Callable[[], float]
    checks: int = 0
    _edges: frozenset[tuple[str, str]] = field(init=False)
    _holders: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    _tokens: dict[str, int] = field(default_factory=dict)
    _effects: Counter[str] = field(default_factory=Counter)
    _lane_rounds: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self._edges = frozenset(self.topology.graph.edges)

    def require(self, holds: bool, invariant: Invariant, *, found: str) -> None:
        """Raise Violated unless something holds."""
        self.checks += 1
        if not holds:
            raise Violated(Violation(invariant, self.now_s(), found))

    def on_send(self, sender: str, receiver: str) -> None:
        """A message leaves an agent for another."""
        self.checks += 1
        if (sender, receiver) not in self._edges:
            self.require(False, Invariant.ON_EDGES, found=f"{sender} sends to {receiver}")

    def on_holder(self, office: str, token: int, *, holder: tuple[str, int]) -> None:
        """A process (agent, generation) acts in the right of an office."""
        self._tokens[office] = max(token, self._tokens.get(office, 0))
        known = self._holders.setdefault((office, token), holder)
        self.require(
            known == holder,
            Invariant.ONE_HOLDER,
            found=f"{known[0]} (generation {known[1]}) and {holder[0]} (generation {holder[1]}) hold {office!r} "
            f"under token {token}",
        )

    def on_effect(self, report: Report, decision: Decision, *, expected: frozenset[str], is_late: bool) -> None:
        """A decision takes effect. `expected`: its tasks; `is_late`: some may be missing, a deadline has passed."""
        if report.office:
            newest = self._tokens.get(report.office, 0)
            self.require(
                report.token >= newest,
                Invariant.TOKENS_RISE,
                found=f"{decision.key} takes effect under token {report.token} of {report.office!r} after {newest}",
            )
            self._tokens[report.office] = report.token
        self._check_quorum(decision)
        tasks = Counter(vote.task for vote in decision.votes)
        self._effects.update(tasks)
        double = [task for task in tasks if self._effects[task] > 1]
        self.require(not double, Invariant.ONE_EFFECT, found=f"{', '.join(sorted(double))} took effect twice")
        missing = expected - set(tasks)
        self.require(
            not missing or is_late,
            Invariant.ONE_EFFECT,
            found=f"{decision.key} was decided before its deadline without {', '.join(sorted(missing))}",
        )
        self._check_order(decision)
        weights = shares(decision)
        self.require(
            not weights or abs(sum(weights.values()) - 1.0) < 1e-9,
            Invariant.CONSERVED,
            found=f"the shares of {decision.key} add up to {sum(weights.values())}",
        )

    def on_quiet(self, holders: Iterable[tuple[str, str]], wanted: frozenset[str]) -> None:
        """Long after the last fault: who (agent) thinks that it alone answers for what."""
        by_duty: dict[str, list[str]] = {duty: [] for duty in sorted(wanted)}
        for agent, duty in holders:
            by_duty.setdefault(duty, []).append(agent)
        for duty, agents in by_duty.items():
            self.require(len(agents) == 1, Invariant.ONE_OWNER, found=f"{duty} is answered for by {agents or 'nobody'}")

    def _check_quorum(self, decision: Decision) -> None:
        seat = next(iter(self.topology.seats.values()))
        if not isinstance(seat, MeshSeat):
            self.require(bool(decision.votes), Invariant.QUORUM, found=f"{decision.key} was decided without a vote")
            return
        slots = seat.slots[decision.symbol]
        voted = {vote.task for vote in decision.votes}
        spoken = sum(
            all(f"{decision.key}/{strategy}#{number}" in voted for strategy in slot.strategies)
            for number, slot in enumerate(slots)
        )
        needed = quorum_size(len(slots), seat.quorum)
        self.require(
            spoken >= needed, Invariant.QUORUM, found=f"{decision.key}: {spoken} of {len(slots)} voices, not {needed}"
        )

    def _check_order(self, decision: Decision) -> None:
        last = self._lane_rounds[decision.symbol]
        self.require(
            decision.round > last,
            Invariant.LANE_ORDER,
            found=f"round {decision.round} of {decision.symbol} takes effect after round {last}",
        )
        self._lane_rounds[decision.symbol] = decision.round
