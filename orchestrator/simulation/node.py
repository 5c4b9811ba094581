"""One agent's process in a simulated world: the real rules and the real sessions, with simulated wires and clock."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol
from zlib import crc32

from orchestrator.simulation.network import SimFrame
from orchestrator.simulation.wires import Wires
from topologies.detector import DetectorSettings
from topologies.distribution import UnmatchedCapability
from topologies.member import Member
from topologies.messages import Task, Tick, Vote
from topologies.round import Action, MissedTicks, Noticed, Report, Send, SetTimer, Took
from topologies.seats import Seat
from topologies.stages import RingOverflow
from workers.session import LinkFull

FAILURES = (MissedTicks, LinkFull, RingOverflow, UnmatchedCapability)
PROGRESS_BEATS = 5
READY = "ready"
PROGRESS = "progress"


class Surroundings(Protocol):
    """What a process needs of the world around it."""

    def later(self, node: "Node", after_s: float, *, event: Callable[[], None]) -> None:
        """Have an event happen at this process, after so many seconds of its own clock, if it still exists then."""

    def local_s(self, node: "Node") -> float:
        """Read the clock of this process."""

    def transmit(self, node: "Node", peer: str, *, frame: SimFrame) -> None:
        """Put a frame on the wire to a neighbour."""

    def account(self, node: "Node", action: Report | Took | Noticed | str) -> None:
        """Tell the coordinator; a text says why this process cannot go on."""


class SimDesk:
    """A workplace whose opinions depend on the round, the symbol and the strategy alone."""

    def __init__(self, agent: str, rounds_over: int) -> None:
        self._agent = agent
        self._fed = rounds_over

    def feed(self, tick: Tick) -> None:
        if tick.round > self._fed + 1:
            raise MissedTicks(f"{self._agent} has seen round {self._fed}, and the next it is told of is {tick.round}")
        self._fed = max(self._fed, tick.round)

    def work(self, tasks: Sequence[Task]) -> tuple[Vote, ...]:
        return tuple(self._vote(task) for task in tasks)

    def _vote(self, task: Task) -> Vote:
        draw = crc32(f"{task.key.partition('/')[0]}/{task.symbol}/{task.strategy}".encode())
        return Vote(task.key, task.symbol, self._agent, task.strategy, (draw % 5 - 2) / 2, (draw >> 8) % 256 / 255)


class Node:
    """One generation of one agent. `is_alive`: false once its process has ended."""

    def __init__(
        self, seat: Seat, generation: int, *, around: Surroundings, settings: DetectorSettings, rounds_over: int
    ) -> None:
        self.name = seat.agent
        self.generation = generation
        self.is_alive = True
        self.is_ready = False
        self._around = around
        self._settings = settings
        self._wires = Wires(generation, transmit=lambda peer, frame: around.transmit(self, peer, frame=frame))
        self._missing = set(seat.watches)
        self._beats = 0
        self.member = Member(
            seat,
            SimDesk(seat.agent, rounds_over),
            settings=settings,
            now_s=around.local_s(self),
            rounds_over=rounds_over,
        )

    def begin(self, known: dict[str, int], absent: Sequence[str]) -> None:
        """Start giving signs of life; `known`: the neighbours' generations, `absent`: those without a process."""
        self._wires.open(known)
        for peer in absent:
            self.bury(peer, known[peer])
        self._beat()

    # ---- what comes from the coordinator

    def on_tick(self, tick: Tick) -> None:
        self._do(lambda: self.member.on_tick(tick))

    def bury(self, peer: str, generation: int) -> None:
        """A neighbour's process is dead."""
        self._missing.discard(peer)
        self._do(lambda: self.member.on_death(peer, generation))
        self._look_around()

    # ---- what comes from neighbours

    def on_cut(self, peer: str) -> None:
        """The connection to a neighbour has broken."""
        self._do(lambda: self.member.on_cut(peer, self._around.local_s(self)))

    def on_frame(self, peer: str, frame: SimFrame) -> None:
        """A frame has come from a neighbour's process."""
        if not self._wires.is_from_the_latest(peer, frame.generation):
            return
        for action in self.member.on_sign(peer, frame.generation, now_s=self._around.local_s(self)):
            self._perform(action)
        self._missing.discard(peer)
        for message in self._wires.receive(peer, frame):
            self._do(partial(self.member.on_message, peer, message))
        if not self.is_ready:
            self._look_around()

    # ---- what it does by itself

    def _beat(self) -> None:
        self._wires.beat()
        if self.is_ready:
            for action in self.member.check(self._around.local_s(self)):
                self._perform(action)
        self._beats += 1
        if self._beats % PROGRESS_BEATS == 0:
            self._around.account(self, PROGRESS)
        self._around.later(self, self._settings.heartbeat_s, event=self._beat)

    def _look_around(self) -> None:
        """Be ready once everybody has been heard of who is there."""
        if not self.is_ready and not self._missing:
            self.is_ready = True
            self._around.account(self, READY)
            self._do(self.member.start)

    def _do(self, event: Callable[[], list[Action]]) -> None:
        if not self.is_alive:
            return
        try:
            actions = event()
        except FAILURES as error:
            self._around.account(self, f"{type(error).__name__}: {error}")
            return
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case Send(to=to, message=message):
                self._wires.post(to, message, is_silent=self.member.detector.is_dead(to))
            case SetTimer(round=number, after_s=after_s, office=office):
                self._around.later(self, after_s, event=lambda: self._do(lambda: self.member.on_timer(number, office)))
            case Report() | Took() | Noticed():
                self._around.account(self, action)
