"""What happened in a simulated world, as a running hash and a memory of the latest events."""

import struct
from collections import Counter, deque
from hashlib import blake2b

import msgspec

LATEST = 400
PACKED_MAX = 1 << 16
pack_frame = struct.Struct("<dI").pack


class TraceEvent(msgspec.Struct, frozen=True):
    """One event: when (virtual seconds), what, and between whom."""

    at_s: float
    what: str
    subject: str
    other: str

    def __str__(self) -> str:
        return f"{self.at_s:12.6f} s  {self.what:<14} {self.subject}{' -> ' + self.other if self.other else ''}"


class Trace:
    """Counts, hashes and remembers events. `keep_all`: remember all of them, for a replay that is to be read."""

    def __init__(self, *, keep_all: bool = False) -> None:
        self._digest = blake2b(digest_size=16)
        self._latest: deque[tuple[float, str, str, str]] = deque(maxlen=None if keep_all else LATEST)
        self._packed = bytearray()
        self.counts: Counter[str] = Counter()
        self.frames = 0

    def note(self, at_s: float, what: str, *between: str) -> None:
        """Take note of an event between one or two of the agents and things there are."""
        subject, other = (*between, "", "")[:2]
        self.counts[what] += 1
        self._digest.update(self._packed)
        self._packed.clear()
        self._digest.update(struct.pack("<q", round(at_s * 1e9)))
        self._digest.update(f"{what}|{subject}|{other};".encode())
        self._latest.append((at_s, what, subject, other))

    def note_frame(self, at_s: float, link: int) -> None:
        """Take note of a frame that arrived: most events are that, so they are packed and not remembered."""
        self.frames += 1
        self._packed += pack_frame(at_s, link)
        if len(self._packed) >= PACKED_MAX:
            self._digest.update(self._packed)
            self._packed.clear()

    @property
    def hash(self) -> str:
        self._digest.update(self._packed)
        self._packed.clear()
        return self._digest.hexdigest()

    @property
    def events(self) -> int:
        return self.frames + sum(self.counts.values())

    def latest(self) -> list[TraceEvent]:
        return [TraceEvent(*event) for event in self._latest]
