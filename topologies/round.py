"""The contract between a topology's rules and whoever drives them: events in, actions out, no I/O.

The worker runtime drives a `Round` over sockets, the simulator drives the same object in virtual time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from topologies.messages import Decision, Message, Task, Tick, Vote


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message along the edge to `to`."""

    to: str
    message: Message


@dataclass(frozen=True, slots=True)
class Report:
    """Hand decisions to the coordinator: this agent's last word on these symbols of this round."""

    round: int
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `on_timer(round)` after `after_s` seconds; a timer for a round that is over is ignored."""

    round: int
    after_s: float


Action = Send | Report | SetTimer


class Desk(Protocol):
    """The agent's own workplace: it keeps price windows and runs strategies. Synchronous and deterministic."""

    def feed(self, tick: Tick) -> None:
        """Take a tick's bars into the windows; a tick seen before changes nothing."""

    def work(self, tasks: Sequence[Task]) -> tuple[Vote, ...]:
        """Run tasks on the windows as they stand: one vote for each task, also where the strategy failed."""


class Round(Protocol):
    """One agent's part in every round of one topology."""

    def on_tick(self, tick: Tick) -> list[Action]:
        """React to a tick from the coordinator (entry agents only)."""

    def on_message(self, sender: str, message: Message) -> list[Action]:
        """React to a message that came along the edge from `sender`."""

    def on_timer(self, round: int) -> list[Action]:
        """React to the deadline of a round."""
