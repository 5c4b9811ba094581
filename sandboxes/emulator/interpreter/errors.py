"""What can go wrong between a request and its cell.

EmulatorError
├── InterpreterError     the request is refused: a status, and the reason as plain text, as E2B's server writes it
└── EngineGoneError      the kernel or shell ended under a cell, or did not start; the cell's stream says so
"""

from sandboxes.emulator.errors import EmulatorError


class InterpreterError(EmulatorError):
    """A refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EngineGoneError(EmulatorError):
    """A kernel or a shell that is no more. The message is what it said last, if anything."""
