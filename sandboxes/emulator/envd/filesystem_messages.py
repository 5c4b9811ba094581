"""The messages of envd's `filesystem.Filesystem` service, in protobuf's JSON form (64-bit numbers are strings)."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from sandboxes.emulator.envd.process_messages import Empty


class PathRequest(Struct, rename="camel"):
    """Stat, MakeDir and Remove name one path."""

    path: str = ""


class ListDirRequest(Struct, rename="camel"):
    """List a directory, down to a depth (0 and 1 both mean its own entries)."""

    path: str = ""
    depth: Annotated[int, Meta(ge=0, lt=2**32)] = 1


class MoveRequest(Struct, rename="camel"):
    """Give an entry another path."""

    source: str = ""
    destination: str = ""


class WatchRequest(Struct, rename="camel"):
    """WatchDir and CreateWatcher: tell what changes in a directory."""

    path: str = ""
    recursive: bool = False
    include_entry: bool = False
    allow_network_mounts: bool = False


class WatcherRequest(Struct, rename="camel"):
    """GetWatcherEvents and RemoveWatcher name a watcher that was created before."""

    watcher_id: str = ""


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
    metadata: dict[str, str] = {}
    is_symlink: bool = False


class EntryResponse(Struct, rename="camel"):
    """The reply to Stat, MakeDir and Move."""

    entry: EntryInfo


class ListDirResponse(Struct, rename="camel"):
    """The reply to ListDir."""

    entries: list[EntryInfo]


class FilesystemEvent(Struct, rename="camel", omit_defaults=True):
    """One change; the name is the path below the watched directory."""

    name: str
    type: str
    entry: EntryInfo | None = None


class WatchEvent(Struct, rename="camel", omit_defaults=True):
    """A message of WatchDir's stream: one of the three."""

    start: Empty | None = None
    filesystem: FilesystemEvent | None = None
    keepalive: Empty | None = None


class CreateWatcherResponse(Struct, rename="camel"):
    """The reply to CreateWatcher."""

    watcher_id: str


class WatcherEventsResponse(Struct, rename="camel"):
    """The reply to GetWatcherEvents: what happened since the last call."""

    events: list[FilesystemEvent]
