"""One process's ends of its links in a simulated world: the real sessions, without pipes.

Where a link dials again after a cut and both sides say what they have, here every beat says it, and what is missing
for some beats is sent again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.simulation.network import BatchFrame, BeatFrame, SimFrame
from topologies.messages import Message
from workers.codec import Ack, Batch
from workers.session import LinkGap, Session

RESEND_BEATS = 2


@dataclass(slots=True)
class _Talk:
    """A session with one generation of a neighbour."""

    generation: int
    session: Session
    received_there: int = 0
    beats_unanswered: int = 0


class Wires:
    """The sessions of one process (of `generation`) with its neighbours'."""

    def __init__(self, generation: int, *, transmit: Callable[[str, SimFrame], None]) -> None:
        self._generation = generation
        self._transmit = transmit
        self._talks: dict[str, _Talk] = {}

    def open(self, known: Mapping[str, int]) -> None:
        """Begin with neighbours of known generations."""
        self._talks = {peer: _Talk(generation, Session()) for peer, generation in known.items()}

    def is_from_the_latest(self, peer: str, generation: int) -> bool:
        """Say whether a neighbour's process is its latest; with one later than known a new session begins."""
        talk = self._talks.get(peer)
        if talk is None or generation < talk.generation:
            return False
        if generation > talk.generation:
            self._talks[peer] = _Talk(generation, Session())
        return True

    def beat(self) -> None:
        """Give a sign of life to everyone."""
        for peer, talk in self._talks.items():
            self._transmit(peer, BeatFrame(self._generation, talk.generation, talk.session.received))

    def post(self, to: str, message: Message, *, is_silent: bool) -> None:
        """Queue a message, and send it unless nobody would hear it. Raises LinkFull."""
        talk = self._talks[to]
        talk.session.post(message)
        if not is_silent:
            self._flush(to, talk)

    def receive(self, peer: str, frame: SimFrame) -> Sequence[Message]:
        """Return the new messages of a frame, if it is meant for this process."""
        talk = self._talks[peer]
        if frame.to_generation != self._generation:
            return ()
        if isinstance(frame, BeatFrame):
            if not talk.session.is_flushed:
                self._resend(peer, talk, received=frame.received)
            return ()
        try:
            return talk.session.on_batch(Batch(frame.seq, frame.ack, frame.messages))
        except LinkGap:
            return ()  # something before it was lost; it will be sent again

    def _resend(self, peer: str, talk: _Talk, *, received: int) -> None:
        """Send again what a neighbour still lacks after some beats."""
        talk.session.on_ack(received)
        has_moved = talk.session.is_flushed or received > talk.received_there
        talk.beats_unanswered = 0 if has_moved else talk.beats_unanswered + 1
        talk.received_there = received
        if talk.beats_unanswered >= RESEND_BEATS:
            talk.beats_unanswered = 0
            talk.session.resume(received)
            self._flush(peer, talk)

    def _flush(self, peer: str, talk: _Talk) -> None:
        while (frame := talk.session.take()) is not None:
            if not isinstance(frame, Ack):  # beats carry acknowledgements
                batch = BatchFrame(self._generation, talk.generation, frame.seq, frame.ack, frame.messages)
                self._transmit(peer, batch)
