"""How a swarm votes, as a value for the wire."""

from enum import StrEnum

import msgspec


class VotingRule(StrEnum):
    """What a direction needs to win."""

    MAJORITY = "majority"
    """The votes of more than half of the invited."""
    WEIGHTED = "weighted"
    """More weight (confidence times standing) than any other direction."""
    SUPERMAJORITY = "supermajority"
    """The votes of at least two thirds of the invited."""
    UNANIMOUS = "unanimous"
    """The votes of all the invited."""


class Charter(msgspec.Struct, frozen=True, kw_only=True):
    """How a swarm votes."""

    rule: VotingRule = VotingRule.WEIGHTED
    quorum: float = 0.66
    """The share of the invited that must have voted; abstaining is voting, a failed strategy is not."""
    risk_strategies: frozenset[str] = frozenset()
    """Strategies that may forbid a position and do not take part in the choice of one."""
    veto_confidence_min: float = 0.5
    """A risk strategy that wants flat with at least this confidence forbids; less sure, it lets pass."""
