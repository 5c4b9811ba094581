"""Who among the neighbours is alive: an accrual failure detector over heartbeats.

Each neighbour's heartbeats give an estimate of their interval and its spread; silence counts against that estimate
(phi accrual, Hayashibara et al. 2004, with the normal distribution's quantiles: suspect at phi 5, dead at phi 8). The
verdict is bounded on both sides: one late heartbeat kills nobody, and a true death is found within `dead_s_max`.

Whoever could not run itself must not judge others: a check that comes late counts as silence of the watcher, not of
the watched (local health awareness, as in Lifeguard, Dadgar et al. 2017).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

SUSPECT_DEVIATIONS = 4.3  # -log10(1 - F) = 5
DEAD_DEVIATIONS = 5.6  # -log10(1 - F) = 8
GAIN_MEAN = 0.1
GAIN_DEVIATION = 0.2
CHECKS_PER_HEARTBEAT = 2


class PeerState(StrEnum):
    """What is believed of a neighbour. LEFT: it said goodbye."""

    ALIVE = "ALIVE"
    SUSPECT = "SUSPECT"
    DEAD = "DEAD"
    LEFT = "LEFT"


class DetectorSettings(msgspec.Struct, frozen=True, array_like=True):
    """All in seconds.

    `heartbeat_s`: between two heartbeats on a watched link. `dead_s_min`, `dead_s_max`: bounds of the silence after
    which a neighbour is taken for dead, whatever the estimate says. `cut_s`: the same where its connection has broken.
    """

    heartbeat_s: float = 0.05
    dead_s_min: float = 0.18
    dead_s_max: float = 0.24
    cut_s: float = 0.08

    @classmethod
    def paced(cls, heartbeat_s: float) -> "DetectorSettings":
        """Scale the default settings to another interval."""
        factor = heartbeat_s / cls().heartbeat_s
        default = cls()
        return cls(heartbeat_s, default.dead_s_min * factor, default.dead_s_max * factor, default.cut_s * factor)

    @property
    def check_s(self) -> float:
        """Between two looks at the clock."""
        return self.heartbeat_s / CHECKS_PER_HEARTBEAT


@dataclass(frozen=True, slots=True)
class PeerChange:
    """A neighbour is believed to be something else than before."""

    peer: str
    state: PeerState
    generation: int
    is_new_generation: bool = False


@dataclass(slots=True)
class _Peer:
    heard_s: float
    mean_s: float
    deviation_s: float
    generation: int = 0
    state: PeerState = PeerState.ALIVE
    cut_s: float | None = None

    def allowance_s(self, deviations: float, settings: DetectorSettings) -> float:
        """Return the silence that so many standard deviations above the mean make."""
        return self.mean_s + deviations * max(self.deviation_s, settings.heartbeat_s / 4)

    def death_s(self, settings: DetectorSettings) -> float:
        return min(settings.dead_s_max, max(settings.dead_s_min, self.allowance_s(DEAD_DEVIATIONS, settings)))


class Detector:
    """Beliefs about the neighbours of one agent. Times are seconds of any one clock that does not go back."""

    def __init__(self, peers: Iterable[str], settings: DetectorSettings, *, now_s: float) -> None:
        """Begin with everyone alive, heard of just now."""
        self.settings = settings
        self._checked_s = now_s
        self._peers = {
            peer: _Peer(now_s, settings.heartbeat_s, settings.heartbeat_s / 4) for peer in sorted(set(peers))
        }

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(self._peers)

    def state(self, peer: str) -> PeerState:
        """Say what is believed of a neighbour; one that is not watched counts as alive."""
        known = self._peers.get(peer)
        return known.state if known is not None else PeerState.ALIVE

    def is_dead(self, peer: str) -> bool:
        return self.state(peer) is PeerState.DEAD

    def heard(self, peer: str, generation: int, *, now_s: float) -> list[PeerChange]:
        """Take note of a sign of life. One from an earlier generation counts for nothing."""
        known = self._peers.get(peer)
        if known is None or generation < known.generation:
            return []
        is_new = generation > known.generation
        if known.state is PeerState.ALIVE and not is_new:
            interval = now_s - known.heard_s
            known.mean_s += GAIN_MEAN * (interval - known.mean_s)
            known.deviation_s += GAIN_DEVIATION * (abs(interval - known.mean_s) - known.deviation_s)
        was_first = known.generation == 0
        known.heard_s, known.generation, known.cut_s = now_s, generation, None
        if known.state is PeerState.ALIVE and (not is_new or was_first):
            return []
        known.state = PeerState.ALIVE
        known.mean_s, known.deviation_s = self.settings.heartbeat_s, self.settings.heartbeat_s / 4
        return [PeerChange(peer, PeerState.ALIVE, generation, is_new and not was_first)]

    def cut(self, peer: str, now_s: float) -> list[PeerChange]:
        """Take note that the connection to a neighbour has broken: a reason for suspicion."""
        known = self._peers.get(peer)
        if known is None or known.state is not PeerState.ALIVE:
            return []
        known.cut_s = now_s
        known.state = PeerState.SUSPECT
        return [PeerChange(peer, known.state, known.generation)]

    def left(self, peer: str) -> None:
        """Take note of a goodbye: silence means nothing from now on."""
        known = self._peers.get(peer)
        if known is not None:
            known.state = PeerState.LEFT

    def dead(self, peer: str, generation: int) -> list[PeerChange]:
        """Take somebody else's word for it that a generation of a neighbour is dead."""
        known = self._peers.get(peer)
        if known is None or known.generation > generation or known.state in (PeerState.DEAD, PeerState.LEFT):
            return []
        known.state = PeerState.DEAD
        return [PeerChange(peer, known.state, known.generation)]

    def check(self, now_s: float) -> list[PeerChange]:
        """Look at the clock; to be called every `check_s`."""
        late_s = now_s - self._checked_s - self.settings.heartbeat_s
        self._checked_s = now_s
        changes: list[PeerChange] = []
        heartbeat_s = self.settings.heartbeat_s
        for peer, known in self._peers.items():
            if late_s > 0.0:
                known.heard_s += late_s
                known.cut_s = known.cut_s + late_s if known.cut_s is not None else None
            if now_s - known.heard_s < heartbeat_s and known.state is PeerState.ALIVE and known.cut_s is None:
                continue  # the usual case: nobody can be suspected so early
            state = self._judge(known, now_s)
            if state is not known.state:
                known.state = state
                changes.append(PeerChange(peer, state, known.generation))
        return changes

    def _judge(self, known: _Peer, now_s: float) -> PeerState:
        if known.state in (PeerState.DEAD, PeerState.LEFT):
            return known.state
        silence_s = now_s - known.heard_s
        if known.cut_s is not None and now_s - known.cut_s >= self.settings.cut_s:
            return PeerState.DEAD
        if silence_s >= known.death_s(self.settings):
            return PeerState.DEAD
        is_silent = silence_s >= known.allowance_s(SUSPECT_DEVIATIONS, self.settings)
        return PeerState.SUSPECT if is_silent or known.cut_s is not None else PeerState.ALIVE
