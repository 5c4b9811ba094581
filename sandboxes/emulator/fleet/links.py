"""Where symbolic links lead that commands made in namespaces of their own, where `/home/user` is the sandbox's.

The machine's own rules would follow such a link to the machine's `/home/user`.
"""

import os
from pathlib import Path

ROOT_SEEN = "/home/.sandbox"
"""Where commands in namespaces of their own find the sandbox's whole tree."""
OWN_PLACES = ("/home/user", "/tmp")
"""What of the tree such commands find where clients name it."""
LINKS_MAX = 40
"""As many as Linux follows."""


def follow_links(path: Path, root: Path) -> Path | None:
    """Return where a path below a sandbox's root leads, `None` if there are too many links, as in a circle.

    The result holds no link, and may lie outside of the root. What does not exist is named as it would be.
    """
    done = str(root)
    waiting = [*reversed(path.relative_to(root).parts)]
    links = 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            done = os.path.dirname(done)  # noqa: PTH120 - pathlib's takes longer, for every part of every path
            continue
        entry = f"{done.rstrip('/')}/{name}"
        target = read_link(entry)
        if target is None:
            done = entry
            continue
        links += 1
        if links > LINKS_MAX:
            return None
        if target.startswith("/"):
            target, done = see_outside(target, str(root)), "/"
        waiting += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return Path(done)


def see_outside(target: str, root: str) -> str:
    """Return where a full path, as commands in namespaces of their own write it, lies on the machine."""
    if is_at(target, ROOT_SEEN):
        return root + target.removeprefix(ROOT_SEEN)
    return root + target if any(is_at(target, place) for place in OWN_PLACES) and not is_at(target, root) else target


def see_inside(real: Path, root: Path) -> str:
    """Return where commands in the sandbox's namespaces find a real path of its tree."""
    if not real.is_relative_to(root):
        return str(real)
    inner = f"/{real.relative_to(root)}"
    return inner if any(is_at(inner, place) for place in OWN_PLACES) else str(Path(ROOT_SEEN, inner[1:]))


def is_at(path: str, place: str) -> bool:
    """Whether a full path is this directory or in it."""
    return path == place or path.startswith(f"{place}/")


def read_link(entry: str) -> str | None:
    """Return a link's target, `None` for what is no link."""
    try:
        return os.readlink(entry)  # noqa: PTH115 - as above
    except OSError:
        return None
