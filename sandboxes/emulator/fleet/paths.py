"""Where a path inside a sandbox lies on this machine, and back.

Every path a client names, and every path a reply names, passes through here. All map below the sandbox's root, as in
a chroot: `..` stops at the root, and a symbolic link that leads out of the root is refused.
"""

import os
import posixpath
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from sandboxes.emulator.envd.file_metadata import MetadataTable
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.links import ROOT_SEEN, follow_links

HOME = "/home/user"
USER_DEFAULT = "user"
HOMES = {USER_DEFAULT: HOME, "root": "/root"}
"""The users that E2B's images have, and where relative paths and `~` of each begin."""


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """The file tree of one sandbox, as one of its users names the files."""

    root: Path
    """A directory without symbolic links in its own path."""
    user: str = USER_DEFAULT
    workdir: str = ""
    """Where relative paths begin if not in the home, and commands start: a template may say so."""
    is_enclosed: bool = False
    """Whether commands see `/home/user` and `/tmp` in their places, so that links they make mean these."""
    metadata: MetadataTable = field(default_factory=MetadataTable, compare=False)
    """What uploads said of files, where the file system itself cannot keep it."""
    clock_offset: timedelta = field(default=timedelta(), compare=False)
    """How wrong the sandbox's clock is said to be (a fault on purpose): its files' times are as wrong."""

    @property
    def home(self) -> Path:
        """The real directory behind the user's home."""
        return self.root / HOMES[self.user].lstrip("/")

    @property
    def temporary(self) -> Path:
        """The real directory behind `/tmp`."""
        return self.root / "tmp"

    def for_user(self, user: str) -> "SandboxPaths":
        """Return the same tree as another user names it."""
        return replace(self, user=user)

    def locate(self, path: str) -> Path:
        """Return the real path of what a link leads to, for reading, writing and listing.

        Raises `RpcError` (`permission_denied`) if that is outside the sandbox.
        """
        return self._require_inside(self.follow(self._join(path)), path)

    def locate_entry(self, path: str) -> Path:
        """Return the real path of the entry itself, which may be a link: for looking, moving and removing."""
        joined = self._join(path)
        if joined == self.root:
            return joined
        return self._require_inside(self.follow(joined.parent), path) / joined.name

    def follow(self, real: Path) -> Path | None:
        """Return what a real path of the tree leads to when all links in it are followed, maybe outside.

        `None` if there are too many links, as in a circle.
        """
        return follow_links(real, self.root) if self.is_enclosed else Path(os.path.realpath(real))

    def absolute(self, path: str) -> str:
        """Return a path as the sandbox's user would write it in full; links in it stay. Raises `RpcError`."""
        if "\0" in path or not is_encodable(path):
            raise RpcError("invalid_argument", f"path {path!a} holds a character that no file's name can: remove it")
        # Commands run without isolation and print real paths; a client may hand one back.
        if path == str(self.root) or path.startswith(f"{self.root}/"):
            path = path.removeprefix(str(self.root)) or "/"
        elif path == ROOT_SEEN or path.startswith(f"{ROOT_SEEN}/"):  # or with it, and print this
            path = path.removeprefix(ROOT_SEEN) or "/"
        home = HOMES[self.user]
        if path.startswith("~"):
            if path[1:2] not in ("", "/"):
                raise RpcError("invalid_argument", f"path {path!r} is in another user's home: write it from the root")
            path = home + path[1:]
        return "/" + posixpath.normpath(posixpath.join(self.workdir or home, path)).lstrip("/")

    def name(self, real: Path) -> str:
        """Return the path by which the sandbox's user knows a real path; one outside keeps its own name."""
        if not real.is_relative_to(self.root):
            return printable(str(real))
        return printable("/" + "/".join(real.relative_to(self.root).parts))

    def _join(self, path: str) -> Path:
        return self.root / self.absolute(path).lstrip("/")

    def _require_inside(self, real: Path | None, asked: str) -> Path:
        if real is None:
            raise RpcError("invalid_argument", f"path {asked!r} has too many levels of symbolic links: remove some")
        if not real.is_relative_to(self.root):
            raise RpcError(
                "permission_denied",
                f"path {asked!r} leads out of the sandbox through a symbolic link: use a path inside {HOME} or /tmp",
            )
        return real


def printable(name: str) -> str:
    """Return a file's name as text for JSON; bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(name).decode(errors="replace")


def is_encodable(path: str) -> bool:
    """Whether a path can be handed to the operating system."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
