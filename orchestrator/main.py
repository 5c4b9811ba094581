"""The console script's entry. Kept light: a signal in the first tenths of a second must end a process that has
started nothing yet, at once and with the right exit code.
"""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit_at_once)
    from orchestrator.cli import run

    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK's transport runs threads of its own; on Python 3.11 they can abort the interpreter while it winds down,
    # after all is done, and the exit code with it.
    os._exit(code)


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
