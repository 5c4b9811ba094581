"""What a worker and the coordinator need of a network, and nothing more.

Two implementations stand behind it: WebSocket over HTTP (`workers.http_network`) where workers are processes, and
links in memory (`sandboxes.memory_network`) where they are coroutines. Everything above is the same code.

    NetworkError
    +-- Refused       the other side said no (status, reason); asking again changes nothing
    +-- Unreachable   nobody answered; trying again may help
    +-- PipeClosed    an open pipe has ended
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """Where a worker can be reached: a base URL, and the headers that route and admit a request to it."""

    url: str
    headers: dict[str, str]


class NetworkError(Exception):
    """The root of what can go wrong between two processes."""


class Refused(NetworkError):
    """The other side answered, and said no."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"refused with status {status}: {reason}")
        self.status = status
        self.reason = reason


class Unreachable(NetworkError):
    """Nobody answered at an endpoint."""


class PipeClosed(NetworkError):
    """An open pipe has ended."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is not let in, with the HTTP status that says so."""

    status: int
    reason: str


class Pipe(Protocol):
    """An ordered two-way stream of byte strings."""

    async def send(self, data: bytes) -> None:
        """Send one byte string; waits while the other side is slow. Raises PipeClosed."""

    async def receive(self) -> bytes:
        """Wait for the next byte string. Raises PipeClosed."""

    async def close(self) -> None:
        """Close both directions; what was sent before still arrives."""


class Acceptor(Protocol):
    """Who answers on a port."""

    def admit(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Decide at once whether to let a connection in; header names are lower case."""

    async def serve(self, path: str, headers: Mapping[str, str], *, pipe: Pipe) -> None:
        """Use an admitted pipe until done; it is closed on return."""

    def health(self) -> Mapping[str, str]:
        """Describe the state in a few words, for whoever asks without a token."""


class Network(Protocol):
    """Dials endpoints."""

    async def dial(self, endpoint: Endpoint, path: str, *, headers: Mapping[str, str]) -> Pipe:
        """Open a pipe. Raises Refused or Unreachable; the caller holds the deadline."""
