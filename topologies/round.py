"""The contract between a topology's rules and whoever drives them: events in, actions out, no I/O.

The worker runtime drives a `Round` over sockets, the simulator drives the same object in virtual time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from topologies.detector import PeerState
from topologies.messages import Decision, Message, Task, Tick, Vote


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message along the edge to `to`."""

    to: str
    message: Message


@dataclass(frozen=True, slots=True)
class Report:
    """Hand decisions to the coordinator: this agent's last word on these symbols of this round.

    `office` and `token` say in whose right, where only one may speak at a time; an older token is refused.
    """

    round: int
    decisions: tuple[Decision, ...]
    office: str = ""
    token: int = 0


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `on_timer(round, office)` after `after_s` seconds; a timer for a round that is over is ignored."""

    round: int
    after_s: float
    office: str = ""


@dataclass(frozen=True, slots=True)
class Took:
    """Tell the coordinator that this agent holds an office now."""

    office: str
    token: int


@dataclass(frozen=True, slots=True)
class Noticed:
    """Tell the coordinator what this agent believes of a neighbour's process."""

    peer: str
    generation: int
    state: PeerState


Action = Send | Report | SetTimer | Took | Noticed


class Desk(Protocol):
    """The agent's own workplace: it keeps price windows and runs strategies. Synchronous and deterministic."""

    def feed(self, tick: Tick) -> None:
        """Take a tick's bars into the windows; a tick seen before changes nothing. Raises MissedTicks."""

    def work(self, tasks: Sequence[Task]) -> tuple[Vote, ...]:
        """Run tasks on the windows as they stand: one vote for each task, also where the strategy failed."""


class MissedTicks(RuntimeError):
    """A tick came and the one before it never did: the price windows would have a hole."""


class Round(Protocol):
    """One agent's part in every round of one topology."""

    def on_start(self) -> list[Action]:
        """Begin: the neighbours can be reached."""

    def on_tick(self, tick: Tick) -> list[Action]:
        """React to a tick from the coordinator (entry agents only)."""

    def on_message(self, sender: str, message: Message) -> list[Action]:
        """React to a message that came along the edge from `sender`."""

    def on_timer(self, round: int, office: str) -> list[Action]:
        """React to the deadline of a round, at one office where an agent may hold several."""

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        """React to a watched neighbour that is taken for dead, or lives again - maybe as another process."""

    def on_check(self) -> list[Action]:
        """React to time that passes; called at every look at the clock, so it must cost next to nothing."""

    def duties(self) -> list[str]:
        """Name what this agent answers for alone, as it sees things: each duty is to have exactly one agent."""
