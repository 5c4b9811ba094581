"""What the way between two simulated agents does to what they send: lose it, delay it, or hold it back for a while.

Links are streams: a lost frame shows as a connection that breaks, and a way that is cut off as silence. What was sent
arrives when the way is open again. The coordinator's connections are not affected.
"""

import random
from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CutOff:
    """Some agents that do not reach the others until a time; one way: but hear them."""

    agents: Container[str]
    is_one_way: bool
    until_s: float

    def parts(self, sender: str, receiver: str) -> bool:
        if self.is_one_way:
            return sender in self.agents and receiver not in self.agents
        return (sender in self.agents) != (receiver in self.agents)


@dataclass(slots=True)
class LinkWeather:
    """`drop`: the probability that a frame is lost. `delay_s`: mean of the exponential part of a frame's way."""

    rng: random.Random
    drop: float = 0.0
    delay_s: float = 0.0
    _cut_off: list[CutOff] = field(default_factory=list)

    def cut_off(self, part: CutOff) -> None:
        """Cut agents off from the others."""
        self._cut_off.append(part)

    def clear_up(self) -> None:
        """Let all pass from now on."""
        self.drop = self.delay_s = 0.0
        self._cut_off.clear()

    def loses(self) -> bool:
        """Draw whether a frame is lost."""
        return bool(self.drop) and self.rng.random() < self.drop

    def open_s(self, sender: str, receiver: str, *, now_s: float) -> float:
        """Return when the way from one agent to another is open, at the earliest now."""
        self._cut_off = [part for part in self._cut_off if part.until_s > now_s]
        return max((part.until_s for part in self._cut_off if part.parts(sender, receiver)), default=now_s)

    def arrival_s(self, sender: str, receiver: str, *, now_s: float) -> float:
        """Return when what is sent now has come through the weather."""
        delay_s = self.rng.expovariate(1.0 / self.delay_s) if self.delay_s else 0.0
        return self.open_s(sender, receiver, now_s=now_s) + delay_s
