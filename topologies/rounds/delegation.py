"""A round in which work is given down and results are gathered up: the hierarchy and the star.

Both are one mechanism - feed the tick on, share out the tasks, wait for every branch or the deadline, pass the votes
up or decide - and differ in who may give work to whom and by which policy it is shared out.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from topologies.distribution import least_loaded, round_robin, tasks_of_round
from topologies.messages import Message, Result, Task, Tick, Vote, Work
from topologies.open_rounds import OpenRounds
from topologies.round import Action, Desk, Report, Send, SetTimer
from topologies.seats import Branch, StarSeat, TreeSeat
from topologies.voting import decide

OWED_MEMORY = 1024


class Distribution(Protocol):
    """A policy that shares out tasks among branches."""

    def share(self, tasks: Sequence[Task], *, turn: int) -> dict[str, tuple[Task, ...]]:
        """Return for every branch what it is given, possibly nothing."""

    def answered(self, branch: str, tasks: int) -> None:
        """Take note that a branch has answered that many tasks."""


class RoundRobin:
    """Deal in turn, by the number of workers behind each branch."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self._branches = tuple(branches)

    def share(self, tasks: Sequence[Task], *, turn: int) -> dict[str, tuple[Task, ...]]:
        return round_robin(tasks, self._branches, turn=turn)

    def answered(self, branch: str, tasks: int) -> None:
        pass  # dealing in turn does not look at the load


class LeastLoaded:
    """Give to whoever has the least outstanding."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self._branches = tuple(branches)
        self._outstanding = {branch.agent: 0 for branch in branches}

    def share(self, tasks: Sequence[Task], *, turn: int) -> dict[str, tuple[Task, ...]]:
        shares = least_loaded(tasks, self._branches, outstanding=self._outstanding, turn=turn)
        for agent, given in shares.items():
            self._outstanding[agent] += len(given)
        return shares

    def answered(self, branch: str, tasks: int) -> None:
        self._outstanding[branch] = max(0, self._outstanding.get(branch, 0) - tasks)


@dataclass(slots=True)
class _State:
    symbols: tuple[str, ...] = ()
    given: dict[str, int] = field(default_factory=dict)
    votes: list[Vote] = field(default_factory=list)


class DelegationRound:
    """A leader's, hub's, worker's or spoke's part in every round."""

    def __init__(self, seat: TreeSeat | StarSeat, desk: Desk) -> None:
        self._desk = desk
        self._deadline_s = seat.deadline_s
        self._boss = seat.parent if isinstance(seat, TreeSeat) else seat.hub
        self._branches = seat.children if isinstance(seat, TreeSeat) else seat.spokes
        self._policy: Distribution = (
            RoundRobin(self._branches) if isinstance(seat, TreeSeat) else LeastLoaded(self._branches)
        )
        self._rounds: OpenRounds[_State] = OpenRounds(_State)
        self._owed: OrderedDict[tuple[int, str], int] = OrderedDict()

    def on_tick(self, tick: Tick) -> list[Action]:
        strategies = sorted({name for branch in self._branches for name in branch.capacity})
        return self._give(tick, tasks_of_round(tick.round, tick.symbols, strategies=strategies))

    def on_message(self, sender: str, message: Message) -> list[Action]:
        if isinstance(message, Work) and sender == self._boss:
            if self._branches:
                return self._give(message.tick, message.tasks)
            self._desk.feed(message.tick)
            return [Send(self._boss, Result(message.tick.round, self._desk.work(message.tasks)))]
        if isinstance(message, Result):
            return self._gather(sender, message)
        return []

    def on_timer(self, round: int) -> list[Action]:
        state = self._rounds.peek(round)
        return self._finish(round, state) if state is not None else []

    def _give(self, tick: Tick, tasks: Sequence[Task]) -> list[Action]:
        state = self._rounds.enter(tick.round)
        if state is None or state.given:
            return []
        self._desk.feed(tick)
        shares = self._policy.share(tasks, turn=tick.round)
        state.symbols = tick.symbols
        state.given = {agent: len(given) for agent, given in shares.items()}
        actions: list[Action] = [SetTimer(tick.round, self._deadline_s)]
        return actions + [Send(agent, Work(tick, given)) for agent, given in sorted(shares.items())]

    def _gather(self, sender: str, result: Result) -> list[Action]:
        state = self._rounds.peek(result.round)
        if state is None:  # too late for the round, but the branch has done its work
            self._policy.answered(sender, self._owed.pop((result.round, sender), 0))
            return []
        if sender not in state.given:
            return []
        self._policy.answered(sender, state.given.pop(sender))
        state.votes.extend(result.votes)
        return [] if state.given else self._finish(result.round, state)

    def _finish(self, round: int, state: _State) -> list[Action]:
        """Pass the votes up, or at the top decide; whoever has not answered is left out."""
        self._rounds.close(round)
        self._owed.update({(round, agent): tasks for agent, tasks in state.given.items()})
        while len(self._owed) > OWED_MEMORY:
            (_, agent), tasks = self._owed.popitem(last=False)
            self._policy.answered(agent, tasks)  # so late that it will never come: the branch is not busy with it
        if self._boss:
            votes = tuple(sorted(state.votes, key=lambda vote: vote.task))
            return [Send(self._boss, Result(round, votes))]
        decisions = tuple(
            decide((vote for vote in state.votes if vote.symbol == symbol), round=round, symbol=symbol)
            for symbol in state.symbols
        )
        return [Report(round, decisions)]
