"""The part of Jupyter's messages that cells need, and what each means to a client.

See https://jupyter-client.readthedocs.io/en/stable/messaging.html. A kernel's user can send anything through it, so
every message is checked; what is not as it should be is dropped.
"""

import calendar
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from sandboxes.emulator.interpreter.outputs import (
    Error,
    Line,
    NumberOfExecutions,
    Stderr,
    Stdout,
    make_result,
)

Content = TypeVar("Content", bound=msgspec.Struct)


class Header(msgspec.Struct):
    """What a message is and when it was sent."""

    msg_type: str
    date: datetime


class ParentHeader(msgspec.Struct):
    """Which request a message answers."""

    msg_id: str = ""


class KernelMessage(msgspec.Struct):
    """A message from a kernel."""

    header: Header
    parent_header: ParentHeader
    content: dict[str, object]

    @property
    def is_idle(self) -> bool:
        """Whether it says that all about a request is said."""
        return self.header.msg_type == "status" and self.content.get("execution_state") == "idle"


class StreamContent(msgspec.Struct):
    """Text that was printed."""

    name: str
    text: str


class DisplayContent(msgspec.Struct):
    """Something displayed, by MIME types."""

    data: dict[str, object]


class ErrorContent(msgspec.Struct):
    """An exception that ended a cell."""

    ename: str
    evalue: str
    traceback: list[str]


class InputContent(msgspec.Struct):
    """The start of a cell."""

    execution_count: int


def translate(message: KernelMessage) -> Line | None:
    """Return the line that a message becomes, `None` for one that clients do not see. Raises `msgspec` errors."""
    match message.header.msg_type:
        case "stream":
            stream = read(message, StreamContent)
            kind = Stdout if stream.name == "stdout" else Stderr
            return kind(stream.text, to_nanoseconds(message.header.date))
        case "display_data":
            return make_result(read(message, DisplayContent).data, is_main=False)
        case "execute_result":
            return make_result(read(message, DisplayContent).data, is_main=True)
        case "error":
            error = read(message, ErrorContent)
            return Error(error.ename, error.evalue, "".join(error.traceback))
        case "execute_input":
            return NumberOfExecutions(read(message, InputContent).execution_count)
    return None


def read(message: KernelMessage, kind: type[Content]) -> Content:
    """Return a message's content."""
    return msgspec.convert(message.content, kind)


def to_nanoseconds(moment: datetime) -> int:
    """Return a moment as nanoseconds since 1970, without the rounding of a float."""
    return (calendar.timegm(moment.astimezone(UTC).timetuple()) * 1_000_000 + moment.microsecond) * 1000
