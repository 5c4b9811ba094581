"""Bash cells: one bash for each context that stays open, so that variables, functions and the directory are kept.

It is an interactive bash without a terminal, because only such a one survives an interrupt: SIGINT ends the line it
is at and it reads the next. A cell is one such line (`eval` of the quoted code), and the line after it prints a mark
(`bash_marks.py`) on copies of both streams that the cell cannot reach. The cell itself reads from /dev/null.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.envd.process_messages import DataEvent, ProcessConfig
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.interpreter.bash_marks import Mark, MarkedStream
from sandboxes.emulator.interpreter.engine_process import EngineProcess, start_process
from sandboxes.emulator.interpreter.errors import EngineGoneError
from sandboxes.emulator.interpreter.execution import Emit, ignore_line
from sandboxes.emulator.interpreter.kernel_messages import to_nanoseconds
from sandboxes.emulator.interpreter.outputs import Error, NumberOfExecutions, Stderr, Stdout

BASH = "/bin/bash"
ARGUMENTS = ["--noprofile", "--norc", "--noediting", "-i"]
SET_UP = "PS1= PS2=; unset HISTFILE; set +o history +H; exec 62>&1 63>&2"
ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\0": None})


@dataclass(slots=True)
class RunningCell:
    """The line that the shell works on."""

    number: int
    emit: Emit
    over: anyio.Event = field(default_factory=anyio.Event)
    status: int | None = None
    streams_left: set[str] = field(default_factory=lambda: {"stdout", "stderr"})


class BashShell:
    """A bash; made by `start_bash`."""

    def __init__(self, process: EngineProcess) -> None:
        self.process = process
        self._secret = secrets.token_hex(16)
        self._streams = {name: MarkedStream(self._secret) for name in ("stdout", "stderr")}
        self._cells_run = 0
        self._cell: RunningCell | None = None

    async def serve(self) -> None:
        """Carry the shell's output until its end."""
        try:
            await self.process.serve(self._take)
        finally:
            if self._cell is not None:
                self._cell.over.set()

    async def prepare(self) -> None:
        """Silence the prompts, and swallow what bash says about having no terminal. Raises `EngineGoneError`."""
        await self._run(RunningCell(0, ignore_line), SET_UP)

    async def run(self, code: str, emit: Emit) -> None:
        """Run a cell. An exit status other than 0 is its error, as in E2B's bash kernel."""
        self._cells_run += 1
        await emit(NumberOfExecutions(self._cells_run))
        cell = RunningCell(self._cells_run, emit)
        await self._run(cell, f"\\builtin eval {quote(code)} </dev/null 62>&- 63>&-")
        if cell.status:
            await emit(Error("ExitCode", str(cell.status), f"the cell's exit code is {cell.status}"))

    async def set_variables(self, changes: Mapping[str, str | None]) -> None:
        """Export variables, and unset those whose value is `None`."""
        for name, value in changes.items():
            change = f"unset {quote(name)}" if value is None else f"export {quote(name)}={quote(value)}"
            await self._write(f"\\builtin {change} 2>/dev/null")

    async def interrupt(self) -> None:
        """End the line that the shell is at. Should that have been the mark's line, another one is printed."""
        self.process.interrupt()
        if self._cell is not None:
            await self._write_mark(self._cell.number)

    async def _run(self, cell: RunningCell, line: str) -> None:
        if self.process.has_ended:
            raise EngineGoneError(self.process.describe_end())
        self._cell = cell
        await self._write(line)
        await self._write_mark(cell.number)
        await cell.over.wait()
        if cell.streams_left:
            raise EngineGoneError(self.process.describe_end())

    async def _write_mark(self, number: int) -> None:
        printed = f"\\builtin printf '\\036{self._secret}:{number} %d\\036'"
        await self._write(f'{printed} "$?" >&62; {printed} 0 >&63')

    async def _write(self, line: str) -> None:
        await self.process.write(f"{line}\n".encode(errors="replace"))

    async def _take(self, data: DataEvent) -> None:
        for name, piece in (("stdout", data.stdout), ("stderr", data.stderr)):
            for part in self._streams[name].feed(piece or b""):
                await self._tell(name, part)

    async def _tell(self, name: str, part: str | Mark) -> None:
        cell = self._cell
        if cell is None:
            return
        if isinstance(part, str):
            kind = Stdout if name == "stdout" else Stderr
            await cell.emit(kind(part, to_nanoseconds(read_clock())))
        elif part.number == cell.number:
            cell.streams_left.discard(name)
            if name == "stdout":
                cell.status = part.status
            if not cell.streams_left:
                self._cell = None
                cell.over.set()


async def start_bash(sandbox: Sandbox, cwd: str) -> BashShell:
    """Start a bash, which cannot run cells yet. Raises `RpcError`, `OSError`."""
    return BashShell(await start_process(sandbox, ProcessConfig(cmd=BASH, args=ARGUMENTS, cwd=cwd), has_stdin=True))


def quote(text: str) -> str:
    """Return a text as one word on one line of bash."""
    return f"$'{text.translate(ESCAPES)}'"
