"""Where the state is kept: a file by default, a PostgreSQL server by URL, or memory for a swarm in virtual time.

Says nothing of what is there; it only reads the words that `--state` takes.
"""

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from orchestrator.store.errors import StoreUnusable

MEMORY = ":memory:"
FILE_NAME = "state.db"
_KNOWN = "give a path, sqlite:///PATH, or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class FileLocation:
    """An SQLite file, and the two that SQLite keeps beside it."""

    path: Path

    def __str__(self) -> str:
        return f"the state file {self.path}"


@dataclass(frozen=True, slots=True)
class ServerLocation:
    """A PostgreSQL database. `url` may hold a password: only `shown` is for people."""

    url: str
    shown: str

    def __str__(self) -> str:
        return f"the state database {self.shown}"


@dataclass(frozen=True, slots=True)
class MemoryLocation:
    """Nowhere: gone with the process, and used without a thread, so that virtual time can hold."""

    def __str__(self) -> str:
        return "the state in memory"


Location = FileLocation | ServerLocation | MemoryLocation


def locate(state: str | Path | None = None) -> Location:
    """Read what `--state` says: a path, a URL, or nothing for the user's state directory. Raises StoreUnusable."""
    if state is None:
        return FileLocation(platformdirs.user_state_path("e2b-swarm") / FILE_NAME)
    if isinstance(state, Path):
        return FileLocation(state)
    if state == MEMORY:
        return MemoryLocation()
    kind, separator, rest = state.partition("://")
    if not separator:
        return FileLocation(Path(state))
    match kind:
        case "sqlite" if rest.startswith("/") and len(rest) > 1:
            return FileLocation(Path(rest[1:]))
        case "postgresql" | "postgres":
            url = f"postgresql://{rest}"
            return ServerLocation(url, _without_password(url))
        case _:
            raise StoreUnusable(f"the state was asked for at {_without_password(state)!r}; {_KNOWN}")


def _without_password(url: str) -> str:
    """Leave out what stands between a user and the host, and what is behind `?`, where a password may stand too."""
    kind, separator, rest = url.partition("?")[0].partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{kind}{separator}{credentials.partition(':')[0]}{at}{host}"
