"""What is told of a file: its type, mode, owner and time, as envd tells them (that is: as Go names them)."""

import functools
import grp
import pwd
import stat
from datetime import datetime
from pathlib import Path

from sandboxes.emulator.clock import from_seconds
from sandboxes.emulator.envd.filesystem_messages import EntryInfo
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths, printable

FIRST_SECOND = -62_135_596_800
LAST_SECOND = 253_402_300_799
"""The years 1 to 9999: a file may claim any other, and JSON cannot write it."""
GO_TYPES = (
    (stat.S_ISDIR, "d"),
    (stat.S_ISLNK, "L"),
    (stat.S_ISFIFO, "p"),
    (stat.S_ISSOCK, "S"),
    (stat.S_ISBLK, "D"),
    (stat.S_ISCHR, "Dc"),
)
GO_BITS = ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))


def describe_entry(paths: SandboxPaths, real: Path) -> EntryInfo:
    """Describe an entry: a link has type and mode of its target, and names it. Raises `RpcError` (`not_found`)."""
    try:
        status = real.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise RpcError("not_found", f"file not found: {paths.name(real)}") from None
    is_link = stat.S_ISLNK(status.st_mode)
    target = paths.follow(real) if is_link else None
    meant = read_mode(target) if is_link else status.st_mode
    return EntryInfo(
        name=printable(real.name) or "/",
        type=name_type(meant),
        path=paths.name(real),
        size=str(status.st_size),
        mode=0 if meant is None else meant & 0o777,
        permissions=format_mode(status.st_mode),
        owner=name_user(status.st_uid),
        group=name_group(status.st_gid),
        modified_time=moment_of(status.st_mtime + paths.clock_offset.total_seconds()),
        symlink_target=paths.name(target or real) if is_link else None,
        metadata=paths.metadata.read(real),
        is_symlink=is_link,
    )


def read_mode(target: Path | None) -> int | None:
    """Return the mode of a link's target, `None` for a link that leads nowhere."""
    try:
        return target.stat().st_mode if target is not None else None
    except OSError:
        return None


def name_type(mode: int | None) -> str:
    """Return protobuf's name for what an entry is; a link that leads nowhere is just a link."""
    if mode is None:
        return "FILE_TYPE_SYMLINK"
    if stat.S_ISDIR(mode):
        return "FILE_TYPE_DIRECTORY"
    return "FILE_TYPE_FILE" if stat.S_ISREG(mode) else "FILE_TYPE_UNSPECIFIED"


def format_mode(mode: int) -> str:
    """Write a mode as Go's `FileMode.String` does: special bits before, and no letter `l` for links."""
    letters = "".join(letter for is_type, letter in GO_TYPES if is_type(mode))
    letters += "".join(letter for bit, letter in GO_BITS if mode & bit)
    return (letters or "-") + stat.filemode(mode & 0o777)[1:]


@functools.lru_cache(maxsize=256)
def name_user(number: int) -> str:
    """Return a user's name as this machine knows it, else the number."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@functools.lru_cache(maxsize=256)
def name_group(number: int) -> str:
    """Return a group's name as this machine knows it, else the number."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def moment_of(seconds: float) -> datetime:
    """Return a file's time, or the nearest one that can be written."""
    return from_seconds(min(max(seconds, FIRST_SECOND), LAST_SECOND))
