"""Python cells: an IPython kernel in a process of the sandbox, as E2B has one for each context.

A cell is over when the kernel says that it is idle again. Should that message be lost, because more was published
than the sockets hold, the kernel's reply ends the cell a moment later.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.envd.process_messages import DataEvent, ProcessConfig
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.interpreter.engine_process import EngineProcess, start_process
from sandboxes.emulator.interpreter.errors import EngineGoneError
from sandboxes.emulator.interpreter.execution import Emit, ignore_line
from sandboxes.emulator.interpreter.kernel_messages import KernelMessage, translate
from sandboxes.emulator.interpreter.kernel_sockets import KernelChannels, KernelSockets
from sandboxes.emulator.interpreter.outputs import Line

LOST_IDLE_S = 1.0
"""How long after its reply a cell waits for the message that the kernel is idle."""
LAST_MESSAGES_S = 0.05
"""How long after a kernel's end what it published may still be on its way."""
WORDS_KEPT = 16
"""How many pieces of a kernel's own standard error are kept, to tell why it ended."""
BROKEN_CONTENT = (msgspec.ValidationError, RecursionError, OverflowError)
# By its path and never imported here: it needs IPython, which the server itself runs without.
FORMATTERS_PATH = str(Path(__file__).with_name("kernel_formatters.py"))
INSTALL_FORMATTERS = f'__import__("runpy").run_path({FORMATTERS_PATH!r})["install"](get_ipython())'
SETTINGS = (
    # As in E2B's template; the history would be a file that nobody reads.
    "--InteractiveShell.colors=NoColor",
    "--PlainTextFormatter.max_seq_length=0",
    "--HistoryManager.enabled=False",
)


@dataclass(slots=True)
class RunningCell:
    """The request a kernel works on."""

    emit: Emit
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    over: anyio.Event = field(default_factory=anyio.Event)
    is_complete: bool = False

    def complete(self) -> None:
        """Mark it as run to its end."""
        self.is_complete = True
        self.over.set()


class PythonKernel:
    """A kernel; made by `start_kernel`."""

    def __init__(self, process: EngineProcess, channels: KernelChannels, *, connection_file: Path) -> None:
        self.process = process
        self._channels = channels
        self._connection_file = connection_file
        self._listening = anyio.Event()
        self._cell: RunningCell | None = None
        self._words: deque[str] = deque(maxlen=WORDS_KEPT)

    async def serve(self) -> None:
        """Carry the kernel's messages until its end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._carry_outputs)
                tasks.start_soon(self._carry_replies)
                await self.process.serve(self._keep_words)
                await anyio.sleep(LAST_MESSAGES_S)
                tasks.cancel_scope.cancel()
        finally:
            self._channels.close()
            self._listening.set()
            if self._cell is not None:
                self._cell.over.set()

    async def prepare(self) -> None:
        """Wait until the kernel runs cells as E2B's do. Raises `EngineGoneError`."""
        await self._listening.wait()
        await self._run(INSTALL_FORMATTERS, ignore_line, is_silent=True)
        with contextlib.suppress(OSError):
            self._connection_file.unlink()  # not earlier: a kernel that starts reads it more than once

    async def run(self, code: str, emit: Emit) -> None:
        """Run a cell."""
        await self._run(code, emit, is_silent=False)

    async def set_variables(self, changes: Mapping[str, str | None]) -> None:
        """Change `os.environ` without leaving a name behind; `None` removes a variable."""
        environ = '__import__("os").environ'
        removals = "".join(f"{environ}.pop({name!r}, None)\n" for name, value in changes.items() if value is None)
        values = {name: value for name, value in changes.items() if value is not None}
        await self._run(f"{removals}{environ}.update({values!r})", ignore_line, is_silent=True)

    async def interrupt(self) -> None:
        """Raise `KeyboardInterrupt` in the cell; between cells nothing happens."""
        self.process.interrupt()

    async def _run(self, code: str, emit: Emit, *, is_silent: bool) -> None:
        if self.process.has_ended:
            raise self._gone()
        self._words.clear()
        self._cell = cell = RunningCell(emit)
        await self._channels.send_cell(code, request_id=cell.id, is_silent=is_silent)
        await cell.over.wait()
        if not cell.is_complete:
            raise self._gone()

    async def _carry_outputs(self) -> None:
        while True:
            message = await self._channels.receive_output()
            self._listening.set()  # the first message greets a new subscriber
            cell = self._find_cell(message)
            if message is None or cell is None:
                continue
            if message.is_idle:
                cell.complete()
                continue
            line = read_line(message)
            if line is not None:
                await cell.emit(line)

    async def _carry_replies(self) -> None:
        while True:
            cell = self._find_cell(await self._channels.receive_reply())
            if cell is not None:
                asyncio.get_running_loop().call_later(LOST_IDLE_S, cell.complete)

    async def _keep_words(self, data: DataEvent) -> None:
        """Keep what comes on the kernel's own pipes: all that is printed in cells, it publishes."""
        if data.stderr is not None:
            self._words.append(data.stderr.decode(errors="replace"))

    def _gone(self) -> EngineGoneError:
        return EngineGoneError("\n".join((self.process.describe_end(), *self._words)).strip())

    def _find_cell(self, message: KernelMessage | None) -> RunningCell | None:
        """Return the cell that a message is about; what older cells still say, nobody hears."""
        if message is None or self._cell is None or message.parent_header.msg_id != self._cell.id:
            return None
        return self._cell


async def start_kernel(sandbox: Sandbox, cwd: str, *, sockets: KernelSockets) -> PythonKernel:
    """Start a kernel, which cannot run cells yet. Raises `RpcError`, `OSError`."""
    connection = await sockets.make_connection_file()
    namespaces = sandbox.processes.launcher.namespaces
    namespaces.settle()
    see = namespaces.see
    profiles = sandbox.paths.temporary / ".ipython"
    profiles.mkdir(parents=True, exist_ok=True)
    outer = connection
    if not namespaces.has_network:  # abstract sockets belong to a network, others to a directory
        place = profiles / connection.ip.removeprefix("@")
        connection = msgspec.structs.replace(connection, ip=see(place))
        outer = msgspec.structs.replace(connection, ip=str(place))
    path = sandbox.paths.temporary / f".kernel-{secrets.token_hex(8)}.json"
    write_secretly(path, msgspec.json.encode(connection))
    # Without frozen modules its debugger does not warn about them at each start.
    arguments = ["-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", see(path), *SETTINGS]
    with contextlib.ExitStack() as undo:
        channels = sockets.connect(outer)
        undo.callback(channels.close)
        config = ProcessConfig(cmd=sys.executable, args=arguments, envs={"IPYTHONDIR": see(profiles)}, cwd=cwd)
        process = await start_process(sandbox, config)
        undo.pop_all()
    return PythonKernel(process, channels, connection_file=path)


def write_secretly(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
        file.write(data)


def read_line(message: KernelMessage) -> Line | None:
    """Return a message's line, `None` also for one that is not as Jupyter says."""
    try:
        return translate(message)
    except BROKEN_CONTENT:
        return None
