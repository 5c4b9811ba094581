"""How votes become a decision: one rule for every topology, so that topologies can be compared.

The direction with the greatest total confidence wins; a tie, or no confidence at all, means flat. The size is the
confidence-weighted mean of the winners. Votes are sorted before they are added up: who voted first changes nothing.
"""

import math
from collections.abc import Iterable, Mapping

from topologies.messages import Decision, Vote


def decide(votes: Iterable[Vote], *, round: int, symbol: str) -> Decision:
    """Make the decision on one symbol of one round."""
    ordered = tuple(sorted(votes, key=lambda vote: vote.task))
    return Decision(round=round, symbol=symbol, target=_target(ordered), votes=ordered)


def shares(decision: Decision) -> Mapping[str, float]:
    """Say how much of a decision's position each agent's votes account for: non-negative, adding up to 1.

    Empty when the decision is flat. Votes for another direction have no share.
    """
    direction = _direction(decision.target)
    winners = [vote for vote in decision.votes if vote.confidence > 0 and _direction(vote.target) == direction != 0]
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


def _target(votes: tuple[Vote, ...]) -> float:
    by_direction = {
        direction: [vote for vote in votes if _direction(vote.target) == direction] for direction in (-1, 0, 1)
    }
    weight = {key: math.fsum(vote.confidence for vote in group) for key, group in by_direction.items()}
    best = max(weight.values())
    winners = [direction for direction in (-1, 0, 1) if weight[direction] == best]
    if best <= 0.0 or len(winners) > 1 or winners == [0]:
        return 0.0
    agreed = by_direction[winners[0]]
    mean = math.fsum(vote.confidence * vote.target for vote in agreed) / weight[winners[0]]
    return max(-1.0, min(1.0, mean))


def _direction(target: float) -> int:
    return (target > 0.0) - (target < 0.0)
