"""What changes in a sandbox's directory, in the words of envd: for a stream, and for clients that come and ask.

A stream reads when its client can take more, so the kernel's queue holds what a slow one has not read. A watcher that
is asked reads at once, because new directories must be watched as soon as they appear, and keeps what it read.
"""

import asyncio
import contextlib
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.envd.directory_watch import Change, ChangeKind, DirectoryWatch
from sandboxes.emulator.envd.entries import describe_entry
from sandboxes.emulator.envd.filesystem_messages import FilesystemEvent, WatchRequest
from sandboxes.emulator.envd.inotify import is_on_network
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths, printable
from sandboxes.emulator.ids import make_token

EVENTS_KEPT_MAX = 16_384
"""How many events wait for a client that does not ask, as many as the kernel itself keeps by default."""
GONE_KINDS = (ChangeKind.REMOVE, ChangeKind.RENAME)
"""Changes after which nothing, or something else, is at the path."""


class EventSource:
    """One watched directory, as its client knows it."""

    def __init__(self, watch: DirectoryWatch, *, paths: SandboxPaths, request: WatchRequest, real: Path) -> None:
        self._watch = watch
        self._paths = paths
        self._includes_entry = request.include_entry
        self._asked = paths.absolute(request.path)
        self._real = real

    def fileno(self) -> int:
        """Return a descriptor that is readable when something happened."""
        return self._watch.fileno()

    def read(self) -> list[FilesystemEvent]:
        """Return what happened since the last call, without waiting. Raises `RpcError` if something was lost."""
        return [self._describe(change) for change in self._watch.read()]

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def _describe(self, change: Change) -> FilesystemEvent:
        name = printable(change.path.relative_to(self._real).as_posix())
        entry = None
        if self._includes_entry and change.kind not in GONE_KINDS:
            with contextlib.suppress(RpcError):  # it is gone again
                found = describe_entry(self._paths, change.path)
                entry = msgspec.structs.replace(found, path=f"{self._asked}/{name}" if name != "." else self._asked)
        return FilesystemEvent(name=name, type=change.kind.value, entry=entry)


class PolledWatcher:
    """Keeps a directory's events until its client asks for them."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._events: list[FilesystemEvent] = []
        self._error: RpcError | None = None
        asyncio.get_running_loop().add_reader(source.fileno(), self._collect)

    def take(self) -> list[FilesystemEvent]:
        """Return what happened since the last call. Raises `RpcError` if something was lost."""
        if self._error is not None:
            raise self._error
        self._collect()
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Stop watching."""
        asyncio.get_running_loop().remove_reader(self._source.fileno())
        self._source.close()

    def _collect(self) -> None:
        if self._error is not None:
            return
        try:
            self._events += self._source.read()
            if len(self._events) > EVENTS_KEPT_MAX:
                raise RpcError("internal", f"watcher error: over {EVENTS_KEPT_MAX} events wait: ask more often")
        except RpcError as error:
            self._error = error
            self._events.clear()
            asyncio.get_running_loop().remove_reader(self._source.fileno())


class WatcherTable:
    """The watchers of one sandbox that clients ask."""

    def __init__(self) -> None:
        self._watchers: dict[str, PolledWatcher] = {}
        self._is_closed = False

    def add(self, source: EventSource) -> str:
        """Keep the events of a source from now on and return the watcher's id."""
        if self._is_closed:
            source.close()
            raise RpcError("not_found", "the sandbox is being killed: create another one")
        watcher_id = f"w{make_token()[:20]}"
        self._watchers[watcher_id] = PolledWatcher(source)
        return watcher_id

    def find(self, watcher_id: str) -> PolledWatcher:
        """Return a watcher. Raises `RpcError` (`not_found`)."""
        watcher = self._watchers.get(watcher_id)
        if watcher is None:
            raise RpcError("not_found", f"watcher with id {watcher_id} not found")
        return watcher

    def remove(self, watcher_id: str) -> None:
        """End a watcher. Raises `RpcError` (`not_found`)."""
        self.find(watcher_id).close()
        del self._watchers[watcher_id]

    def close(self) -> None:
        """End all watchers, and refuse further ones."""
        self._is_closed = True
        for watcher_id in list(self._watchers):
            self.remove(watcher_id)


async def open_source(paths: SandboxPaths, request: WatchRequest) -> EventSource:
    """Watch a directory. Raises `RpcError` if there is none, or its file system cannot be watched."""
    real = await anyio.to_thread.run_sync(find_directory, paths, request)
    with contextlib.ExitStack() as exits:
        watch = exits.enter_context(DirectoryWatch(real, is_recursive=request.recursive))
        await anyio.to_thread.run_sync(watch.begin)
        exits.pop_all()
    return EventSource(watch, paths=paths, request=request, real=real)


def find_directory(paths: SandboxPaths, request: WatchRequest) -> Path:
    """Return the real directory to watch. Raises `RpcError`."""
    real = paths.locate(request.path)
    if not real.exists():
        raise RpcError("not_found", f"path {request.path} not found")
    if not real.is_dir():
        raise RpcError("invalid_argument", f"path {request.path} not a directory")
    if not request.allow_network_mounts and is_on_network(real):
        raise RpcError("invalid_argument", f"cannot watch path on network filesystem: {request.path}")
    return real
