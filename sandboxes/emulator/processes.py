"""One command of a sandbox: its pipes, its end, and who listens to it.

The semantics are envd's. Output that nobody listens to is dropped, never kept. A listener that reads slowly holds the
command back, as a full pipe would. A listener that leaves does not end the command. The end is told only when the
pipes are closed too, so a grandchild that holds one delays it. Signals go to the leader alone.
"""

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from sandboxes.emulator import connect
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.listeners import Listeners
from sandboxes.emulator.process_environment import death_signal_prefix
from sandboxes.emulator.process_messages import (
    DataEvent,
    EndEvent,
    EventMessage,
    ProcessConfig,
    ProcessEvent,
    ProcessInfo,
)

READ_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """Everything that is needed to start a command on this machine."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    has_stdin: bool


class Process:
    """A running or finished command."""

    def __init__(self, command: CommandLine, *, config: ProcessConfig, tag: str | None) -> None:
        self._popen = spawn(command)
        self._handle = open_handle(self._popen)
        self.pid = self._popen.pid
        self.info = ProcessInfo(config=config, pid=self.pid, tag=tag)
        self.end: EndEvent | None = None
        self.is_overdue = False
        self.finished = anyio.Event()
        self.listeners = Listeners()
        # A cancelled server first kills its commands; until then each one needs somebody to reap it.
        self._scope = anyio.CancelScope(shield=True)
        self._deadline: asyncio.TimerHandle | None = None

    def limit(self, timeout_s: float) -> None:
        """Kill the command's leader when the time is over; its children live on, as at E2B."""
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._expire)

    async def run(self) -> None:
        """Carry the output to the listeners until the command is over. Called once, as a task."""
        with self._scope:
            async with anyio.create_task_group() as pumps:
                for name, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr)):
                    assert pipe is not None
                    pumps.start_soon(self._pump, name, pipe.fileno())
                await anyio.wait_readable(self._handle)
                self._popen.wait()
        self._finish()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the leader. Raises `RpcError` (`not_found`) if it is over."""
        if self._popen.poll() is not None:
            raise RpcError("not_found", f"process {self.pid} has ended: list the running ones")
        self._popen.send_signal(number)

    async def write_stdin(self, data: bytes) -> None:
        """Write to the command's input, waiting while its pipe is full."""
        pipe = self._require_stdin()
        left = memoryview(data)
        while left:
            await anyio.wait_writable(pipe)
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise RpcError("failed_precondition", f"process {self.pid} has closed its input") from None

    def close_stdin(self) -> None:
        """Let the command's input end."""
        self._require_stdin()
        assert self._popen.stdin is not None
        self._popen.stdin.close()

    def abandon(self) -> None:
        """Stop waiting for pipes that a process we could not kill still holds."""
        self._scope.cancel()

    def _require_stdin(self) -> int:
        if self._popen.stdin is None or self._popen.stdin.closed:
            raise RpcError("failed_precondition", f"process {self.pid} has no input: start it with stdin=True")
        return self._popen.stdin.fileno()

    async def _pump(self, name: str, pipe: int) -> None:
        while True:
            await anyio.wait_readable(pipe)
            try:
                data = os.read(pipe, READ_BYTES_MAX)
            except BlockingIOError:
                continue
            if not data:
                return
            if not self.listeners:
                continue
            event = DataEvent(stdout=data) if name == "stdout" else DataEvent(stderr=data)
            await self.listeners.tell(connect.frame_message(EventMessage(ProcessEvent(data=event))))

    def _expire(self) -> None:
        if self._popen.poll() is None:
            self.is_overdue = True
            self._popen.kill()

    def _finish(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._handle)
        if self._deadline is not None:
            self._deadline.cancel()
        code = self._popen.poll()
        self.end = describe_end(-signal.SIGKILL if code is None else code)
        self.listeners.close()
        self.finished.set()


def spawn(command: CommandLine) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, with pipes that do not block."""
    try:
        popen = subprocess.Popen(
            [*death_signal_prefix(), *command.arguments],
            stdin=subprocess.PIPE if command.has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=command.directory,
            env=dict(command.environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise RpcError("resource_exhausted", f"no process could be started: {error.strerror}") from error
        raise RpcError("invalid_argument", f"the command could not be started: {error}") from error
    for pipe in (popen.stdin, popen.stdout, popen.stderr):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return popen


def open_handle(popen: subprocess.Popen[bytes]) -> int:
    """Return a descriptor that becomes readable at a child's end; asyncio would take a thread for each child."""
    try:
        return os.pidfd_open(popen.pid)
    except OSError as error:
        popen.kill()
        popen.communicate()
        raise RpcError("resource_exhausted", f"no process could be followed: {error.strerror}") from error


def describe_end(code: int) -> EndEvent:
    """Write a child's return code as envd does, in Go's words."""
    if code >= 0:
        status = f"exit status {code}"
        return EndEvent(exit_code=code, exited=True, status=status, error=status if code else None)
    name = (signal.strsignal(-code) or f"signal {-code}").lower()
    return EndEvent(exit_code=-1, exited=False, status=f"signal: {name}", error=f"signal: {name}")
