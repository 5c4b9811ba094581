"""An agent's part in the rounds: what happens goes to its seat's rules, and what they ask for is done.

What must not happen - a message off an edge, a failing rule, an exhausted bound - ends the part; the coordinator hears
of it.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import assert_never

from topologies.distribution import UnmatchedCapability
from topologies.member import Member
from topologies.messages import (
    Ballot,
    Canvass,
    Claim,
    Grant,
    Item,
    Join,
    LaneDone,
    Leave,
    Message,
    Refusal,
    Result,
    Tick,
    Work,
)
from topologies.round import Action, MissedTicks, Noticed, Report, Send, SetTimer, Took
from topologies.stages import RingOverflow
from workers.codec import Decided, Failed, PeerNoticed, TookOffice, WireError
from workers.links import NoEdge
from workers.outbox import Outbox, OutboxFull
from workers.session import LinkFull
from workers.state import AgentState, can_follow
from workers.timers import Timers

ROUND_FAILURES = (NoEdge, LinkFull, MissedTicks, OutboxFull, RingOverflow, UnmatchedCapability, WireError)


class Player:
    """Plays a seat. `send` puts a message on the edge to a neighbour; it raises NoEdge or LinkFull."""

    def __init__(self, member: Member, *, send: Callable[[str, Message], None], outbox: Outbox) -> None:
        self.name = member.seat.agent
        self.member = member
        self.timers = Timers(lambda round, office: self.play(round, lambda: member.on_timer(round, office)))
        self.state = AgentState.INITIALIZING
        self.rounds_seen = 0
        self._send = send
        self._outbox = outbox

    def on_tick(self, tick: Tick) -> None:
        """Start a round."""
        self.play(tick.round, lambda: self.member.on_tick(tick))

    def on_message(self, sender: str, message: Message) -> None:
        """Take a neighbour's message."""
        self.play(round_of(message), lambda: self.member.on_message(sender, message))

    def play(self, round: int, event: Callable[[], list[Action]]) -> None:
        """Let an event of a round take its course; 0 is no round."""
        self.rounds_seen = max(self.rounds_seen, round)
        if self.state is AgentState.READY and round:
            self.become(AgentState.BUSY)
        self.act(event)

    def act(self, event: Callable[[], list[Action]]) -> None:
        """Let an event take its course."""
        if self.state is AgentState.ERROR:
            return
        try:
            self._perform(event())
        except ROUND_FAILURES as error:
            self.fail(f"{self.name} failed in round {self.rounds_seen}: {error}")

    def fail(self, reason: str) -> None:
        """Tell the coordinator that this agent cannot go on."""
        self.become(AgentState.ERROR)
        with suppress(OutboxFull):  # then the coordinator hears nothing any more, and will find that out
            self._outbox.post(Failed(self.name, reason))

    def become(self, state: AgentState) -> None:
        if can_follow(self.state, state):
            self.state = state

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(to=to, message=message):
                    self._send(to, message)
                case Report(round=number, decisions=decisions, office=office, token=token):
                    self._outbox.post(Decided(self.name, number, decisions, office, token))
                case Took(office=office, token=token):
                    self._outbox.post(TookOffice(self.name, office, token))
                case Noticed(peer=peer, generation=generation, state=state):
                    self._outbox.post(PeerNoticed(self.name, peer, generation, state))
                case SetTimer(round=number, after_s=after_s, office=office):
                    self.timers.set(number, after_s, office=office)
                case _:
                    assert_never(action)


def round_of(message: Message) -> int:
    """Name the round a message belongs to; 0 for those that belong to none."""
    match message:
        case Work(tick=tick) | Item(tick=tick):
            return tick.round
        case Ballot(round=number) | Result(round=number) | LaneDone(round=number):
            return number
        case Join() | Leave() | Canvass() | Grant() | Claim() | Refusal():
            return 0
        case _:
            assert_never(message)
