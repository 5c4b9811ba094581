"""What clients do with a sandbox's files, as plain blocking functions; the calls run them in a worker thread.

Paths come in as the client wrote them and go out as the sandbox's user knows them; `paths.py` does both.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from sandboxes.emulator.clock import from_seconds
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.filesystem_messages import EntryInfo
from sandboxes.emulator.paths import SandboxPaths

OWNER = "user"


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
    real.mkdir(parents=True)
    return describe_entry(paths, real)


def move_entry(paths: SandboxPaths, source: str, *, destination: str) -> EntryInfo:
    """Move an entry, making the destination's parents; an existing file there is replaced."""
    real_source = paths.locate_entry(source)
    real_destination = paths.locate_entry(destination)
    refuse_root(paths, real_source)
    if not os.path.lexists(real_source):
        raise RpcError("not_found", f"source file not found: {source}")
    real_destination.parent.mkdir(parents=True, exist_ok=True)
    real_source.rename(real_destination)
    return describe_entry(paths, real_destination)


def remove_entry(paths: SandboxPaths, path: str) -> None:
    """Remove a file or a whole directory; what is not there counts as removed."""
    real = paths.locate_entry(path)
    refuse_root(paths, real)
    if real.is_dir() and not real.is_symlink():
        shutil.rmtree(real)
    else:
        real.unlink(missing_ok=True)


def list_directory(paths: SandboxPaths, path: str, *, depth: int) -> list[EntryInfo]:
    """Describe a directory's entries by name, each directory followed by what is in it. Links are not followed."""
    real = paths.locate(path)
    if not real.exists():
        raise RpcError("not_found", f"path not found: {path}")
    if not real.is_dir():
        raise RpcError("invalid_argument", f"path is not a directory: {path}")
    return [describe_entry(paths, entry) for entry in walk(real, max(depth, 1))]


def walk(directory: Path, depth: int) -> Iterator[Path]:
    """Yield the entries below a directory, down to a depth."""
    for entry in sorted(directory.iterdir()):
        yield entry
        if depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from walk(entry, depth - 1)


def describe_entry(paths: SandboxPaths, real: Path) -> EntryInfo:
    """Describe an entry as envd does: a link has the type of its target, and names it."""
    try:
        status = real.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise RpcError("not_found", f"file not found: {paths.name(real)}") from None
    is_link = stat.S_ISLNK(status.st_mode)
    target = Path(os.path.realpath(real)) if is_link else real
    return EntryInfo(
        name=real.name,
        type=name_type(target, is_link=is_link),
        path=paths.name(real),
        size=str(status.st_size),
        mode=stat.S_IMODE(status.st_mode),
        permissions=stat.filemode(status.st_mode),
        owner=OWNER,
        group=OWNER,
        modified_time=from_seconds(status.st_mtime),
        symlink_target=paths.name(target) if is_link else None,
    )


def name_type(target: Path, *, is_link: bool) -> str:
    """Return protobuf's name for what an entry is."""
    if target.is_dir():
        return "FILE_TYPE_DIRECTORY"
    if target.is_file():
        return "FILE_TYPE_FILE"
    return "FILE_TYPE_SYMLINK" if is_link else "FILE_TYPE_UNSPECIFIED"


def refuse_root(paths: SandboxPaths, real: Path) -> None:
    """Raise `RpcError` for the sandbox's root, which nobody may move or remove."""
    if real == paths.root:
        raise RpcError("invalid_argument", "the root directory cannot be moved or removed: name a path below it")
