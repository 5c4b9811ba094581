"""The rounds of a simulated swarm: one after the other, again when asked, none while an agent is let in.

It follows `orchestrator.floor` step by step, with events in place of waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from orchestrator.ledger import RoundLedger
from topologies.messages import Tick

BAR = msgspec.Raw(b"\xc0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds from one round to the next, until a round has failed, and until an agent decides with what it has."""

    tick_s: float
    round_s: float
    agent_s: float


class Rounds:
    """Plays rounds. `send_tick` hands a tick to the entry agents, `later` has something happen after some seconds."""

    def __init__(
        self,
        ledger: RoundLedger,
        pace: Pace,
        *,
        now_s: Callable[[], float],
        later: Callable[[float, Callable[[], None]], None],
        send_tick: Callable[[Tick], None],
    ) -> None:
        self.pace = pace
        self.ledger = ledger
        self.number = 0
        self.began_s = 0.0
        self.tick: Tick | None = None
        self.failed: list[tuple[float, int]] = []
        self._now_s = now_s
        self._later = later
        self._send_tick = send_tick
        self._attempt = 1
        self._holds: set[str] = set()
        self._is_due = False

    def play_next(self) -> None:
        """Begin the next round, or as soon as nobody holds it up any more."""
        self._is_due = bool(self._holds)
        if self._is_due:
            return
        self.number += 1
        self._attempt = 1
        self.began_s = self._now_s()
        self.tick = Tick(self.number, "", dict.fromkeys(self.ledger.symbols, BAR))
        self.ledger.begin(self.number, self.began_s)
        self._send_tick(self.tick)
        number = self.number
        self._later(self.pace.round_s, lambda: self.end(number))

    def play_again(self, tick: Tick | None) -> None:
        """Start a round once more."""
        if tick is not None:
            self._attempt += 1
            self._send_tick(msgspec.structs.replace(tick, attempt=self._attempt))

    def end_if_complete(self) -> None:
        """End the round under way if all its decisions are there."""
        if self.ledger.is_complete(self.number):
            self.end(self.number)

    def end(self, number: int) -> None:
        """End a round, complete or not, unless it has ended."""
        if self.tick is None or number != self.number:
            return
        self.tick = None
        if not self.ledger.end(number):
            self.failed.append((self._now_s(), number))
        self._later(max(0.0, self.began_s + self.pace.tick_s - self._now_s()), self.play_next)

    def hold(self, who: str) -> None:
        """Let no round begin."""
        self._holds.add(who)

    def release(self, who: str) -> None:
        """Let rounds begin again, if nobody else holds them up."""
        self._holds.discard(who)
        if not self._holds and self._is_due:
            self.play_next()
