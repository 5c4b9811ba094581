"""How votes become a decision: one rule for every topology, so that topologies can be compared.

By default (`decide`) the direction with the greatest total confidence wins; a tie, or no confidence at all, means
flat. The size is the confidence-weighted mean of the winners. Votes are sorted before they are added up: who voted
first changes nothing. The other rules of `VotingRule` count heads; `topologies.poll` applies them to the invited.
"""

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType

import msgspec

from topologies.charter import VotingRule
from topologies.messages import Decision, Vote

EQUAL_STANDING: Mapping[str, float] = MappingProxyType({})
"""Every agent's votes count alike."""


class Direction(IntEnum):
    """Which way a position goes."""

    SHORT = -1
    FLAT = 0
    LONG = 1


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What each direction has: weight or heads, as the rule counts."""

    short: float
    flat: float
    long: float

    def leading(self) -> tuple[Direction, ...]:
        """Name the directions that have the most; none when no direction has anything."""
        count = {Direction.SHORT: self.short, Direction.FLAT: self.flat, Direction.LONG: self.long}
        most = max(count.values())
        return tuple(direction for direction in Direction if count[direction] == most > 0.0)

    @property
    def most(self) -> float:
        return max(self.short, self.flat, self.long)


def decide(votes: Iterable[Vote], *, round: int, symbol: str) -> Decision:
    """Make the decision on one symbol of one round."""
    ordered = tuple(sorted(votes, key=lambda vote: vote.task))
    leading = weigh(ordered).leading()
    target = mean_target(ordered, leading[0]) if len(leading) == 1 else 0.0
    return Decision(round=round, symbol=symbol, target=target, votes=ordered)


def shares(decision: Decision) -> Mapping[str, float]:
    """Say how much of a decision's position each agent's votes account for: non-negative, adding up to 1.

    Empty when the decision is flat. Votes for another direction have no share.
    """
    direction = direction_of(decision.target)
    winners = [vote for vote in decision.votes if vote.confidence > 0 and direction_of(vote.target) == direction != 0]
    weights: dict[str, float] = {}
    for vote in winners:
        weights[vote.agent] = weights.get(vote.agent, 0.0) + vote.confidence * abs(vote.target)
    total = math.fsum(weights.values())
    if total <= 0.0:  # flat, or so small that the weights are no numbers any more: whoever won shares alike
        return dict.fromkeys(sorted({vote.agent for vote in winners}), 1.0 / max(1, len({v.agent for v in winners})))
    return {agent: weight / total for agent, weight in sorted(weights.items())}


def quorum_size(invited: int, quorum: float) -> int:
    """Say how many of the invited make a quorum: the share `quorum` of them, rounded up, and never none."""
    return max(1, math.ceil(invited * quorum - 1e-9))


def heads_needed(rule: VotingRule, invited: int) -> int:
    """Say how many of the invited must vote for a direction so that it wins; 0 where weight decides, not heads."""
    match rule:
        case VotingRule.WEIGHTED:
            return 0
        case VotingRule.MAJORITY:
            return invited // 2 + 1
        case VotingRule.SUPERMAJORITY:
            return (2 * invited + 2) // 3
        case VotingRule.UNANIMOUS:
            return invited


def weigh(votes: Iterable[Vote], standing: Mapping[str, float] = EQUAL_STANDING) -> Tally:
    """Add up the weight for each direction; an agent without a standing has 1."""
    weights: dict[Direction, list[float]] = {direction: [] for direction in Direction}
    for vote in votes:
        weights[direction_of(vote.target)].append(weight_of(vote, standing))
    return Tally(*(math.fsum(weights[direction]) for direction in Direction))


def count(votes: Iterable[Vote]) -> Tally:
    """Count the votes for each direction; a vote without confidence is an abstention."""
    heads = [direction_of(vote.target) for vote in votes if vote.confidence > 0.0]
    return Tally(*(float(heads.count(direction)) for direction in Direction))


def mean_target(
    votes: Iterable[Vote], direction: Direction, *, standing: Mapping[str, float] = EQUAL_STANDING
) -> float:
    """Return the weighted mean of the targets that go this way, in [-1, 1]; 0 when they have no weight."""
    agreed = [(weight_of(vote, standing), vote.target) for vote in votes if direction_of(vote.target) == direction]
    total = math.fsum(weight for weight, _ in agreed)
    if direction is Direction.FLAT or total <= 0.0:
        return 0.0
    return max(-1.0, min(1.0, math.fsum(weight * target for weight, target in agreed) / total))


def weight_of(vote: Vote, standing: Mapping[str, float]) -> float:
    """Return how much a vote counts: its confidence times the standing of its agent."""
    return vote.confidence * standing.get(vote.agent, 1.0)


def direction_of(target: float) -> Direction:
    return Direction((target > 0.0) - (target < 0.0))


def is_sound(vote: Vote) -> bool:
    """Say whether a vote is what a vote may be: a target in [-1, 1] and a confidence in [0, 1], both finite."""
    return abs(vote.target) <= 1.0 and 0.0 <= vote.confidence <= 1.0
