"""What changes in a directory, and in all below it if wished: kernel events in, changes by path out.

Follows envd, which uses fsnotify: a move within the tree is a rename of the old path and a creation of the new one.
Where fsnotify misses something, this does not. What is put into a new directory before it can be watched is found by a
look into it, and what the kernel then tells again is left out; a subdirectory's own change of mode is told once.
"""

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from sandboxes.emulator.envd import inotify
from sandboxes.emulator.envd.inotify import Inotify, KernelEvent
from sandboxes.emulator.errors import RpcError


class ChangeKind(StrEnum):
    """What happened, by protobuf's names."""

    CREATE = "EVENT_TYPE_CREATE"
    WRITE = "EVENT_TYPE_WRITE"
    REMOVE = "EVENT_TYPE_REMOVE"
    RENAME = "EVENT_TYPE_RENAME"
    CHMOD = "EVENT_TYPE_CHMOD"


KINDS = (
    (inotify.IN_CREATE | inotify.IN_MOVED_TO, ChangeKind.CREATE),
    (inotify.IN_MOVED_FROM | inotify.IN_MOVE_SELF, ChangeKind.RENAME),
    (inotify.IN_ATTRIB, ChangeKind.CHMOD),
    (inotify.IN_MODIFY, ChangeKind.WRITE),
    (inotify.IN_DELETE | inotify.IN_DELETE_SELF, ChangeKind.REMOVE),
)


class Change(NamedTuple):
    """Something happened to the entry at a real path."""

    kind: ChangeKind
    path: Path


class DirectoryWatch:
    """Watches one directory, or a tree of them, until it is closed."""

    def __init__(self, directory: Path, *, is_recursive: bool) -> None:
        self._root = directory
        self._is_recursive = is_recursive
        self._inotify = Inotify()
        self._directories: dict[int, Path] = {}
        self._moves: dict[int, Path] = {}
        # Paths that were told from looking into a new directory, and that the kernel may still tell.
        self._told: set[Path] = set()
        self._told_now: set[Path] = set()

    def __enter__(self) -> "DirectoryWatch":
        return self

    def __exit__(self, *_reason: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return a descriptor that is readable when `read` has something to tell."""
        return self._inotify.fileno()

    def begin(self) -> None:
        """Start to watch; blocks for as long as a walk through the tree takes. Raises `OSError`, `RpcError`."""
        self._directories[self._inotify.add(self._root)] = self._root
        if self._is_recursive:
            list(self._enter_tree(self._root, tells=False))

    def read(self) -> list[Change]:
        """Return what happened since the last call. Raises `RpcError` if the kernel had to drop something."""
        changes = [change for event in self._inotify.read() for change in self._interpret(event)]
        if self._inotify.is_drained:
            self._told = self._told_now
            for path in self._moves.values():  # moved, and not to a place within the tree
                self._leave_tree(path)
            self._moves.clear()
        else:
            self._told |= self._told_now
        self._told_now = set()
        return changes

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()

    def _interpret(self, event: KernelEvent) -> Iterator[Change]:
        if event.mask & inotify.IN_Q_OVERFLOW:
            raise RpcError("internal", "watcher error: more happened than could be told: start another watch")
        directory = self._directories.get(event.watch)
        if directory is None:
            return
        if event.mask & inotify.IN_IGNORED:
            del self._directories[event.watch]
            return
        if event.name:
            yield from self._interpret_entry(event, directory / event.name)
        elif directory == self._root:
            yield from (Change(kind, directory) for bits, kind in KINDS if event.mask & bits)
            if event.mask & inotify.IN_MOVE_SELF:  # it has left the path that was asked for
                self._leave_tree(directory)

    def _interpret_entry(self, event: KernelEvent, path: Path) -> Iterator[Change]:
        if not event.mask & inotify.IN_CREATE:
            self._told.discard(path)
            self._told_now.discard(path)
        elif path in self._told or path in self._told_now:
            return
        yield from (Change(kind, path) for bits, kind in KINDS if event.mask & bits)
        if not (self._is_recursive and event.mask & inotify.IN_ISDIR):
            return
        if event.mask & inotify.IN_MOVED_FROM:
            self._moves[event.cookie] = path
        elif event.mask & (inotify.IN_CREATE | inotify.IN_MOVED_TO):
            self._moves.pop(event.cookie, None)
            # A directory that was moved is still watched, and only learns its new path.
            yield from self._enter_tree(path, tells=bool(event.mask & inotify.IN_CREATE))

    def _enter_tree(self, top: Path, *, tells: bool) -> Iterator[Change]:
        waiting = [top]
        while waiting:
            directory = waiting.pop()
            try:
                self._directories[self._inotify.add(directory)] = directory
                found = sorted(os.scandir(directory), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone again, or not to be looked into
            for entry in found:
                path = directory / entry.name
                if tells:
                    self._told_now.add(path)
                    yield Change(ChangeKind.CREATE, path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)

    def _leave_tree(self, top: Path) -> None:
        for watch, path in list(self._directories.items()):
            if path.is_relative_to(top):
                del self._directories[watch]
                self._inotify.remove(watch)
