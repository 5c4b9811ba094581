"""One command of a sandbox: its streams, its end, and who listens to it.

The semantics are envd's. Output that nobody listens to is dropped, never kept. A listener that reads slowly holds the
command back, as a full pipe would. A listener that leaves does not end the command. The end is told only when the
pipes are closed too, so a grandchild that holds one delays it; but not after a kill, a SIGTERM or the deadline, which
are told as soon as the leader is over. Signals go to the leader alone.
"""

import asyncio
import os
import signal
from contextlib import suppress

import anyio

from sandboxes.emulator.envd import connect
from sandboxes.emulator.envd.process_messages import (
    DataEvent,
    EndEvent,
    EventMessage,
    ProcessConfig,
    ProcessEvent,
    ProcessInfo,
    TerminalSize,
)
from sandboxes.emulator.envd.streams import OutputKind
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.processes.children import Child
from sandboxes.emulator.processes.listeners import Listeners
from sandboxes.emulator.processes.terminals import TerminalStreams

READ_BYTES_MAX = 64 * 1024
"""As much as a pipe holds, so that one read empties it."""
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGKILL)


class Process:
    """A running or finished command."""

    def __init__(self, child: Child, *, config: ProcessConfig, tag: str | None) -> None:
        self._child = child
        self.pid = child.pid
        """As this machine counts; clients know the command by its `number`."""
        self.number = child.number
        self.info = ProcessInfo(config=config, pid=self.number, tag=tag)
        self.end: EndEvent | None = None
        self.is_overdue = False
        self.finished = anyio.Event()
        self.listeners = Listeners()
        # A cancelled server first kills its commands; until then each one needs somebody to reap it.
        self._scope = anyio.CancelScope(shield=True)
        self._deadline: asyncio.TimerHandle | None = None
        self._input = anyio.Lock()
        self._is_told_to_end = False
        self._is_last_read = False

    def limit(self, timeout_s: float) -> None:
        """Kill the command's leader when the time is over; its children live on, as at E2B."""
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._expire)

    async def run(self) -> None:
        """Carry the output to the listeners until the command is over. Called once, as a task."""
        with self._scope:
            async with anyio.create_task_group() as pumps:
                outputs = self._child.pipes.outputs()
                for kind, stream in outputs:
                    pumps.start_soon(self._pump, kind, stream.fileno())
                await self._child.wait()
                if self._is_told_to_end:
                    self._is_last_read = True
                    for _kind, stream in outputs:
                        anyio.notify_closing(stream.fileno())
        self._finish()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the leader. Raises `RpcError` (`not_found`) if it is over."""
        if self._child.poll() is not None:
            raise RpcError("not_found", f"process {self.number} has ended: list the running ones")
        self._is_told_to_end |= number in ENDING_SIGNALS
        self._child.send_signal(number)

    async def write_stdin(self, data: bytes) -> None:
        """Write to the command's input, waiting while its pipe is full. Raises `RpcError`."""
        async with self._input:
            await write_all(require_stdin(self._child), data, number=self.number)

    async def write_terminal(self, data: bytes) -> None:
        """Type on the command's terminal, waiting while it does not read. Raises `RpcError`."""
        async with self._input:
            await write_all(require_terminal(self._child).terminal.fileno(), data, number=self.number)

    async def close_stdin(self) -> None:
        """Let the command's input end. Raises `RpcError`."""
        async with self._input:
            require_stdin(self._child)
            assert self._child.pipes.stdin is not None
            self._child.pipes.stdin.close()

    def resize(self, size: TerminalSize) -> None:
        """Give the command's terminal another size, of which the kernel tells its programs. Raises `RpcError`."""
        require_terminal(self._child).resize(size)

    def abandon(self) -> None:
        """Stop waiting for pipes that a process we could not kill still holds."""
        self._scope.cancel()

    async def _pump(self, kind: OutputKind, stream: int) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_last_read
            if not is_last:
                with suppress(anyio.ClosedResourceError):  # somebody says that it is time for the last read
                    await anyio.wait_readable(stream)
            try:
                data = os.read(stream, READ_BYTES_MAX)
            except BlockingIOError:
                continue
            except OSError:
                return  # a terminal that no process has open any more
            if not data:
                return
            if self.listeners:
                await self.listeners.tell(
                    connect.frame_message(EventMessage(ProcessEvent(data=make_event(kind, data))))
                )

    def _expire(self) -> None:
        if self._child.poll() is None:
            self.is_overdue = True
            self.signal(signal.SIGKILL)

    def _finish(self) -> None:
        for stream in self._child.pipes.inputs():
            anyio.notify_closing(stream.fileno())  # nobody may wait for a descriptor that is closed
        self._child.close()
        if self._deadline is not None:
            self._deadline.cancel()
        code = self._child.poll()
        self.end = describe_end(-signal.SIGKILL if code is None else code)
        self.listeners.close()
        self.finished.set()


async def write_all(stream: int, data: bytes, *, number: int) -> None:
    """Write to a command, waiting while it does not read. Raises `RpcError` if it never will."""
    left = memoryview(data)
    try:
        while left:
            await anyio.wait_writable(stream)
            with suppress(BlockingIOError):
                left = left[os.write(stream, left) :]
    except (OSError, anyio.ClosedResourceError):
        raise RpcError("failed_precondition", f"process {number} has closed its input") from None


def require_stdin(child: Child) -> int:
    """Return the descriptor of a command's input. Raises `RpcError` if it has none, or none any more."""
    if isinstance(child.pipes, TerminalStreams):
        raise RpcError("failed_precondition", f"process {child.number} has a terminal: type there, Ctrl-D to end it")
    if child.pipes.stdin is None or child.pipes.stdin.closed:
        raise RpcError("failed_precondition", f"process {child.number} has no input: start it with stdin=True")
    return child.pipes.stdin.fileno()


def require_terminal(child: Child) -> TerminalStreams:
    """Return a command's terminal. Raises `RpcError` if it has none, or none any more."""
    if not isinstance(child.pipes, TerminalStreams):
        raise RpcError("failed_precondition", f"process {child.number} has no terminal: give it one, or send stdin")
    if child.pipes.terminal.closed:
        raise RpcError("not_found", f"process {child.number} has ended: list the running ones")
    return child.pipes


def make_event(kind: OutputKind, data: bytes) -> DataEvent:
    """Return a piece of output as a message."""
    match kind:
        case OutputKind.STDOUT:
            return DataEvent(stdout=data)
        case OutputKind.STDERR:
            return DataEvent(stderr=data)
        case OutputKind.TERMINAL:
            return DataEvent(pty=data)


def describe_end(code: int) -> EndEvent:
    """Write a child's return code as envd does, in Go's words."""
    if code >= 0:
        status = f"exit status {code}"
        return EndEvent(exit_code=code, exited=True, status=status, error=status if code else None)
    name = (signal.strsignal(-code) or f"signal {-code}").lower()
    return EndEvent(exit_code=-1, exited=False, status=f"signal: {name}", error=f"signal: {name}")
