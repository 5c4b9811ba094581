"""Which agents' processes are dead: made from what their neighbours believe and what the coordinator hears. Pure.

One neighbour's word kills nobody: more than half of those who watch an agent and are there themselves must agree; one
that is opening its links is not there yet, and could wait for the very agent that is in question. A
control connection that breaks is proof enough, since a live worker keeps it open; so is silence on it for long.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from topologies.detector import PeerState

SILENCE_S = 2.0
"""Progress comes every 0.25 s: for an agent that nobody is left to watch."""


@dataclass(slots=True)
class Verdicts:
    """`watchers`: by agent, who watches it. Times are seconds of any one clock."""

    watchers: Mapping[str, frozenset[str]]
    silence_s: float = SILENCE_S
    _accused: dict[str, set[str]] = field(default_factory=dict)
    _generation: dict[str, int] = field(default_factory=dict)
    _heard_s: dict[str, float] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)
    _joining: set[str] = field(default_factory=set)

    @property
    def lost(self) -> frozenset[str]:
        """Name the agents whose process is dead and not replaced yet."""
        return frozenset(self._lost)

    def arrived(self, agent: str, generation: int, *, now_s: float) -> None:
        """A process of this generation fills the agent's place now."""
        self._generation[agent] = generation
        self._heard_s[agent] = now_s
        self._accused[agent] = set()
        self._lost.discard(agent)

    @contextmanager
    def joining(self, agent: str) -> Iterator[None]:
        """Do not ask for an agent's word while it opens its links."""
        self._joining.add(agent)
        try:
            yield
        finally:
            self._joining.discard(agent)

    def heard(self, agent: str, now_s: float) -> None:
        """The coordinator has heard of an agent."""
        self._heard_s[agent] = now_s

    def heard_s(self, agent: str) -> float:
        """Return when the coordinator heard of an agent last."""
        return self._heard_s[agent]

    def noticed(self, watcher: str, peer: str, *, generation: int, state: PeerState) -> str:
        """Weigh a watcher's belief; return the evidence when it proves a death, else an empty string."""
        if (generation and generation != self._generation.get(peer)) or peer in self._lost:
            return ""
        accusers = self._accused.setdefault(peer, set())
        if state is not PeerState.DEAD:
            accusers.discard(watcher)
            return ""
        accusers.add(watcher)
        watching = self.watchers[peer] - self._lost - self._joining
        agreed = len(accusers & watching)
        return f"{agreed} of {len(watching)} neighbours hear nothing" if 2 * agreed > len(watching) else ""

    def silent(self, now_s: float) -> list[str]:
        """Name those of whom nothing was heard for too long."""
        return sorted(
            agent
            for agent, heard_s in self._heard_s.items()
            if agent not in self._lost and now_s - heard_s > self.silence_s
        )

    def condemn(self, agent: str) -> bool:
        """Take an agent's process for dead; False when it was already."""
        if agent in self._lost:
            return False
        self._lost.add(agent)
        for accusers in self._accused.values():  # the dead accuse nobody
            accusers.discard(agent)
        return True
