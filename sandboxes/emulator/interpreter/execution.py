"""One cell on its way through a context: its code, the lines it produces, and whether anybody still wants them."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import anyio

from sandboxes.emulator.interpreter.outputs import Line

LINES_BUFFERED_MAX = 64
"""A client that reads slowly slows the cell's output down instead of filling the server's memory."""

Emit = Callable[[Line], Awaitable[None]]


class Execution:
    """A cell that waits, runs or is over."""

    def __init__(self, code: str, variables: Mapping[str, str]) -> None:
        self.code = code
        self.variables = variables
        self._send, self.lines = anyio.create_memory_object_stream[Line](LINES_BUFFERED_MAX)
        self._abandoned = anyio.Event()

    @property
    def is_abandoned(self) -> bool:
        """Whether the client has hung up."""
        return self._abandoned.is_set()

    async def wait_abandoned(self) -> None:
        """Wait until the client hangs up."""
        await self._abandoned.wait()

    async def emit(self, line: Line) -> None:
        """Tell the client a line, if it still listens."""
        with suppress(anyio.BrokenResourceError):
            await self._send.send(line)

    def finish(self) -> None:
        """Let the lines end."""
        self._send.close()

    def abandon(self) -> None:
        """Say that nobody reads the lines any more; a running cell is then interrupted, as at E2B."""
        self.lines.close()
        self._abandoned.set()


async def ignore_line(_line: Line) -> None:
    """Drop what a cell says that nobody asked for."""
