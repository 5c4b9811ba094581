"""Where a path inside a sandbox lies on this machine, and back.

Every path a client names, and every path a reply names, passes through here: a later stage that gives a sandbox its
own mount namespace changes this module only. All paths map below the sandbox's root, as in a chroot: `..` stops at
the root, and a symbolic link that leads out of the root is refused.
"""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

from sandboxes.emulator.errors import RpcError

HOME = "/home/user"


@dataclass(frozen=True, slots=True)
class SandboxPaths:
    """The file tree of one sandbox."""

    root: Path
    """A directory without symbolic links in its own path."""

    @property
    def home(self) -> Path:
        """The real directory behind `/home/user`."""
        return self.root / HOME.lstrip("/")

    @property
    def temporary(self) -> Path:
        """The real directory behind `/tmp`."""
        return self.root / "tmp"

    def locate(self, path: str) -> Path:
        """Return the real path of what a link leads to, for reading, writing and listing.

        Raises `RpcError` (`permission_denied`) if that is outside the sandbox.
        """
        real = Path(os.path.realpath(self._join(path)))
        self._require_inside(real, path)
        return real

    def locate_entry(self, path: str) -> Path:
        """Return the real path of the entry itself, which may be a link: for looking, moving and removing."""
        joined = self._join(path)
        if joined == self.root:
            return joined
        parent = Path(os.path.realpath(joined.parent))
        self._require_inside(parent, path)
        return parent / joined.name

    def name(self, real: Path) -> str:
        """Return the path by which the sandbox's user knows a real path; one outside keeps its own name."""
        if not real.is_relative_to(self.root):
            return str(real)
        return "/" + real.relative_to(self.root).as_posix().removeprefix(".")

    def _join(self, path: str) -> Path:
        if "\0" in path:
            raise RpcError("invalid_argument", f"path {path!r} holds a null byte: remove it")
        # Commands run without isolation and print real paths; a client may hand one back.
        if path == str(self.root) or path.startswith(f"{self.root}/"):
            path = path.removeprefix(str(self.root)) or "/"
        if path == "~" or path.startswith("~/"):
            path = HOME + path[1:]
        inside = posixpath.normpath(posixpath.join("/", HOME, path)).lstrip("/")
        return self.root / inside if inside else self.root

    def _require_inside(self, real: Path, asked: str) -> None:
        if not real.is_relative_to(self.root):
            raise RpcError(
                "permission_denied",
                f"path {asked!r} leads out of the sandbox through a symbolic link: use a path inside {HOME} or /tmp",
            )
