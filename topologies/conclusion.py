"""Votes into a decision, under the charter of the swarm: the one place from which every topology decides."""

from collections.abc import Iterable, Sequence

import msgspec

from topologies.charter import Charter, VotingRule
from topologies.messages import Decision, Task, Tick, Vote
from topologies.poll import Question, resolve
from topologies.voting import decide

CHARTER_DEFAULT = Charter()


def conclude(votes: Iterable[Vote], invited: Sequence[Task], *, tick: Tick, symbol: str, charter: Charter) -> Decision:
    """Decide on one symbol of a tick's round, with all votes that are there on record.

    `invited`: the tasks that were asked, of this symbol or any; a rule that counts heads counts these, not those who
    answered. The default charter weighs the votes that are there (`topologies.voting.decide`).
    """
    ballots = tuple(sorted((vote for vote in votes if vote.symbol == symbol), key=lambda vote: vote.task))
    asked = tuple(task for task in invited if task.symbol == symbol)
    has_voters = any(task.strategy not in charter.risk_strategies for task in asked)
    if not has_voters or (charter.rule is VotingRule.WEIGHTED and not charter.risk_strategies):
        return decide(ballots, round=tick.round, symbol=symbol)
    resolution = resolve(Question(round=tick.round, symbol=symbol, invited=asked), ballots, charter=charter)
    return msgspec.structs.replace(resolution.decision, votes=ballots, verdict=resolution.verdict)
