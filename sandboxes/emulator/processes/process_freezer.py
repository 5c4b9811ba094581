"""Stop all processes of a sandbox and let them go on: the local form of E2B's memory snapshot.

The memory stays where it is, in the stopped processes: a pause costs no time, and is over when this machine is.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.processes.process_tree import SWEEPS_MAX, read_processes, select_tree

STOP_DEADLINE_S = 2.0
"""How long to wait for processes that the kernel holds, in a write to a slow disk for example."""
STOP_POLL_S = 0.001


def freeze_processes(sandbox: Sandbox) -> None:
    """Stop everything that runs in a sandbox; blocking. Looks again until nobody new is found, as a kill does."""
    stopped: set[int] = set()
    for _ in range(SWEEPS_MAX):
        found = set(find_processes(sandbox)) - stopped
        if not found:
            break
        for pid in sorted(found):
            send(pid, signal.SIGSTOP)
        wait_stopped(found)
        stopped |= found


def thaw_processes(sandbox: Sandbox) -> None:
    """Let everything in a sandbox go on; blocking."""
    for pid in find_processes(sandbox):
        send(pid, signal.SIGCONT)


def wait_stopped(pids: Iterable[int]) -> None:
    """Wait until processes stand still: a signal works when its process next gets a processor, not before."""
    deadline_s = time.monotonic() + STOP_DEADLINE_S
    for pid in pids:
        while is_moving(pid) and time.monotonic() < deadline_s:
            time.sleep(STOP_POLL_S)


def is_moving(pid: int) -> bool:
    """Whether a process is neither stopped, traced, dead nor gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return status[status.rindex(b")") + 2 :][:1] not in b"TtZX"


def find_processes(sandbox: Sandbox) -> Iterator[int]:
    """Yield the numbers of a sandbox's processes."""
    root = str(sandbox.paths.root)
    enclosure = sandbox.processes.launcher.namespaces.enclosure
    for pid in select_tree(list(read_processes()), root.__eq__, leaders=set(sandbox.processes.leaders)):
        if enclosure is None or pid != enclosure.pid:  # it starts commands, also while files are being copied
            yield pid


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
