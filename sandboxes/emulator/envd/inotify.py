"""The kernel's word on what changes in directories (inotify(7)): the three calls that are needed, and the event's form.

ctypes and no library: `watchfiles` hides renames and changes of mode, and pure Python ones bring threads or their own
event loop for these few lines. The kernel's queue is the only one: it is bounded, and says when it overflowed.
"""

import ctypes
import errno
import os
import struct
from pathlib import Path
from typing import NamedTuple

from sandboxes.emulator.errors import RpcError

IN_MODIFY = 0x0000_0002
IN_ATTRIB = 0x0000_0004
IN_MOVED_FROM = 0x0000_0040
IN_MOVED_TO = 0x0000_0080
IN_CREATE = 0x0000_0100
IN_DELETE = 0x0000_0200
IN_DELETE_SELF = 0x0000_0400
IN_MOVE_SELF = 0x0000_0800
IN_Q_OVERFLOW = 0x0000_4000
IN_IGNORED = 0x0000_8000
IN_ONLYDIR = 0x0100_0000
IN_DONT_FOLLOW = 0x0200_0000
IN_ISDIR = 0x4000_0000

CHANGES = IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
HEADER = struct.Struct("iIII")
READ_BYTES_MAX = 64 * 1024
EVENT_BYTES_MAX = HEADER.size + 256
LIMITS = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}
NETWORK_FILE_SYSTEMS = frozenset({0x6969, 0xFF53_4D42, 0x517B, 0xFE53_4D42, 0x6573_5546})
"""The numbers by which statfs(2) names NFS, CIFS, SMB, SMB2 and FUSE."""
STATFS_BYTES = 256

_libc = ctypes.CDLL(None, use_errno=True)


class KernelEvent(NamedTuple):
    """One event as the kernel tells it; an empty name means the watched directory itself."""

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One queue of events, for any number of directories."""

    def __init__(self) -> None:
        """Open the queue. Raises `RpcError` (`resource_exhausted`) when the user has too many of them."""
        self._descriptor = check(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), Path())
        self.is_drained = True
        """Whether the last read took all that there was."""

    def fileno(self) -> int:
        """Return the descriptor, which is readable when something happened."""
        return self._descriptor

    def add(self, directory: Path) -> int:
        """Watch a directory and return the watch's number; the same directory has the same number again."""
        mask = ctypes.c_uint32(CHANGES | IN_ONLYDIR | IN_DONT_FOLLOW)
        return check(_libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask), directory)

    def remove(self, watch: int) -> None:
        """Stop a watch, which may have ended by itself."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def read(self) -> list[KernelEvent]:
        """Return what happened, without waiting."""
        try:
            data = os.read(self._descriptor, READ_BYTES_MAX)
        except BlockingIOError:
            data = b""
        self.is_drained = len(data) < READ_BYTES_MAX - EVENT_BYTES_MAX
        return parse_events(data)

    def close(self) -> None:
        """Close the queue and with it all watches; again is no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def parse_events(data: bytes) -> list[KernelEvent]:
    """Read the kernel's records, each a header and a name padded with null bytes."""
    events: list[KernelEvent] = []
    offset = 0
    while offset < len(data):
        watch, mask, cookie, length = HEADER.unpack_from(data, offset)
        offset += HEADER.size
        name = data[offset : offset + length].rstrip(b"\0")
        events.append(KernelEvent(watch, mask, cookie, os.fsdecode(name)))
        offset += length
    return events


def is_on_network(path: Path) -> bool:
    """Whether a path lies on a network file system, whose other users' changes the kernel does not see."""
    answer = ctypes.create_string_buffer(STATFS_BYTES)
    check(_libc.statfs(os.fsencode(path), answer), path)
    return int.from_bytes(answer.raw[:4], "little") in NETWORK_FILE_SYSTEMS


def check(result: int, path: Path) -> int:
    """Return a call's result. Raises `RpcError` at a limit of inotify's, else `OSError`."""
    if result >= 0:
        return result
    number = ctypes.get_errno()
    if number in LIMITS:
        raise RpcError("resource_exhausted", f"this machine allows no more watches: raise {LIMITS[number]} by sysctl")
    raise OSError(number, os.strerror(number), str(path))
