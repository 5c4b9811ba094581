"""A round in a mesh: the owners of a symbol vote, exchange ballots, and each comes to the same decision.

A symbol has a fixed number of voices (slots), each with an owner; the voice of a dead owner is taken by a spare, so
that the decision is made from the same number of voices. An owner waits for all the invited; only at the deadline does
it settle for a quorum of them, so that without failures the decision depends on nothing but the votes. The holder of
the first voice reports; the others know the decision too, and report it when they come to hold that voice.
"""

from dataclasses import dataclass, field

from topologies.conclusion import conclude
from topologies.messages import Ballot, Decision, Message, Tick, Vote
from topologies.round import Action, Desk, Report, Send, SetTimer
from topologies.seats import MeshSeat
from topologies.voices import Voices, slot_tasks
from topologies.voting import quorum_size

ROUNDS_KEPT = 64
ROUNDS_MENDED = 4  # the latest rounds that a change of voices is made good for


@dataclass(slots=True)
class _State:
    round: int
    tick: Tick | None = None
    votes: dict[str, Vote] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    _keys: dict[str, list[frozenset[str]]] = field(default_factory=dict)

    def keys(self, symbol: str, voices: Voices) -> list[frozenset[str]]:
        """Name the tasks of each voice on a symbol."""
        if symbol not in self._keys:
            self._keys[symbol] = voices.task_keys(self.round, symbol)
        return self._keys[symbol]


class MeshRound:
    """A peer's part in every round."""

    def __init__(self, seat: MeshSeat, desk: Desk) -> None:
        self._seat = seat
        self._desk = desk
        self._voices = Voices(seat)
        self._rounds: dict[int, _State] = {}
        self._forgotten = 0  # all rounds up to this one
        self._fed = 0

    def on_start(self) -> list[Action]:
        return []

    def on_tick(self, tick: Tick) -> list[Action]:
        self._desk.feed(tick)
        self._fed = max(self._fed, tick.round)
        if not self._voices.mine(tick.symbols):
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
        before = self._voices.mine(tuple(self._seat.slots))
        if is_alive:
            self._voices.regain(peer)
        else:
            self._voices.lose(peer)
        has_more = any(voice not in before for voice in self._voices.mine(tuple(self._seat.slots)))
        actions: list[Action] = []
        for state in [self._rounds[number] for number in sorted(self._rounds)[-ROUNDS_MENDED:]]:
            if state.tick is None:
                continue
            has_new = self._vote(state, state.tick)
            to = None if has_new or has_more else {peer} if is_alive else self._voices.substitutes(state.tick.symbols)
            actions += self._ballots(state, state.tick, to=to)
            actions += self._settle(state, state.tick)
        return actions

    def on_check(self) -> list[Action]:
        return []

    def duties(self) -> list[str]:
        return [symbol for symbol in sorted(self._seat.slots) if self._voices.holders(symbol)[0] == self._seat.agent]

    def _enter(self, round: int) -> _State | None:
        """Return what is known of a round; None when it is so late that it has been forgotten."""
        if round > self._forgotten and round not in self._rounds:
            self._rounds[round] = _State(round)
            while len(self._rounds) > ROUNDS_KEPT:
                self._forgotten = min(self._rounds)
                del self._rounds[self._forgotten]
        return self._rounds.get(round)

    def _vote(self, state: _State, tick: Tick) -> bool:
        """Cast the votes that this agent's voices still lack; say whether there were any.

        For an earlier round there are none: the windows have gone on.
        """
        if tick.round < self._fed:
            return False
        tasks = [
            task
            for symbol, number, slot in self._voices.mine(tick.symbols)
            for task in slot_tasks(tick.round, symbol, slot=number, strategies=slot.strategies)
            if task.key not in state.votes
        ]
        for vote in self._desk.work(tasks):
            state.votes[vote.task] = vote
        return bool(tasks)

    def _ballots(self, state: _State, tick: Tick, *, to: set[str] | None) -> list[Action]:
        """One ballot to each holder of another voice (or only to some), with the votes of this agent's voices.

        Also with those that a dead owner cast before: its last ballots may have reached this agent and not all.
        """
        per_peer: dict[str, list[Vote]] = {}
        spoken_for = {
            key
            for symbol, number, _ in self._voices.mine(tick.symbols)
            for key in state.keys(symbol, self._voices)[number]
        }
        mine = [vote for vote in state.votes.values() if vote.agent == self._seat.agent or vote.task in spoken_for]
        for vote in sorted(mine, key=lambda vote: vote.task):
            for holder in sorted(set(self._voices.holders(vote.symbol))):
                if holder != self._seat.agent and not self._voices.is_dead(holder) and (to is None or holder in to):
                    per_peer.setdefault(holder, []).append(vote)
        return [Send(peer, Ballot(tick.round, tuple(shared))) for peer, shared in sorted(per_peer.items())]

    def _settle(self, state: _State, tick: Tick, *, quorum: float = 1.0) -> list[Action]:
        """Decide what can be decided, and report where this agent has the first voice that spoke."""
        due: list[Decision] = []
        for symbol in sorted({symbol for symbol, _, _ in self._voices.mine(tick.symbols)}):
            voices = enumerate(state.keys(symbol, self._voices))
            spoken = [number for number, keys in voices if keys <= state.votes.keys()]
            if symbol not in state.decisions and len(spoken) >= quorum_size(len(self._voices.slots(symbol)), quorum):
                invited = [task for tasks in self._voices.tasks(tick.round, symbol) for task in tasks]
                state.decisions[symbol] = conclude(
                    state.votes.values(), invited, tick=tick, symbol=symbol, charter=self._seat.charter
                )
            is_reporter = bool(spoken) and self._voices.holders(symbol)[spoken[0]] == self._seat.agent
            if symbol in state.decisions and symbol not in state.reported and is_reporter:
                state.reported.add(symbol)
                due.append(state.decisions[symbol])
        return [Report(tick.round, tuple(due))] if due else []
