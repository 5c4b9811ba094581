"""A round in a mesh: the owners of a symbol vote, exchange ballots, and each comes to the same decision.

A symbol has a fixed number of voices (slots), each with an owner; the voice of a dead owner is taken by a spare, so
that the decision is made from the same number of voices. An owner waits for all the invited; only at the deadline does
it settle for a quorum of them, so that without failures the decision depends on nothing but the votes. The holder of
the first voice reports; the others know the decision too, and report it when they come to hold that voice.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from topologies.messages import Ballot, Decision, Message, Task, Tick, Vote
from topologies.round import Action, Desk, Report, Send, SetTimer
from topologies.seats import MeshSeat, MeshSlot
from topologies.voting import decide, quorum_size

ROUNDS_KEPT = 64
ROUNDS_MENDED = 4  # the latest rounds that a change of voices is made good for


@dataclass(slots=True)
class _State:
    tick: Tick | None = None
    votes: dict[str, Vote] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    keys: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)  # by symbol and slot, the tasks of the voice


def slot_tasks(round: int, symbol: str, *, slot: int, strategies: tuple[str, ...]) -> tuple[Task, ...]:
    """List the tasks of one voice: each is computed once, by whoever has the voice."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}#{slot}", symbol=symbol, strategy=strategy)
        for strategy in sorted(strategies)
    )


class MeshRound:
    """A peer's part in every round."""

    def __init__(self, seat: MeshSeat, desk: Desk) -> None:
        self._seat = seat
        self._desk = desk
        self._dead: set[str] = set()
        self._held: dict[str, list[str]] = {}  # by symbol, who has its voices as things stand
        self._rounds: OrderedDict[int, _State] = OrderedDict()

    def on_start(self) -> list[Action]:
        return []

    def on_tick(self, tick: Tick) -> list[Action]:
        self._desk.feed(tick)
        if not self._voices(tick.symbols):
            return []
        state = self._enter(tick.round)
        if state is None or (state.tick is not None and tick.attempt <= state.tick.attempt):
            return []
        is_first = state.tick is None
        state.tick = tick
        self._vote(state, tick)
        actions: list[Action] = [SetTimer(tick.round, self._seat.deadline_s)] if is_first else []
        if not is_first:
            state.reported.clear()
        return actions + self._ballots(state, tick, to=None) + self._settle(state, tick)

    def on_message(self, sender: str, message: Message) -> list[Action]:
        if not isinstance(message, Ballot):
            return []
        state = self._enter(message.round)
        if state is None:
            return []
        for vote in message.votes:
            state.votes.setdefault(vote.task, vote)
        return self._settle(state, state.tick) if state.tick is not None else []

    def on_timer(self, round: int, office: str) -> list[Action]:
        state = self._rounds.get(round)
        if state is None or state.tick is None:
            return []
        return self._settle(state, state.tick, quorum=self._seat.quorum)

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        self._held.clear()
        if is_alive:
            self._dead.discard(peer)
        else:
            self._dead.add(peer)
        actions: list[Action] = []
        for state in list(self._rounds.values())[-ROUNDS_MENDED:]:
            if state.tick is None:
                continue
            has_new = self._vote(state, state.tick)
            to = None if has_new else {peer} if is_alive else self._substitutes(state.tick)
            actions += self._ballots(state, state.tick, to=to)
            actions += self._settle(state, state.tick)
        return actions

    def on_check(self) -> list[Action]:
        return []

    def duties(self) -> list[str]:
        return [symbol for symbol in sorted(self._seat.slots) if self._holders(symbol)[0] == self._seat.agent]

    def _enter(self, round: int) -> _State | None:
        if round not in self._rounds:
            if self._rounds and round < next(iter(self._rounds)):
                return None  # so late that it has been forgotten
            self._rounds[round] = _State()
            while len(self._rounds) > ROUNDS_KEPT:
                self._rounds.popitem(last=False)
        return self._rounds[round]

    def _holders(self, symbol: str) -> list[str]:
        """Name who has each voice on a symbol: its owner, or in place of a dead one a spare, or another owner."""
        if symbol not in self._held:
            self._held[symbol] = self._find_holders(symbol)
        return self._held[symbol]

    def _find_holders(self, symbol: str) -> list[str]:
        slots = self._seat.slots[symbol]
        alive = [slot.owner for slot in slots if slot.owner not in self._dead]
        spares = [agent for agent in self._seat.spares[symbol] if agent not in self._dead]
        substitutes = iter([*spares, *alive * len(slots)])
        return [slot.owner if slot.owner not in self._dead else next(substitutes, slot.owner) for slot in slots]

    def _voices(self, symbols: Sequence[str]) -> list[tuple[str, int, MeshSlot]]:
        """List the voices this agent has: symbol, number of the slot, the slot."""
        me = self._seat.agent
        return [
            (symbol, number, slot)
            for symbol in symbols
            if symbol in self._seat.slots
            for number, (holder, slot) in enumerate(zip(self._holders(symbol), self._seat.slots[symbol], strict=True))
            if holder == me
        ]

    def _substitutes(self, tick: Tick) -> set[str]:
        """Name those who have a voice that is not their own: they have heard no ballots so far."""
        return {
            holder
            for symbol, _, _ in self._voices(tick.symbols)
            for holder, slot in zip(self._holders(symbol), self._seat.slots[symbol], strict=True)
            if holder != slot.owner
        }

    def _vote(self, state: _State, tick: Tick) -> bool:
        """Cast the votes that this agent's voices still lack; say whether there were any."""
        tasks = [
            task
            for symbol, number, slot in self._voices(tick.symbols)
            for task in slot_tasks(tick.round, symbol, slot=number, strategies=slot.strategies)
            if task.key not in state.votes
        ]
        for vote in self._desk.work(tasks):
            state.votes[vote.task] = vote
        return bool(tasks)

    def _ballots(self, state: _State, tick: Tick, *, to: set[str] | None) -> list[Action]:
        """One ballot to each holder of another voice (or only to some), with this agent's votes on shared symbols."""
        per_peer: dict[str, list[Vote]] = {}
        mine = [vote for vote in state.votes.values() if vote.agent == self._seat.agent]
        for vote in sorted(mine, key=lambda vote: vote.task):
            for holder in sorted(set(self._holders(vote.symbol))):
                if holder != self._seat.agent and holder not in self._dead and (to is None or holder in to):
                    per_peer.setdefault(holder, []).append(vote)
        return [Send(peer, Ballot(tick.round, tuple(shared))) for peer, shared in sorted(per_peer.items())]

    def _settle(self, state: _State, tick: Tick, *, quorum: float = 1.0) -> list[Action]:
        """Decide what can be decided, and report where this agent has the first voice that spoke."""
        due: list[Decision] = []
        for symbol in sorted({symbol for symbol, _, _ in self._voices(tick.symbols)}):
            spoken = self._spoken(state, tick.round, symbol)
            if symbol not in state.decisions and len(spoken) >= quorum_size(len(self._seat.slots[symbol]), quorum):
                votes = [vote for vote in state.votes.values() if vote.symbol == symbol]
                state.decisions[symbol] = decide(votes, round=tick.round, symbol=symbol)
            is_reporter = bool(spoken) and self._holders(symbol)[spoken[0]] == self._seat.agent
            if symbol in state.decisions and symbol not in state.reported and is_reporter:
                state.reported.add(symbol)
                due.append(state.decisions[symbol])
        return [Report(tick.round, tuple(due))] if due else []

    def _spoken(self, state: _State, round: int, symbol: str) -> list[int]:
        """List the slots of which all votes are there."""
        if symbol not in state.keys:
            state.keys[symbol] = [
                tuple(task.key for task in slot_tasks(round, symbol, slot=number, strategies=slot.strategies))
                for number, slot in enumerate(self._seat.slots[symbol])
            ]
        votes = state.votes.keys()
        return [number for number, keys in enumerate(state.keys[symbol]) if votes >= set(keys)]
