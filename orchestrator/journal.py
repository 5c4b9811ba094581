"""The ordered record of what a swarm did, with a running hash: two runs that did the same have the same hash.

Times are those of the event loop, from the start of the swarm; in mock mode they are virtual, and equal as well.
"""

from collections.abc import Callable
from hashlib import blake2b

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")


class Entry(msgspec.Struct, frozen=True):
    """One fact: when (seconds since the start), what, about whom, and particulars."""

    at_s: float
    event: str
    subject: str
    facts: dict[str, str | int | float | bool | None]


class Journal:
    """Entries in order. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start_s = clock()
        self._digest = blake2b(digest_size=16)
        self.entries: list[Entry] = []

    def record(self, event: str, subject: str, **facts: str | int | float | bool | None) -> None:
        entry = Entry(round(self._clock() - self._start_s, 6), event, subject, facts)
        self._digest.update(_encoder.encode(entry))
        self.entries.append(entry)

    @property
    def hash(self) -> str:
        return self._digest.hexdigest()
