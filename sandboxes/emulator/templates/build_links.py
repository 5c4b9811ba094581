"""Symbolic links that a build's commands made: they must lead to the same place in every sandbox's own tree.

A command that makes a link from a full path writes down where the tree lies during the build, or where a sandbox with
namespaces of its own sees it. Neither holds for a sandbox to come, but the way from the link to its target does.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from sandboxes.emulator.fleet.paths import HOME

PLACES = (HOME.lstrip("/"), "tmp", "")
"""What of a tree keeps its shape wherever it is seen: the last is the rest."""


def relativize_links(root: Path, seen_as: str) -> None:
    """Make the links of a tree that lead into its own part of it relative; blocking. `seen_as`: by its commands."""
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            link = Path(directory, name)
            if link.is_symlink():
                inner = find_inner(os.fspath(link.readlink()), (str(root), seen_as))
                if inner is not None and find_place(inner) == find_place(str(link.relative_to(root))):
                    link.unlink()
                    link.symlink_to(os.path.relpath(root / inner, directory))


def find_inner(target: str, roots: Sequence[str]) -> str | None:
    """Return what an absolute target means within the tree, `None` if it is somewhere else or relative."""
    for prefix in (*(f"{root}/" for root in roots), "/"):
        inner = target.removeprefix(prefix)
        if inner != target and (prefix != "/" or find_place(inner) == PLACES[0]):
            return inner
    return None


def find_place(inner: str) -> str:
    """Return the part of a tree that a path is in."""
    return next(place for place in PLACES if not place or inner == place or inner.startswith(f"{place}/"))
