"""Rounds under way at one agent, with a memory of those that are over, so that late messages reopen nothing."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

OPEN_MAX = 1024
CLOSED_MEMORY = 1024


class TooManyOpenRounds(RuntimeError):
    """More rounds are open than an agent keeps; the coordinator sends faster than rounds end."""


class OpenRounds(Generic[T]):
    """Keep one record of type T for each round under way; both the open and the remembered are bounded."""

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._open: dict[int, T] = {}
        self._closed: OrderedDict[int, None] = OrderedDict()

    def enter(self, round: int) -> T | None:
        """Return the record of a round, made on first sight; None when the round is over."""
        if round in self._closed:
            return None
        if round not in self._open:
            if len(self._open) >= OPEN_MAX:
                raise TooManyOpenRounds(f"{OPEN_MAX} rounds are open, the oldest is {min(self._open)}")
            self._open[round] = self._new()
        return self._open[round]

    def peek(self, round: int) -> T | None:
        """Return the record of a round that is open, without opening one."""
        return self._open.get(round)

    def close(self, round: int) -> None:
        """End a round: its record goes, its number is remembered."""
        self._open.pop(round, None)
        self._closed[round] = None
        while len(self._closed) > CLOSED_MEMORY:
            self._closed.popitem(last=False)
