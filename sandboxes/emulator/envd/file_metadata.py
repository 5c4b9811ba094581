"""What an upload says of a file in its `X-Metadata-*` headers, kept with the file.

As in envd the place is an extended attribute for each key, below `user.e2b.`, where `setfattr` in a command finds it
too. Some file systems (tmpfs before Linux 6.6) have no such attributes: there a table of this server holds the
words, by the file's number, until the server ends.
"""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from sandboxes.emulator.errors import ApiError

PREFIX = "user.e2b."
HEADER_PREFIX = "x-metadata-"
KEY_BYTES_MAX = 255 - len(PREFIX)
"""The kernel's limit for a name."""
BYTES_MAX = 4096
"""What ext4 keeps of one file's attributes: a block."""
FILES_MAX = 10_000
"""How many files the table remembers; the oldest is forgotten first."""
UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP)

FileNumber = tuple[int, int]


class MetadataTable:
    """The metadata of files in one sandbox."""

    def __init__(self) -> None:
        self._unsupported: dict[FileNumber, dict[str, str]] = {}

    def read(self, real: Path) -> dict[str, str]:
        """Return a file's metadata; a link's own, not its target's. Values that are no text are left out."""
        try:
            found = read_attributes(real)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                return {}  # what cannot be read does not make the rest of a file's description wrong
            status = real.lstat()
            found = self._unsupported.get((status.st_dev, status.st_ino), {})
        return found

    def replace(self, descriptor: int, metadata: Mapping[str, str]) -> None:
        """Give an open file exactly this metadata, so that none of an overwritten file's stays. Raises `OSError`."""
        try:
            replace_attributes(descriptor, metadata)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            self._remember(descriptor, metadata)

    def _remember(self, descriptor: int, metadata: Mapping[str, str]) -> None:
        status = os.fstat(descriptor)
        self._unsupported.pop((status.st_dev, status.st_ino), None)
        if metadata:
            self._unsupported[status.st_dev, status.st_ino] = dict(metadata)
        if len(self._unsupported) > FILES_MAX:
            del self._unsupported[next(iter(self._unsupported))]


def read_metadata_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an upload. Raises `ApiError` (400) for what could not be stored."""
    metadata: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower().removeprefix(HEADER_PREFIX)
        if name.lower().startswith(HEADER_PREFIX) and key:
            metadata.setdefault(key, value)
    for key, value in metadata.items():
        if len(key) > KEY_BYTES_MAX:
            raise ApiError(400, f"invalid metadata: metadata key {key!r} exceeds {KEY_BYTES_MAX} bytes")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ApiError(400, f"invalid metadata: value for key {key!r} contains a non-printable-ASCII byte")
    size = sum(len(PREFIX) + len(key) + len(value) for key, value in metadata.items())
    if size > BYTES_MAX:
        raise ApiError(400, f"invalid metadata: total metadata size {size} exceeds {BYTES_MAX} bytes")
    return metadata


def read_attributes(real: Path) -> dict[str, str]:
    """Return what the file system keeps of a file."""
    found: dict[str, str] = {}
    for name in os.listxattr(real, follow_symlinks=False):
        if name.startswith(PREFIX):
            try:
                key = os.fsencode(name.removeprefix(PREFIX)).decode()
                found[key] = os.getxattr(real, name, follow_symlinks=False).decode()
            except UnicodeDecodeError:
                continue
    return found


def replace_attributes(descriptor: int, metadata: Mapping[str, str]) -> None:
    """Make the file system keep this and nothing else of ours."""
    for name in os.listxattr(descriptor):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in metadata:
            os.removexattr(descriptor, name)
    for key, value in metadata.items():
        os.setxattr(descriptor, PREFIX + key, value.encode())
