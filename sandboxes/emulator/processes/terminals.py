"""Pseudo-terminals for commands.

The command leads a session whose controlling terminal this is, so that job control, Ctrl-C and changes of the size
work as in any terminal. `setsid --ctty` sees to that in the child; Python's own way (`preexec_fn`) runs between fork
and exec, which is not safe in a process with threads.
"""

import functools
import io
import os
import shutil
import termios
from collections.abc import Sequence

from sandboxes.emulator.envd.process_messages import TerminalSize
from sandboxes.emulator.envd.streams import OutputKind
from sandboxes.emulator.errors import RpcError

ENVIRONMENT = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
"""What a program on a terminal looks for, where the caller does not say otherwise."""
CELLS_MAX = 65_535


class TerminalStreams:
    """Our end of a terminal, for both directions."""

    stdin: io.FileIO | None = None

    def __init__(self, terminal: io.FileIO) -> None:
        self.terminal = terminal

    def outputs(self) -> Sequence[tuple[OutputKind, io.FileIO]]:
        return ((OutputKind.TERMINAL, self.terminal),)

    def inputs(self) -> Sequence[io.FileIO]:
        return () if self.terminal.closed else (self.terminal,)

    def resize(self, size: TerminalSize) -> None:
        """Set the size; the kernel sends SIGWINCH to the programs in the foreground. Raises `RpcError`."""
        set_size(self.terminal.fileno(), size)

    def close(self) -> None:
        self.terminal.close()


def open_terminal(size: TerminalSize) -> tuple[TerminalStreams, list[int]]:
    """Return our end and the child's three streams. Raises `RpcError`."""
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        raise RpcError("resource_exhausted", f"no terminal could be opened: {error.strerror}") from error
    streams = TerminalStreams(io.FileIO(ours, "r+"))
    opened = [theirs]
    try:
        set_size(theirs, size)
        os.set_blocking(ours, False)
        opened += [os.dup(theirs), os.dup(theirs)]
    except (OSError, RpcError) as error:
        streams.close()
        for stream in opened:
            os.close(stream)
        if isinstance(error, RpcError):
            raise
        raise RpcError("resource_exhausted", f"no terminal could be opened: {error.strerror}") from error
    return streams, opened


def set_size(terminal: int, size: TerminalSize) -> None:
    """Set a terminal's size. Raises `RpcError` for one that no terminal has."""
    if not (0 <= size.rows <= CELLS_MAX and 0 <= size.cols <= CELLS_MAX):
        raise RpcError("invalid_argument", f"a terminal of {size.rows} rows and {size.cols} columns is not possible")
    termios.tcsetwinsize(terminal, (size.rows, size.cols))


@functools.cache
def terminal_prefix() -> tuple[str, ...]:
    """Return the command that makes its standard input its controlling terminal. Raises `RpcError`."""
    program = shutil.which("setsid", path=os.defpath + ":/usr/local/bin")
    if program is None:
        raise RpcError("unimplemented", "terminals need the program setsid on this machine: install util-linux")
    return program, "--ctty"
