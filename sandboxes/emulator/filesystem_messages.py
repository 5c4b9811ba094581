"""The messages of envd's `filesystem.Filesystem` service, in protobuf's JSON form (64-bit numbers are strings)."""

from datetime import datetime

from msgspec import Struct


class PathRequest(Struct, rename="camel"):
    """Stat, MakeDir and Remove name one path."""

    path: str


class ListDirRequest(Struct, rename="camel"):
    """List a directory, down to a depth (0 and 1 both mean its own entries)."""

    path: str
    depth: int = 1


class MoveRequest(Struct, rename="camel"):
    """Give an entry another path."""

    source: str
    destination: str


class EntryInfo(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What is known of an entry."""

    name: str
    type: str
    path: str
    size: str
    mode: int
    permissions: str
    owner: str
    group: str
    modified_time: datetime
    symlink_target: str | None = None


class EntryResponse(Struct, rename="camel"):
    """The reply to Stat, MakeDir and Move."""

    entry: EntryInfo


class ListDirResponse(Struct, rename="camel"):
    """The reply to ListDir."""

    entries: list[EntryInfo]
