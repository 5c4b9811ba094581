"""Which directories below `/tmp` and `/home` sandboxes go on seeing: those that hold the server's Python and modules.

A sandbox has a `/tmp` and a `/home` of its own, but its commands run the server's Python, which may lie there: in a
virtual environment below a user's home, or in a fresh clone below `/tmp`.
"""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

HIDING = ("/tmp", "/home")
"""What a sandbox has of its own, so that what the machine has there is not seen."""
PACKAGE_PARENT = Path(__file__).resolve().parents[3]
"""Where this package is imported from; an editable installation may leave it out of `sys.path`."""


def find_kept_directories() -> list[str]:
    """Return the outermost ones. A directory that is one of a sandbox's own, such as `/tmp` itself, is left out."""
    places = {PACKAGE_PARENT} | {Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place}
    return choose_kept(form for place in places for form in (place.absolute(), place.resolve()) if form.is_dir())


def choose_kept(places: Iterable[Path]) -> list[str]:
    """Return those that would be hidden, without what lies in another one."""
    hidden = {place for place in places if is_below(place, HIDING) and str(place) not in (*HIDING, "/home/user")}
    return sorted(str(place) for place in hidden if hidden.isdisjoint(place.parents))


def is_below(path: Path, places: Collection[str]) -> bool:
    """Whether a path is one of these directories or in one."""
    return any(path.is_relative_to(place) for place in places)
