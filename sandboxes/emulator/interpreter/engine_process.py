"""The process that a context's state lives in: one of the sandbox's, followed, interrupted, killed with its tree."""

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.envd.connect import HEADER
from sandboxes.emulator.envd.process_messages import DataEvent, EventMessage, ProcessConfig, StartRequest
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.processes.process_table import SERVICE_TAG
from sandboxes.emulator.processes.process_tree import kill_tree
from sandboxes.emulator.processes.processes import Process

LAST_WORDS_S = 0.1
"""How long after a process's end its pipes may still bring output; a child that lives on may hold them for ever."""

OnOutput = Callable[[DataEvent], Awaitable[None]]


class EngineProcess:
    """A kernel's or a shell's process; made by `start_process`."""

    def __init__(self, process: Process) -> None:
        """Follow a process that was started just now: nothing may have been waited for since."""
        self._process = process
        self._frames = process.listeners.add()
        self._handle = os.pidfd_open(process.pid)
        self._ended = anyio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the process is over, and all that it said told."""
        return self._ended.is_set()

    async def serve(self, on_output: OnOutput) -> None:
        """Tell the process's output until it is over. Called once."""
        drained = anyio.Event()

        async def follow() -> None:
            async for frame in self._frames:
                data = msgspec.json.decode(frame[HEADER.size :], type=EventMessage).event.data
                if data is not None:
                    await on_output(data)
            drained.set()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow)
                await anyio.wait_readable(self._handle)
                with anyio.move_on_after(LAST_WORDS_S):
                    await drained.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._frames.close()
            os.close(self._handle)
            self._ended.set()

    async def write(self, data: bytes) -> None:
        """Write to the process's input; to one that is over, nothing."""
        with suppress(RpcError, OSError):
            await self._process.write_stdin(data)

    def interrupt(self) -> None:
        """Send SIGINT to the process and what it started, as Ctrl-C does."""
        if not self.has_ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGINT)

    async def kill(self) -> None:
        """Kill the process and all that descends from it, and wait for its end."""
        if not self.has_ended:
            await anyio.to_thread.run_sync(kill_tree, lambda _root: False, (self._process.pid,))
        await self._ended.wait()

    def describe_end(self) -> str:
        """Return how the process ended, in envd's words; nothing if a child of it still holds its pipes."""
        return self._process.end.status if self._process.end is not None else ""

    def read_environment(self) -> dict[str, str]:
        """Return the variables that the process was started with; none if it is over."""
        try:
            block = Path(f"/proc/{self._process.pid}/environ").read_bytes()
        except OSError:
            return {}
        entries = (os.fsdecode(entry).partition("=") for entry in block.split(b"\0") if entry)
        return {name: value for name, _, value in entries}


async def start_process(sandbox: Sandbox, config: ProcessConfig, *, has_stdin: bool = False) -> EngineProcess:
    """Start a process of the sandbox that its clients' lists do not show. Raises `RpcError`, `OSError`."""
    request = StartRequest(process=config, tag=SERVICE_TAG, stdin=has_stdin)
    process = await sandbox.processes.start(request)
    try:
        return EngineProcess(process)
    except OSError:
        process.signal(signal.SIGKILL)
        raise
