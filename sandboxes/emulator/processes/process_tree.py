"""Find and kill everything that a sandbox started, also what left its session or lost its parent.

Three traces lead from a process to its sandbox: the variable `E2B_SANDBOX_ROOT` in its environment (inherited by
every descendant), its session, and its parents. The search repeats until it finds nobody, because a process may fork
while it is being looked for.

The module uses only the standard library and is also a program: as the server's watchdog (see `watchdog.py`) it
waits until its standard input closes, which happens when the server dies in whatever way, and then kills what the
server left and removes its directory.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT_VARIABLE = "E2B_SANDBOX_ROOT"
MARK = f"\0{ROOT_VARIABLE}=".encode()
SWEEPS_MAX = 200
RETRY_AFTER_S = 0.01

Owns = Callable[[str], bool]
"""Tells of a sandbox's root directory whether its processes are meant."""


class ProcessEntry(NamedTuple):
    """What the kernel says about one process."""

    pid: int
    parent: int
    session: int
    root: str
    """The root directory of its sandbox, empty for a process that belongs to none."""


def kill_tree(owns: Owns, leaders: Collection[int] = ()) -> int:
    """Kill all processes of the owned sandboxes, the leaders, their sessions and descendants; return how many.

    The leaders must be processes this program started and has not reaped, or the numbers may belong to others.
    """
    killed: set[int] = set()
    for _ in range(SWEEPS_MAX):
        found = select_tree(list(read_processes()), owns, leaders=leaders)
        if not found:
            break
        for pid in found:
            kill_process(pid)
        killed.update(found)
    return len(killed)


def select_tree(processes: Collection[ProcessEntry], owns: Owns, *, leaders: Collection[int]) -> list[int]:
    """Return the processes that belong to a sandbox: marked, leading, in a leader's session, or descended."""
    selected = {p.pid for p in processes if p.pid in leaders or p.session in leaders or (p.root and owns(p.root))}
    while True:
        added = {p.pid for p in processes if p.parent in selected} - selected
        if not added:
            return sorted(selected)
        selected |= added


def read_processes() -> Iterator[ProcessEntry]:
    """Yield the living processes whose environment this user may read; zombies are dead and left out."""
    own = os.getpid()
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal() or int(directory.name) == own:
            continue
        entry = read_process(int(directory.name))
        if entry is not None:
            yield entry


def read_process(pid: int) -> ProcessEntry | None:
    """Read one process; `None` if it is gone, dead or another user's."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
        environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in brackets, and may itself hold brackets and spaces.
    state, parent, _group, session = status[status.rindex(b")") + 2 :].split(maxsplit=4)[:4]
    if state in (b"Z", b"X"):
        return None
    _before, _mark, after = environment.partition(MARK)
    root = after.partition(b"\0")[0].decode(errors="replace")
    return ProcessEntry(pid, int(parent), int(session), root)


def kill_process(pid: int) -> None:
    """Send SIGKILL to a process that may be gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    """Wait for the server's end, then kill what it left; with a third argument remove its directory as well."""
    data_dir = sys.argv[1]
    os.read(0, 1)
    for _ in range(SWEEPS_MAX):
        kill_tree(lambda root: root.startswith(f"{data_dir}/"))
        if len(sys.argv) > 2:
            shutil.rmtree(data_dir, ignore_errors=True)
        # Processes in namespaces of their own die with the server too, and may write a last file meanwhile.
        if len(sys.argv) <= 2 or not Path(data_dir).exists():
            return
        time.sleep(RETRY_AFTER_S)


if __name__ == "__main__":
    main()
