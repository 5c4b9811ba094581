"""A round in a mesh: the owners of a symbol vote, exchange ballots, and each comes to the same decision.

An owner waits for all the invited; only at the deadline does it settle for a quorum of them, so that without
failures the decision depends on nothing but the votes. The first owner that voted reports; the others know it too.
"""

from dataclasses import dataclass, field

from topologies.messages import Ballot, Decision, Message, Task, Tick, Vote
from topologies.open_rounds import OpenRounds
from topologies.round import Action, Desk, Report, Send, SetTimer
from topologies.seats import MeshSeat
from topologies.voting import decide, quorum_size


@dataclass(slots=True)
class _State:
    symbols: tuple[str, ...] | None = None
    ballots: dict[str, tuple[Vote, ...]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)


def mesh_tasks(round: int, symbols: tuple[str, ...], *, owner: str, strategies: tuple[str, ...]) -> tuple[Task, ...]:
    """List an owner's tasks: each owner's view of a symbol is a task of its own."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}@{owner}", symbol=symbol, strategy=strategy)
        for symbol in symbols
        for strategy in sorted(strategies)
    )


class MeshRound:
    """A peer's part in every round."""

    def __init__(self, seat: MeshSeat, desk: Desk) -> None:
        self._seat = seat
        self._desk = desk
        self._owned = frozenset(symbol for symbol, owners in seat.owners.items() if seat.agent in owners)
        self._rounds: OpenRounds[_State] = OpenRounds(_State)

    def on_tick(self, tick: Tick) -> list[Action]:
        self._desk.feed(tick)
        mine = tuple(symbol for symbol in tick.symbols if symbol in self._owned)
        state = self._rounds.enter(tick.round) if mine else None
        if state is None or state.symbols is not None:
            return []
        state.symbols = mine
        tasks = mesh_tasks(tick.round, mine, owner=self._seat.agent, strategies=self._seat.strategies)
        votes = self._desk.work(tasks)
        state.ballots[self._seat.agent] = votes
        actions: list[Action] = [SetTimer(tick.round, self._seat.deadline_s)]
        actions += self._ballots(tick.round, votes)
        return actions + self._settle(tick.round, state)

    def on_message(self, sender: str, message: Message) -> list[Action]:
        if not isinstance(message, Ballot):
            return []
        state = self._rounds.enter(message.round)
        if state is None or sender in state.ballots:
            return []
        state.ballots[sender] = message.votes
        return self._settle(message.round, state)

    def on_timer(self, round: int) -> list[Action]:
        state = self._rounds.peek(round)
        if state is None:
            return []
        actions = self._settle(round, state, quorum=self._seat.quorum)
        self._rounds.close(round)
        return actions

    def _ballots(self, round: int, votes: tuple[Vote, ...]) -> list[Action]:
        """One ballot to each co-owner, with the votes on the symbols it shares; sent in the order of names."""
        per_peer: dict[str, list[Vote]] = {}
        for vote in votes:
            for owner in self._seat.owners[vote.symbol]:
                if owner != self._seat.agent:
                    per_peer.setdefault(owner, []).append(vote)
        return [Send(peer, Ballot(round, tuple(shared))) for peer, shared in sorted(per_peer.items())]

    def _settle(self, round: int, state: _State, *, quorum: float = 1.0) -> list[Action]:
        decided: list[Decision] = []
        for symbol in state.symbols or ():
            invited = self._seat.owners[symbol]
            voted = [owner for owner in invited if owner in state.ballots]
            if symbol in state.settled or len(voted) < quorum_size(len(invited), quorum):
                continue
            state.settled.add(symbol)
            votes = [vote for owner in voted for vote in state.ballots[owner] if vote.symbol == symbol]
            if voted[0] == self._seat.agent:
                decided.append(decide(votes, round=round, symbol=symbol))
        if state.symbols is not None and len(state.settled) == len(state.symbols):
            self._rounds.close(round)
        return [Report(round, tuple(decided))] if decided else []
