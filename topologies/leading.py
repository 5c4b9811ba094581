"""What the holder of an office does in a round: share the work out, gather the votes, pass them up or decide.

A task is asked of somebody else when who had it dies; votes are kept by task, so that it has one effect whoever
answers, and answers are remembered for a while, so that a round started again costs no second computation.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from topologies.branches import Branches
from topologies.charter import Charter
from topologies.conclusion import conclude
from topologies.messages import Result, Task, Tick, Vote, Work
from topologies.offices import OfficeView
from topologies.round import Action, Desk, Report, Send, SetTimer
from topologies.seats import Post
from topologies.sharing import Sharing

OPEN_MAX = 64
MEMORY_ROUNDS = 64
LOG_ROUNDS = 64


class VoteMemory:
    """The votes of the latest rounds, by task: what has been answered is not computed again."""

    def __init__(self) -> None:
        self._rounds: OrderedDict[int, dict[str, Vote]] = OrderedDict()

    def keep(self, round: int, votes: Iterable[Vote]) -> None:
        self._rounds.setdefault(round, {}).update({vote.task: vote for vote in votes})
        while len(self._rounds) > MEMORY_ROUNDS:
            self._rounds.popitem(last=False)

    def known(self, round: int) -> Mapping[str, Vote]:
        return self._rounds.get(round, {})

    def answer(self, round: int, tasks: Sequence[Task], *, desk: Desk) -> tuple[Vote, ...]:
        """Return a vote for each task; only what has not been answered yet is computed."""
        known = self.known(round)
        self.keep(round, desk.work([task for task in tasks if task.key not in known]))
        known = self.known(round)
        return tuple(known[task.key] for task in tasks)


class WorkLog:
    """What a holder has under way, as its deputy follows it: one Work for each round that is not over."""

    def __init__(self) -> None:
        self._works: dict[int, Work] = {}

    def follow(self, work: Work) -> None:
        self._works[work.tick.round] = work
        over = max(work.finished, work.tick.round - LOG_ROUNDS)
        self._works = {number: kept for number, kept in self._works.items() if number > over}

    def take(self) -> list[Work]:
        """Return what is under way, the earliest round first, and follow it no longer."""
        works, self._works = self._works, {}
        return [works[number] for number in sorted(works)]


@dataclass(slots=True)
class _Open:
    tick: Tick
    requester: str
    wanted: dict[str, Task] = field(default_factory=dict)
    votes: dict[str, Vote] = field(default_factory=dict)
    given: dict[str, dict[str, Task]] = field(default_factory=dict)
    is_overdue: bool = False

    @property
    def missing(self) -> list[Task]:
        """Tasks without a vote that nobody has been given."""
        taken = {key for tasks in self.given.values() for key in tasks}
        return [task for key, task in self.wanted.items() if key not in self.votes and key not in taken]

    @property
    def is_complete(self) -> bool:
        return len(self.votes) >= len(self.wanted)


class Leading:
    """The rounds led from one post."""

    def __init__(self, post: Post, view: OfficeView, *, sharing: Sharing, charter: Charter) -> None:
        """Lead from `post` whenever its office is held here, as `view` has it."""
        self.post = post
        self.view = view
        self.branches = Branches(post, view.me, is_dead=view.is_dead)
        self.sharing = sharing
        self._charter = charter
        self._memory = VoteMemory()
        self._open: dict[int, _Open] = {}
        self._finished = 0  # all rounds up to this one are over

    def begin(self, tick: Tick, tasks: Sequence[Task], *, requester: str) -> list[Action]:
        """Start a round, or start it again; every branch alive is given the tick, and its share of the tasks."""
        self.branches.saw(tick)
        state = self._open.get(tick.round)
        if state is not None and tick.attempt <= state.tick.attempt and requester == state.requester:
            return []
        if state is None:
            state = self._open[tick.round] = _Open(tick, requester)
            while len(self._open) > OPEN_MAX:
                del self._open[min(self._open)]
        state.tick, state.requester = tick, requester
        state.wanted |= {task.key: task for task in tasks}
        known = self._memory.known(tick.round)
        state.votes |= {key: known[key] for key in state.wanted if key in known}
        state.given.clear()
        actions: list[Action] = [SetTimer(tick.round, self.post.deadline_s, self.post.office.name)]
        actions += self._hand_out(state, is_start=True)
        return actions + self._finish_if_complete(state)

    def gather(self, result: Result) -> list[Action]:
        """Take a branch's votes; the first on a task counts."""
        known = self._memory.known(result.round)
        self._memory.keep(result.round, [vote for vote in result.votes if vote.task not in known])
        state = self._open.get(result.round)
        if state is None:
            return []
        for vote in result.votes:
            if vote.task in state.wanted:
                state.votes.setdefault(vote.task, vote)
        answered = {vote.task for vote in result.votes}.union(result.unanswered)
        for branch, tasks in state.given.items():
            self.sharing.answered(branch, [vote for vote in result.votes if vote.task in tasks])
            self.sharing.lost(branch, len(tasks.keys() & set(result.unanswered)))
            for key in answered & tasks.keys():
                del tasks[key]
        return self._finish_if_complete(state) or (self._hand_out(state, is_start=False) if result.unanswered else [])

    def expire(self, round: int) -> list[Action]:
        """The deadline of a round: go on with what is there, if this agent still has the office and its group."""
        state = self._open.get(round)
        if state is None:
            return []
        state.is_overdue = True
        return self._finish(state) if self._may_finish else []

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        """Give a dead agent's open tasks to others; give a live one what nobody could take."""
        actions: list[Action] = []
        for number in sorted(self._open):
            state = self._open[number]
            if not is_alive:
                for branch in self.branches.of(peer):
                    self.sharing.lost(branch, len(state.given.pop(branch, {})))
            if state.is_overdue and self._may_finish:
                actions += self._finish(state)
            else:
                actions += self._hand_out(state, is_start=False)
        return actions

    def abandon(self) -> None:
        """Somebody else holds the office."""
        self._open.clear()

    def _hand_out(self, state: _Open, *, is_start: bool) -> list[Action]:
        alive = self.branches.within_reach()
        tasks = state.missing
        shares = self.sharing.share(tasks, alive, turn=state.tick.round)
        actions: list[Action] = []
        for branch in alive:
            given = shares.get(branch.agent, ())
            if given:
                state.given.setdefault(branch.agent, {}).update({task.key: task for task in given})
            speaker = self.branches.speaker(branch.agent)
            if given or (is_start and speaker != self.view.me):
                actions.append(Send(speaker, self._work(state, given, to=branch.agent)))
        return actions

    def _work(self, state: _Open, given: Sequence[Task], *, to: str) -> Work:
        is_standby = self.branches.speaker(to) in self.post.office.holders
        return Work(
            office=self.post.office.name,
            token=self.view.seen,
            tick=state.tick,
            tasks=tuple(given),
            standby=tuple(state.wanted.values()) if is_standby else (),
            finished=self._finished,
            earlier=tuple(self.branches.tell(to, state.tick)),
        )

    def _finish_if_complete(self, state: _Open) -> list[Action]:
        return self._finish(state) if state.is_complete and self._may_finish else []

    @property
    def _may_finish(self) -> bool:
        """Whether this agent may speak for the office: what it says goes out under the highest token it has seen."""
        return self.view.is_held_here and self.view.has_majority

    def _finish(self, state: _Open) -> list[Action]:
        """Pass the votes up, or at the top decide; whoever has not answered is left out."""
        number = state.tick.round
        self._open.pop(number, None)
        self._finished = min(self._open, default=number + 1) - 1
        votes = tuple(state.votes[key] for key in sorted(state.votes))
        if self.post.above is not None:
            unanswered = tuple(sorted(state.wanted.keys() - state.votes.keys()))
            return [Send(state.requester, Result(self.post.above.name, number, votes, unanswered))]
        voted = {vote.symbol for vote in votes}
        decisions = tuple(
            conclude(votes, tuple(state.wanted.values()), tick=state.tick, symbol=symbol, charter=self._charter)
            for symbol in state.tick.symbols
            if symbol in voted
        )
        return [Report(number, decisions, self.post.office.name, self.view.seen)]
