"""A question put to the invited, and what came of it: quorum, deadline, rule, tie, veto, all on the record.

An owner, leader or hub opens a `Poll` for each symbol of a round. It is over when all the invited have answered or the
deadline has passed; then `resolve` makes a `Resolution` of what was there, which never changes again. The quorum is
counted among the *invited*: an absent agent makes agreement harder and never easier.

Risk agents do not take part in the choice of a direction; they can forbid it. They fail closed: a risk check that
failed, or gave no answer, forbids as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from topologies.charter import Charter, VotingRule
from topologies.messages import Decision, Task, Vote
from topologies.voting import (
    EQUAL_STANDING,
    Direction,
    Tally,
    count,
    heads_needed,
    is_sound,
    mean_target,
    quorum_size,
    weigh,
)


class Verdict(StrEnum):
    """How a poll ended."""

    DECIDED = "decided"
    """A direction won; it may be flat."""
    NO_QUORUM = "no quorum"
    """Too few of the invited voted."""
    TIE = "tie"
    """The directions with the most had the same, and none had enough."""
    NO_AGREEMENT = "no agreement"
    """One direction led, or all abstained, but none had what the rule asks for."""
    VETOED = "vetoed"
    """A risk agent forbade it."""


class Veto(msgspec.Struct, frozen=True, array_like=True):
    """A risk task that forbids a position. `agent` is empty when nobody answered the task."""

    task: str
    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: the position in one symbol in one round, of those who got one of these tasks."""

    round: int
    symbol: str
    invited: tuple[Task, ...]


class Resolution(msgspec.Struct, frozen=True, array_like=True):
    """What came of a question, with all it was made from.

    `decision` is flat in every verdict but DECIDED and carries the votes counted, `risk` the answers of risk agents.
    `needed` is the number of votes a direction needed (0 where weight decides), `quorum` the number that had to be
    `present` of the `invited`; risk tasks are not among them.
    """

    decision: Decision
    verdict: Verdict
    rule: VotingRule
    tally: Tally
    needed: int
    present: int
    quorum: int
    invited: int
    risk: tuple[Vote, ...]
    vetoes: tuple[Veto, ...]


class Poll:
    """One question while it is open."""

    def __init__(
        self, question: Question, *, charter: Charter, deadline_s: float, standing: Mapping[str, float] = EQUAL_STANDING
    ) -> None:
        """Open a poll until `deadline_s`, an instant on the clock that later calls name as `now`."""
        self._question = question
        self._charter = charter
        self._deadline_s = deadline_s
        self._standing = dict(standing)  # as they stood when the question was put
        self._votes: list[Vote] = []
        self._resolution: Resolution | None = None

    def hear(self, vote: Vote, *, now: float) -> bool:
        """Take a vote; return False when it does not count: too late, not invited or not sound."""
        if self.resolution(now=now) is not None:
            return False
        before = self._votes
        self._votes = admit([*before, vote], self._question)
        return self._votes != before

    def resolution(self, *, now: float) -> Resolution | None:
        """Return what came of it, None while it is open. At the deadline what is there decides."""
        is_over = now >= self._deadline_s or len(self._votes) == len({task.key for task in self._question.invited})
        if self._resolution is None and is_over:
            self._resolution = resolve(self._question, self._votes, charter=self._charter, standing=self._standing)
        return self._resolution


def resolve(
    question: Question, votes: Iterable[Vote], *, charter: Charter, standing: Mapping[str, float] = EQUAL_STANDING
) -> Resolution:
    """Make a resolution of the votes that are there; no others will come.

    `standing` weighs agents where the rule weighs votes. Raises ValueError when nobody is invited but risk agents.
    """
    risk_tasks = [task for task in question.invited if task.strategy in charter.risk_strategies]
    invited = len({task.key for task in question.invited} - {task.key for task in risk_tasks})
    if not invited:
        raise ValueError(f"nobody is invited to say what to hold of {question.symbol} in round {question.round}")
    admitted = admit(votes, question)
    keys = {task.key for task in risk_tasks}
    risk = tuple(vote for vote in admitted if vote.task in keys)
    voted = tuple(vote for vote in admitted if vote.task not in keys and not vote.error)
    vetoes = find_vetoes(risk_tasks, risk, confidence_min=charter.veto_confidence_min)
    tally = weigh(voted, standing) if charter.rule is VotingRule.WEIGHTED else count(voted)
    needed, quorum = heads_needed(charter.rule, invited), quorum_size(invited, charter.quorum)
    leading = tally.leading()
    if vetoes:
        verdict = Verdict.VETOED
    elif len(voted) < quorum:
        verdict = Verdict.NO_QUORUM
    else:
        verdict = _judge(leading, has_enough=tally.most >= needed)
    target = mean_target(voted, leading[0], standing=standing) if verdict is Verdict.DECIDED else 0.0
    opinions = tuple(vote for vote in admitted if vote.task not in keys)
    decision = Decision(round=question.round, symbol=question.symbol, target=target, votes=opinions)
    return Resolution(
        decision, verdict, charter.rule, tally, needed, len(voted), quorum, invited, risk=risk, vetoes=vetoes
    )


def admit(votes: Iterable[Vote], question: Question) -> list[Vote]:
    """Keep one sound vote for each task that was asked, in the order of tasks.

    Where two agents answered one task, as after a takeover, an answer goes before a failure and then the agent whose
    name comes first, so that all who heard the same votes keep the same.
    """
    asked = {task.key: task for task in question.invited}
    kept: dict[str, Vote] = {}
    for vote in votes:
        task = asked.get(vote.task)
        if task is None or (vote.symbol, vote.strategy) != (question.symbol, task.strategy) or not is_sound(vote):
            continue
        rival = kept.get(vote.task)
        if rival is None or _precedence(vote) < _precedence(rival):
            kept[vote.task] = vote
    return [kept[key] for key in sorted(kept)]


def find_vetoes(tasks: Iterable[Task], votes: Iterable[Vote], *, confidence_min: float) -> tuple[Veto, ...]:
    """List the risk tasks that forbid a position: it should be flat, the check failed, or nobody answered."""
    answers = {vote.task: vote for vote in votes}
    vetoes: list[Veto] = []
    for task in sorted(tasks, key=lambda task: task.key):
        vote = answers.get(task.key)
        if vote is None:
            vetoes.append(Veto(task.key, "", "the risk check was not answered"))
        elif vote.error:
            vetoes.append(Veto(task.key, vote.agent, f"the risk check failed: {vote.error}"))
        elif vote.target == 0.0 and vote.confidence >= confidence_min:
            reason = f"{vote.strategy} wants {vote.symbol} flat with confidence {vote.confidence:.2f}"
            vetoes.append(Veto(task.key, vote.agent, reason))
    return tuple(vetoes)


def _judge(leading: tuple[Direction, ...], *, has_enough: bool) -> Verdict:
    match leading:
        case (_,):
            return Verdict.DECIDED if has_enough else Verdict.NO_AGREEMENT
        case ():
            return Verdict.NO_AGREEMENT
        case _:
            return Verdict.TIE


def _precedence(vote: Vote) -> tuple[bool, str, float, float, str]:
    return bool(vote.error), vote.agent, vote.target, vote.confidence, vote.error
