"""The server's ends of what a command reads and writes: pipes (`children.py`) or a terminal (`terminals.py`)."""

import enum
import io
from collections.abc import Sequence
from typing import Protocol


class OutputKind(enum.Enum):
    """Where a command's output comes from."""

    STDOUT = enum.auto()
    STDERR = enum.auto()
    TERMINAL = enum.auto()


class Streams(Protocol):
    """What a child's streams have in common. None of them blocks."""

    @property
    def stdin(self) -> io.FileIO | None:
        """The pipe to the command's input, if it has one."""

    def outputs(self) -> Sequence[tuple[OutputKind, io.FileIO]]:
        """Return what is to be read."""

    def inputs(self) -> Sequence[io.FileIO]:
        """Return what can be written to at this moment."""

    def close(self) -> None:
        """Close all."""
