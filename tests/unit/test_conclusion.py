"""Votes into a decision under a charter: heads are counted among those asked, and every vote stays on record."""

import pytest
from fixed_desk import make_tick

from topologies.charter import Charter, VotingRule
from topologies.conclusion import conclude
from topologies.messages import Task, Vote
from topologies.poll import Verdict
from topologies.voting import decide

TASKS = [Task(f"1/X/m#{number}", "X", "m") for number in range(4)] + [Task("1/Y/m", "Y", "m")]


def said(*targets, strategy="m"):
    return [
        Vote(f"1/X/{strategy}#{number}", "X", f"a{number}", strategy, target, 0.9)
        for number, target in enumerate(targets)
    ]


def outcome(votes, charter, tasks=TASKS):
    return conclude(votes, tasks, tick=make_tick(1), symbol="X", charter=charter)


def test_default_charter_decides_as_ever():
    votes = said(1.0, 1.0, -1.0)
    assert outcome(votes, Charter()) == decide(votes, round=1, symbol="X")


@pytest.mark.parametrize(
    ("rule", "targets", "target", "verdict"),
    [
        pytest.param(VotingRule.MAJORITY, (1, 1, 1), 1.0, Verdict.DECIDED, id="three of four asked"),
        pytest.param(VotingRule.MAJORITY, (1, 1, -1), 0.0, Verdict.NO_AGREEMENT, id="two of four asked, of three"),
        pytest.param(VotingRule.SUPERMAJORITY, (1, 1, 1, -1), 1.0, Verdict.DECIDED, id="three quarters"),
        pytest.param(VotingRule.UNANIMOUS, (1, 1, 1, -1), 0.0, Verdict.NO_AGREEMENT, id="one against"),
        pytest.param(VotingRule.UNANIMOUS, (1, 1, 1, 1), 1.0, Verdict.DECIDED, id="all"),
        pytest.param(VotingRule.MAJORITY, (1, 1), 0.0, Verdict.NO_QUORUM, id="half of those asked"),
    ],
)
def test_heads_are_counted_among_those_who_were_asked(rule, targets, target, verdict):
    decision = outcome(said(*targets), Charter(rule=rule))
    assert (decision.target, decision.verdict) == (target, verdict)
    assert len(decision.votes) == len(targets)


@pytest.mark.parametrize(
    ("risk_vote", "target", "verdict"),
    [
        pytest.param(Vote("1/X/risk", "X", "r", "risk", 0.0, 0.9), 0.0, Verdict.VETOED, id="wants flat"),
        pytest.param(Vote("1/X/risk", "X", "r", "risk", 0.0, 0.1), 1.0, Verdict.DECIDED, id="is not sure"),
        pytest.param(Vote("1/X/risk", "X", "r", "risk", 0.0, 0.0, "broken"), 0.0, Verdict.VETOED, id="failed"),
        pytest.param(None, 0.0, Verdict.VETOED, id="did not answer"),
    ],
)
def test_risk_strategy_forbids_and_stays_on_record(risk_vote, target, verdict):
    votes = said(1, 1, 1, 1) + ([risk_vote] if risk_vote else [])
    tasks = [*TASKS, Task("1/X/risk", "X", "risk")]
    decision = outcome(votes, Charter(risk_strategies=frozenset({"risk"})), tasks)
    assert (decision.target, decision.verdict) == (target, verdict)
    assert (risk_vote in decision.votes) is (risk_vote is not None)
