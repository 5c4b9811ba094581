"""A started command as the server holds it, in whatever way it was started: its number, its pipes, its end.

`SpawnedChild` is a new program and our own child. `warm_start.ForkedChild` is the other kind.
"""

import errno
import io
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import anyio

from sandboxes.emulator.envd.process_messages import TerminalSize
from sandboxes.emulator.envd.streams import OutputKind, Streams
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.processes.process_environment import death_signal_prefix
from sandboxes.emulator.processes.terminals import open_terminal, terminal_prefix

SHORTAGES = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """Everything that is needed to start a command on this machine."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    has_stdin: bool
    terminal: TerminalSize | None = None
    """The size of its terminal, `None` for pipes."""


class Pipes(NamedTuple):
    """Our ends of a command's standard streams; they do not block."""

    stdin: io.FileIO | None
    stdout: io.FileIO
    stderr: io.FileIO

    def outputs(self) -> Sequence[tuple[OutputKind, io.FileIO]]:
        return ((OutputKind.STDOUT, self.stdout), (OutputKind.STDERR, self.stderr))

    def inputs(self) -> Sequence[io.FileIO]:
        return () if self.stdin is None or self.stdin.closed else (self.stdin,)

    def close(self) -> None:
        for pipe in self:
            if pipe is not None:
                pipe.close()


class Child(Protocol):
    """The leader of a command."""

    pid: int
    """Its number as this machine counts."""
    number: int
    """Its number as the sandbox's commands and clients know it: another one in namespaces of their own."""

    @property
    def pipes(self) -> Streams:
        """Our ends of its streams."""

    def poll(self) -> int | None:
        """Return the return code (negative: the signal's number), None while the child runs."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; to a child that is over, nothing."""

    async def wait(self) -> None:
        """Wait until `poll` returns a code."""

    def close(self) -> None:
        """Give back the pipes and what the child was followed by."""


class SpawnedChild:
    """A child of this process, started in a session of its own."""

    def __init__(self, command: CommandLine) -> None:
        """Start it. Raises `RpcError` if the command cannot be started."""
        self.pipes, theirs = open_streams(command)
        try:
            self._popen = spawn(command, theirs)
        except RpcError:
            self.pipes.close()
            raise
        finally:
            close_theirs(theirs)
        self.pid = self.number = self._popen.pid
        try:
            # Readable at the child's end; asyncio would take a thread for each child.
            self._handle = os.pidfd_open(self.pid)
        except OSError as error:
            self._popen.kill()
            self._popen.wait()
            self.pipes.close()
            raise RpcError("resource_exhausted", f"no process could be followed: {error.strerror}") from error

    def poll(self) -> int | None:
        return self._popen.poll()

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def wait(self) -> None:
        await anyio.wait_readable(self._handle)
        self._popen.wait()

    def close(self) -> None:
        self.pipes.close()
        os.close(self._handle)


def open_streams(command: CommandLine) -> tuple[Streams, list[int]]:
    """Return our ends of what a command reads and writes, and the child's three streams. Raises `RpcError`."""
    return open_pipes(has_stdin=command.has_stdin) if command.terminal is None else open_terminal(command.terminal)


def open_pipes(*, has_stdin: bool) -> tuple[Pipes, list[int]]:
    """Return our ends and the child's three streams. Raises `RpcError` if there are too many open files."""
    opened: list[int] = []
    try:
        for _ in range(2):
            opened += os.pipe2(os.O_CLOEXEC)
        # A child without input reads from /dev/null.
        opened += os.pipe2(os.O_CLOEXEC) if has_stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC),)
    except OSError as error:
        close_theirs(opened)
        raise RpcError("resource_exhausted", f"no pipe could be opened: {error.strerror}") from error
    stdout, their_stdout, stderr, their_stderr, their_stdin, *stdin = opened
    for pipe in (stdout, stderr, *stdin):
        os.set_blocking(pipe, False)
    pipes = Pipes(io.FileIO(stdin[0], "w") if stdin else None, io.FileIO(stdout), io.FileIO(stderr))
    return pipes, [their_stdin, their_stdout, their_stderr]


def close_theirs(streams: Sequence[int]) -> None:
    """Close our copies of a child's streams once it has its own."""
    for stream in streams:
        os.close(stream)


def spawn(command: CommandLine, streams: Sequence[int]) -> subprocess.Popen[bytes]:
    """Start a new program. Raises `RpcError`."""
    stdin, stdout, stderr = streams
    prefix = () if command.terminal is None else terminal_prefix()
    try:
        return subprocess.Popen(
            [*death_signal_prefix(), *prefix, *command.arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=command.directory,
            env=dict(command.environment),
            start_new_session=command.terminal is None,
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            raise RpcError("resource_exhausted", f"no process could be started: {error.strerror}") from error
        raise RpcError("invalid_argument", f"the command could not be started: {error}") from error
