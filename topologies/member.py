"""One agent's whole part in the coordination: what it believes of its neighbours, and its topology's rules.

Whatever drives it - the worker over sockets, the simulation over a heap of events - calls `check` every
`DetectorSettings.check_s`, hands in what happens, and carries out the actions. There is no clock and no I/O here.
"""

from topologies.detector import Detector, DetectorSettings, PeerChange, PeerState
from topologies.messages import Leave, Message, Tick
from topologies.round import Action, Desk, Noticed
from topologies.rounds import create_round
from topologies.seats import Seat


class Member:
    """Events in, actions out. Times are seconds of a clock that does not go back."""

    def __init__(
        self, seat: Seat, desk: Desk, *, settings: DetectorSettings, now_s: float, rounds_over: int = 0
    ) -> None:
        """Take a seat in a swarm that has played `rounds_over` rounds already."""
        self.seat = seat
        self.detector = Detector(seat.watches, settings, now_s=now_s)
        self._now_s = now_s
        self._round = create_round(
            seat,
            desk,
            rounds_over=rounds_over,
            now_s=lambda: self._now_s,
            is_suspect=lambda peer: self.detector.state(peer) is PeerState.SUSPECT,
        )
        self._lost: set[str] = set()  # neighbours that the rules take for dead

    def start(self) -> list[Action]:
        """Begin: the neighbours can be reached."""
        return self._round.on_start()

    def on_tick(self, tick: Tick) -> list[Action]:
        """React to a tick from the coordinator."""
        return self._round.on_tick(tick)

    def on_message(self, sender: str, message: Message) -> list[Action]:
        """React to a message of a neighbour."""
        if isinstance(message, Leave):
            self.detector.left(sender)
        return self._round.on_message(sender, message)

    def on_timer(self, round: int, office: str = "") -> list[Action]:
        """React to a round's deadline."""
        return self._round.on_timer(round, office)

    def on_sign(self, peer: str, generation: int, *, now_s: float) -> list[Action]:
        """React to a sign of life: a heartbeat, or anything else that a neighbour's process sent."""
        self._now_s = now_s
        return self._believe(self.detector.heard(peer, generation, now_s=now_s))

    def on_cut(self, peer: str, now_s: float) -> list[Action]:
        """React to a broken connection."""
        return self._believe(self.detector.cut(peer, now_s))

    def on_death(self, peer: str, generation: int) -> list[Action]:
        """React to the coordinator's word that a neighbour's process is dead."""
        return self._believe(self.detector.dead(peer, generation))

    def check(self, now_s: float) -> list[Action]:
        """Look at the clock."""
        self._now_s = now_s
        return self._believe(self.detector.check(now_s)) + self._round.on_check()

    def duties(self) -> list[str]:
        """Name what this agent answers for alone, as it sees things."""
        return self._round.duties()

    def _believe(self, changes: list[PeerChange]) -> list[Action]:
        actions: list[Action] = []
        for change in changes:
            if change.state is PeerState.DEAD and change.peer not in self._lost:
                self._lost.add(change.peer)
                actions.append(Noticed(change.peer, change.generation, change.state))
                actions += self._round.on_peer(change.peer, is_alive=False)
            elif change.state is PeerState.ALIVE:
                actions += self._welcome(change)
        return actions

    def _welcome(self, change: PeerChange) -> list[Action]:
        """Take a neighbour in again; another process of it knows nothing of what the former was told."""
        actions: list[Action] = []
        if change.is_new_generation and change.peer not in self._lost:
            self._lost.add(change.peer)
            actions += self._round.on_peer(change.peer, is_alive=False)
        if change.peer in self._lost:
            self._lost.discard(change.peer)
            actions.append(Noticed(change.peer, change.generation, change.state))
            actions += self._round.on_peer(change.peer, is_alive=True)
        return actions
