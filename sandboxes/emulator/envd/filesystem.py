"""What clients do with a sandbox's files, as plain blocking functions; the calls run them in a worker thread.

Paths come in as the client wrote them and go out as the sandbox's user knows them; `paths.py` does both.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sandboxes.emulator.envd.entries import describe_entry
from sandboxes.emulator.envd.filesystem_messages import EntryInfo
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths, printable

DIRECTORY_MODE = 0o755
REMOVE_TRIES_MAX = 100


def stat_entry(paths: SandboxPaths, path: str) -> EntryInfo:
    """Describe one entry; a link is described by what it leads to."""
    return describe_entry(paths, paths.locate_entry(path))


def make_directory(paths: SandboxPaths, path: str) -> EntryInfo:
    """Make a directory and its parents. Raises `RpcError` (`already_exists`)."""
    real = paths.locate(path)
    if real.is_dir():
        raise RpcError("already_exists", f"directory already exists: {path}")
    if real.exists():
        raise RpcError("invalid_argument", f"path already exists but it is not a directory: {path}")
    real.mkdir(parents=True, mode=DIRECTORY_MODE)
    return describe_entry(paths, real)


def move_entry(paths: SandboxPaths, source: str, *, destination: str) -> EntryInfo:
    """Move an entry, making the destination's parents.

    The rules are those of Go's `os.Rename`, which envd calls: rename(2) replaces an existing file, but nothing is
    moved onto an existing directory, not even an empty one.
    """
    real_source = paths.locate_entry(source)
    real_destination = paths.locate_entry(destination)
    refuse_root(paths, real_source)
    real_destination.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    if not os.path.lexists(real_source):
        raise RpcError("not_found", f"source file not found: {source}")
    if real_destination.is_dir() and not real_destination.is_symlink():
        raise RpcError("already_exists", f"error renaming: {destination} is a directory: file exists")
    real_source.rename(real_destination)
    return describe_entry(paths, real_destination)


def remove_entry(paths: SandboxPaths, path: str) -> None:
    """Remove a file or a whole directory; what is not there counts as removed."""
    real = paths.locate_entry(path)
    refuse_root(paths, real)
    for _ in range(REMOVE_TRIES_MAX):
        try:
            if real.is_dir() and not real.is_symlink():
                shutil.rmtree(real)
            else:
                real.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            continue  # somebody else removes the same tree


def list_directory(paths: SandboxPaths, path: str, *, depth: int) -> list[EntryInfo]:
    """Describe a directory's entries by name, each directory followed by what is in it. Links are not followed."""
    real = paths.locate(path)
    if not real.exists():
        raise RpcError("not_found", f"path not found: {path}")
    if not real.is_dir():
        raise RpcError("invalid_argument", f"path is not a directory: {path}")
    asked = paths.absolute(path).rstrip("/")
    found: list[EntryInfo] = []
    for entry in walk(real, max(depth, 1)):
        try:
            description = describe_entry(paths, entry)
        except RpcError:
            continue  # it was removed since
        # A directory that was reached through a link keeps the name by which it was asked for.
        name = f"{asked}/{printable(entry.relative_to(real).as_posix())}"
        found.append(msgspec.structs.replace(description, path=name))
    return found


def walk(directory: Path, depth: int) -> Iterator[Path]:
    """Yield the entries below a directory, down to a depth."""
    waiting = [(entry, depth) for entry in sorted(directory.iterdir(), reverse=True)]
    while waiting:  # no recursion: a tree may be deeper than Python's stack
        entry, levels = waiting.pop()
        yield entry
        if levels > 1 and entry.is_dir() and not entry.is_symlink():
            try:
                waiting += [(below, levels - 1) for below in sorted(entry.iterdir(), reverse=True)]
            except (FileNotFoundError, NotADirectoryError):
                continue  # it was removed since


def refuse_root(paths: SandboxPaths, real: Path) -> None:
    """Raise `RpcError` for the sandbox's root, which nobody may move or remove."""
    if real == paths.root:
        raise RpcError("invalid_argument", "the root directory cannot be moved or removed: name a path below it")
