"""Which paths this process writes to, makes or removes, as the interpreter itself reports it."""

import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.link": ((0, 2), (1, 3)),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.setxattr": ((0, None),),
    "os.utime": ((0, 3),),
}
"""Events that change something: where among their arguments a path is, and the descriptor it is relative to."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEVICES = ("/dev/null", "/dev/ptmx", "/dev/pts/")

_active = []


def _audit(event, arguments):
    if not _active or threading.current_thread() is threading.main_thread():
        return  # the main thread is the test's own
    places = CHANGES.get(event, ())
    if event == "open" and arguments[2] & WRITING:
        places = ((0, None),)
    for path_at, directory_at in places:
        path = arguments[path_at]
        if isinstance(path, str | bytes | os.PathLike):
            directory = -1 if directory_at is None else arguments[directory_at]
            start = Path(f"/proc/self/fd/{directory}") if directory >= 0 else Path()
            named = start / os.fsdecode(path)
            _active[-1].append(Path(os.path.realpath(named.parent)) / named.name)


_is_hooked = False


@contextmanager
def written_paths():
    """Collect what other threads than the main one change while the context is open; a hook cannot be taken back."""
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_audit)
        _is_hooked = True
    found = []
    _active.append(found)
    try:
        yield found
    finally:
        _active.remove(found)


def find_outside(paths, root):
    """Return the paths that are neither below a root nor a device without content."""
    inside = Path(root).resolve()
    return sorted({str(p) for p in paths if not p.is_relative_to(inside) and not str(p).startswith(DEVICES)})
