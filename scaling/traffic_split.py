"""Which version gets a task: exact shares, the same answer every time, and a session that stays where it began.

A key is hashed to a place between 0 and 1, and versions own lengths of that line. Raising the weight of the new
version only ever adds keys to it, so a step up never takes a session back and forth. The hash is keyed by the rollout,
so that the same keys are not the first in every one.
"""

import dataclasses
import enum
import hashlib
from collections.abc import Mapping

WEIGHT_MAX = 100_000
"""Weights are whole thousandths of a percent: exact, and without rounding to argue about."""


class Version(enum.StrEnum):
    """The two sides of a rollout."""

    STABLE = "stable"
    CANARY = "canary"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How tasks are shared between two versions. Raises ValueError for a weight that cannot be."""

    rollout: str
    """The name of the rollout; another one shares keys differently."""
    canary_weight: int
    """Of WEIGHT_MAX."""

    def __post_init__(self) -> None:
        if not 0 <= self.canary_weight <= WEIGHT_MAX:
            raise ValueError(f"canary_weight is {self.canary_weight}; give 0 to {WEIGHT_MAX}")


def split_of_percent(rollout: str, percent: float) -> Split:
    """Return the split that gives the new version `percent` of the keys, to a thousandth."""
    return Split(rollout=rollout, canary_weight=round(percent * WEIGHT_MAX / 100))


def place(rollout: str, key: str) -> int:
    """Return the place of a key between 0 and WEIGHT_MAX - 1: the same in every process, on every machine."""
    digest = hashlib.blake2b(key.encode(), digest_size=16, key=hashlib.blake2b(rollout.encode()).digest()[:32]).digest()
    # 128 bits over 100,000 places: the shares are even to 1 in 10 ** 33.
    return int.from_bytes(digest, "big") % WEIGHT_MAX


def choose_version(split: Split, task_key: str, *, session_key: str | None = None) -> Version:
    """Return which version gets a task. With a session all its tasks go where the session's key goes.

    At a given weight the answer is a function of the key alone; at a higher weight no key goes back to stable.
    """
    return Version.CANARY if place(split.rollout, session_key or task_key) < split.canary_weight else Version.STABLE


def choose_pinned(split: Split, task_key: str, *, session_key: str, pins: Mapping[str, Version]) -> Version:
    """Return which version gets a task of a session that may be pinned, as a position is to the version that opened it.

    A pin outlives any change of weight, also a rollback; who drains a version takes its pins away.
    """
    return pins.get(session_key) or choose_version(split, task_key, session_key=session_key)
