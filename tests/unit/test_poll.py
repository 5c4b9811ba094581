"""A poll: whom it invites, when it is over, what each rule asks for, and who can forbid the outcome."""

import msgspec
import pytest
from fixed_desk import vote

from topologies.messages import Task
from topologies.poll import Charter, Poll, Question, Resolution, Verdict, Veto, resolve
from topologies.voting import Tally, VotingRule, heads_needed

RISK = Charter(risk_strategies=frozenset({"risk"}), quorum=0.0)


def task_of(agent, strategy="momentum"):
    return Task(f"1/X/{strategy}#{agent}", "X", strategy)


def question_for(agents, *, risk=""):
    return Question(
        round=1, symbol="X", invited=tuple(task_of(agent) for agent in agents) + tuple(task_of(r, "risk") for r in risk)
    )


def vote_of(agent, target=1.0, confidence=1.0, *, strategy="momentum", error=""):
    opinion = vote(agent, task_of(agent, strategy).key, target=target, confidence=confidence, strategy=strategy)
    return msgspec.structs.replace(opinion, error=error)


def votes_of(text):
    """`+`, `-`, `0`: long, short, flat with full confidence; `.`: absent; `a`: abstains; `e`: failed."""
    known = {"+": (1.0, 1.0), "-": (-1.0, 1.0), "0": (0.0, 1.0), "a": (1.0, 0.0), "e": (0.0, 0.0)}
    return [
        vote_of(agent, *known[sign], error="boom" if sign == "e" else "")
        for agent, sign in zip("abcdefghi", text, strict=False)
        if sign != "."
    ]


def resolution_of(text, rule, *, quorum=0.66):
    question = question_for("abcdefghi"[: len(text)])
    return resolve(question, votes_of(text), charter=Charter(rule=rule, quorum=quorum))


@pytest.mark.parametrize(
    ("votes", "rule", "verdict", "target"),
    [
        pytest.param("+++--", "majority", "decided", 1.0, id="3 of 5"),
        pytest.param("++-0.", "majority", "no agreement", 0.0, id="2 of 5 lead"),
        pytest.param("++--", "majority", "tie", 0.0, id="2 against 2"),
        pytest.param("++-a", "majority", "no agreement", 0.0, id="half is no majority"),
        pytest.param("+++..", "majority", "no quorum", 0.0, id="a majority, but 3 of 5 are no quorum of 0.66"),
        pytest.param("---0", "majority", "decided", -1.0, id="short"),
        pytest.param("000-", "majority", "decided", 0.0, id="flat is a decision"),
        pytest.param("++++--", "supermajority", "decided", 1.0, id="4 of 6 are two thirds"),
        pytest.param("++++---", "supermajority", "no agreement", 0.0, id="4 of 7 are not"),
        pytest.param("++++.", "supermajority", "decided", 1.0, id="4 of 5 invited, one absent"),
        pytest.param("++++..", "supermajority", "decided", 1.0, id="4 of 6 invited, two absent"),
        pytest.param("+++", "unanimous", "decided", 1.0, id="all"),
        pytest.param("++-", "unanimous", "no agreement", 0.0, id="one against"),
        pytest.param("++a", "unanimous", "no agreement", 0.0, id="one abstains"),
        pytest.param("+++.", "unanimous", "no agreement", 0.0, id="one absent"),
        pytest.param("++-", "weighted", "decided", 1.0, id="more weight"),
        pytest.param("+-", "weighted", "tie", 0.0, id="equal weight"),
        pytest.param("aaa", "weighted", "no agreement", 0.0, id="all abstain"),
        pytest.param("+..", "weighted", "no quorum", 0.0, id="one of three"),
        pytest.param("+ee", "weighted", "no quorum", 0.0, id="a failure does not vote"),
        pytest.param("+aa", "weighted", "decided", 1.0, id="abstaining is voting"),
        pytest.param("...", "weighted", "no quorum", 0.0, id="nobody"),
    ],
)
def test_rule_and_quorum_are_counted_among_the_invited(votes, rule, verdict, target):
    resolution = resolution_of(votes, VotingRule(rule))
    assert (resolution.verdict, resolution.decision.target) == (verdict, target)
    assert resolution.invited == len(votes)


@pytest.mark.parametrize(
    ("rule", "needed"),
    [
        pytest.param("majority", [1, 2, 2, 3, 3, 4, 4], id="majority"),
        pytest.param("supermajority", [1, 2, 2, 3, 4, 4, 5], id="supermajority"),
        pytest.param("unanimous", [1, 2, 3, 4, 5, 6, 7], id="unanimous"),
        pytest.param("weighted", [0] * 7, id="weighted"),
    ],
)
def test_heads_needed_by_the_number_of_invited(rule, needed):
    assert [heads_needed(VotingRule(rule), invited) for invited in range(1, 8)] == needed


def test_resolution_is_the_record_of_how_it_was_made():
    resolution = resolution_of("++-e.", VotingRule.MAJORITY, quorum=0.5)
    assert resolution.decision.votes == tuple(votes_of("++-e."))
    assert (resolution.tally, resolution.needed) == (Tally(1.0, 0.0, 2.0), 3)
    assert (resolution.present, resolution.quorum, resolution.invited) == (3, 3, 5)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(resolution), type=Resolution) == resolution


def test_standing_weighs_votes():
    question, votes = question_for("abc"), votes_of("+--")
    charter = Charter()
    assert resolve(question, votes, charter=charter).decision.target == -1.0
    heavy = resolve(question, votes, charter=charter, standing={"a": 2.1, "b": 1.0, "c": 1.0})
    assert (heavy.decision.target, heavy.tally.long) == (1.0, 2.1)


@pytest.mark.parametrize("rule", ["majority", "supermajority", "unanimous"])
def test_standing_moves_no_heads_but_the_size(rule):
    question = question_for("ab")
    votes = [vote_of("a", 1.0), vote_of("b", 0.5)]
    resolution = resolve(question, votes, charter=Charter(rule=VotingRule(rule)), standing={"a": 3.0, "b": 1.0})
    assert resolution.decision.target == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(vote_of("r", 0.0, 0.9, strategy="risk"), "risk wants X flat with confidence 0.90", id="flat"),
        pytest.param(
            vote_of("r", 0.0, 0.0, strategy="risk", error="no data"), "the risk check failed: no data", id="failed"
        ),
    ],
)
def test_risk_agent_can_forbid_what_all_others_want(answer, reason):
    resolution = resolve(question_for("abc", risk="r"), [*votes_of("+++"), answer], charter=RISK)
    assert (resolution.verdict, resolution.decision.target) == (Verdict.VETOED, 0.0)
    assert resolution.vetoes == (Veto("1/X/risk#r", "r", reason),)
    assert resolution.risk == (answer,)
    assert resolution.decision.votes == tuple(votes_of("+++"))


def test_silence_of_a_risk_agent_forbids():
    resolution = resolve(question_for("abc", risk="r"), votes_of("+++"), charter=RISK)
    assert resolution.verdict is Verdict.VETOED
    assert resolution.vetoes == (Veto("1/X/risk#r", "", "the risk check was not answered"),)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(vote_of("r", 0.0, 0.4, strategy="risk"), id="flat, but not sure"),
        pytest.param(vote_of("r", -1.0, 1.0, strategy="risk"), id="another direction"),
        pytest.param(vote_of("r", 0.0, 0.0, strategy="risk"), id="no opinion"),
    ],
)
def test_risk_agent_that_does_not_forbid_has_no_say(answer):
    resolution = resolve(question_for("abc", risk="r"), [*votes_of("+++"), answer], charter=RISK)
    assert (resolution.verdict, resolution.decision.target, resolution.invited) == (Verdict.DECIDED, 1.0, 3)


def test_question_to_risk_agents_alone_is_an_error():
    with pytest.raises(ValueError, match="nobody is invited to say what to hold of X in round 1"):
        resolve(question_for("", risk="r"), [], charter=RISK)


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(vote_of("z"), id="not invited"),
        pytest.param(vote_of("a", 2.0), id="target out of range"),
        pytest.param(vote_of("a", float("nan")), id="target no number"),
        pytest.param(vote_of("a", confidence=float("inf")), id="confidence infinite"),
        pytest.param(vote_of("a", confidence=-0.5), id="confidence negative"),
        pytest.param(msgspec.structs.replace(vote_of("a"), symbol="Y"), id="another symbol"),
        pytest.param(msgspec.structs.replace(vote_of("a"), strategy="risk"), id="another strategy"),
    ],
)
def test_what_nobody_asked_for_is_not_heard(stray):
    poll = Poll(question_for("ab"), charter=Charter(), deadline_s=1.0)
    assert not poll.hear(stray, now=0.0)
    assert poll.resolution(now=1.0).decision.votes == ()


def test_poll_is_over_when_all_have_answered_also_those_that_failed():
    poll = Poll(question_for("abc"), charter=Charter(), deadline_s=1.0)
    for opinion in votes_of("++"):
        assert poll.hear(opinion, now=0.1)
    assert poll.resolution(now=0.2) is None
    poll.hear(vote_of("c", 0.0, 0.0, error="boom"), now=0.3)
    assert poll.resolution(now=0.3).verdict is Verdict.DECIDED


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [pytest.param("++", "decided", id="a quorum"), pytest.param("+", "no quorum", id="too few")],
)
def test_at_the_deadline_what_is_there_decides_for_good(votes, verdict):
    poll = Poll(question_for("abc"), charter=Charter(), deadline_s=1.0)
    for opinion in votes_of(votes):
        poll.hear(opinion, now=0.999)
    assert poll.resolution(now=0.999) is None
    assert not poll.hear(vote_of("c", -1.0), now=1.0)
    resolution = poll.resolution(now=1.0)
    assert (resolution.verdict, resolution.present) == (verdict, len(votes))
    assert poll.resolution(now=0.5) is resolution


def test_answer_goes_before_a_failure_and_an_agent_votes_once_on_a_task():
    poll = Poll(question_for("ab"), charter=Charter(), deadline_s=1.0)
    key = task_of("a").key
    failed = msgspec.structs.replace(vote("x", key, confidence=0.0), error="boom")
    assert poll.hear(failed, now=0.0)
    assert poll.hear(vote("y", key), now=0.0)
    assert not poll.hear(vote("y", key), now=0.0)
    assert not poll.hear(vote("z", key), now=0.0)
    assert [opinion.agent for opinion in poll.resolution(now=1.0).decision.votes] == ["y"]
