"""How often an agent was right, from realised outcomes, and how much its votes should count for it.

A vote for long or short is a claim about the next tick: it paid, or it did not. A track record is a Beta estimate of
the share of claims that paid, with a prior and exponential forgetting, so that it is bounded and follows an agent
whose luck turns. Deterministic: whoever saw the same votes and the same prices gives the same standing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from topologies.messages import Vote
from topologies.voting import direction_of

PRIOR = 2.0
"""Paid and unpaid claims that every agent starts with: two of each, so that one lucky tick proves little."""
DECAY = 0.98
"""What a claim still counts after the next one. The evidence never exceeds 1 / (1 - 0.98) = 50 claims."""
WEIGHT_MIN = 0.5
WEIGHT_MAX = 1.5


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """The decayed numbers of claims that paid and that did not, without the prior."""

    paid: float = 0.0
    unpaid: float = 0.0

    def after(self, *, has_paid: bool) -> "TrackRecord":
        """Return the record one claim later."""
        return TrackRecord(DECAY * self.paid + has_paid, DECAY * self.unpaid + (not has_paid))

    @property
    def evidence(self) -> float:
        """How many recent claims the record rests on, below 1 / (1 - DECAY)."""
        return self.paid + self.unpaid

    @property
    def mean(self) -> float:
        """The expected share of claims that pay: the mean of Beta(PRIOR + paid, PRIOR + unpaid)."""
        return (PRIOR + self.paid) / (2.0 * PRIOR + self.evidence)

    @property
    def weight(self) -> float:
        """What a vote counts, between WEIGHT_MIN and WEIGHT_MAX; 1 for an agent that is right half of the time."""
        return WEIGHT_MIN + (WEIGHT_MAX - WEIGHT_MIN) * self.mean


class TrackRecords:
    """The records of a crew, kept up to date at every tick."""

    def __init__(self, agents: Iterable[str]) -> None:
        self._records = {agent: TrackRecord() for agent in sorted(agents)}
        self._settled = 0

    def settle(self, votes: Iterable[Vote], *, round: int, changes: Mapping[str, float]) -> bool:
        """Judge a round's votes by each symbol's change of price (a ratio, 0.01 is 1 % up) to the next tick.

        Rounds are numbered from 1 and settled in order, each once: a round that is not later than the last one
        settled changes nothing and returns False. A claim on a symbol that did not move, or without a change, is not
        judged; neither is a vote by an agent that is not of the crew.
        """
        if round <= self._settled:
            return False
        self._settled = round
        for vote in sorted(votes, key=lambda vote: vote.task):
            has_paid = outcome(vote, change=changes.get(vote.symbol, 0.0))
            if has_paid is not None and vote.agent in self._records:
                self._records[vote.agent] = self._records[vote.agent].after(has_paid=has_paid)
        return True

    def record(self, agent: str) -> TrackRecord:
        """Return the record of an agent of the crew. Raises KeyError for another."""
        return self._records[agent]

    def standing(self) -> dict[str, float]:
        """Return each agent's weight, scaled so that they add up to the number of agents.

        So what all agents together have to say stays the same, and each has between WEIGHT_MIN / WEIGHT_MAX and
        WEIGHT_MAX / WEIGHT_MIN, 1/3 and 3.
        """
        total = math.fsum(record.weight for record in self._records.values())
        return {agent: record.weight * len(self._records) / total for agent, record in self._records.items()}


def outcome(vote: Vote, *, change: float) -> bool | None:
    """Say whether a vote's direction paid; None when it claimed nothing or the price did not move."""
    claimed, moved = direction_of(vote.target), direction_of(change)
    if vote.error or not (claimed and vote.confidence > 0.0 and moved):
        return None
    return claimed == moved
