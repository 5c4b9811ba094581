"""A small process that outlives the server just long enough to clean up after it.

Leaders of commands die with the server by PR_SET_PDEATHSIG, but their children do not, and a server ended by SIGKILL
cannot kill them. The watchdog holds the other end of a pipe: when the server dies in whatever way, the pipe closes.
"""

import subprocess
import sys
from pathlib import Path

from sandboxes.emulator.processes import process_tree


class Watchdog:
    """Runs `process_tree` as a program for as long as the server lives."""

    def __init__(self, data_dir: Path, *, removes_data_dir: bool) -> None:
        # Isolated and without site packages: 10 ms to start, 5 MB, and no module of the user's in its way.
        self._command = [sys.executable, "-I", "-S", process_tree.__file__, str(data_dir)]
        if removes_data_dir:
            self._command.append("remove")

    def __enter__(self) -> "Watchdog":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C for the server's group is not for the watchdog
            env={},
        )
        return self

    def __exit__(self, *_reason: object) -> None:
        # The server cleaned up by itself: the watchdog has nothing left to look for.
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
