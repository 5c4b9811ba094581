"""The lines of the answer to `/execute`: one JSON object each, told apart by `type`.

The fields are those of E2B's server: absent ones are left out, a text in quotes loses them, a traceback is its parts
joined. `timestamp` is what the client documents: nanoseconds since 1970.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

import msgspec

MAIN_FORMATS = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "javascript": "application/javascript",
}
"""The formats that are texts; binary ones come as base64."""
STRUCTURED_FORMATS = {"json": "application/json", "data": "e2b/data", "chart": "e2b/chart"}
QUOTES = ("'", '"')


class Line(msgspec.Struct, tag_field="type", omit_defaults=True):
    """Any line."""


class Stdout(Line, tag="stdout"):
    """A piece of standard output."""

    text: str
    timestamp: int


class Stderr(Line, tag="stderr"):
    """A piece of standard error."""

    text: str
    timestamp: int


class Result(Line, tag="result", kw_only=True):
    """The value of the last expression, or something displayed, in all formats it has."""

    is_main_result: bool
    extra: dict[str, object]
    text: str | None = None
    html: str | None = None
    markdown: str | None = None
    svg: str | None = None
    png: str | None = None
    jpeg: str | None = None
    pdf: str | None = None
    latex: str | None = None
    javascript: str | None = None
    json: object = None
    data: object = None
    chart: object = None


class Error(Line, tag="error"):
    """Why the cell did not reach its end."""

    name: str
    value: str
    traceback: str = msgspec.field(default_factory=str)


class NumberOfExecutions(Line, tag="number_of_executions"):
    """The cell's number in its context."""

    execution_count: int


class KeepAlive(Line, tag="keepalive"):
    """Nothing happened for a while; a client that is gone is noticed by writing to it."""


class EndOfExecution(Line, tag="end_of_execution"):
    """Nothing follows."""


def make_result(bundle: Mapping[str, object], *, is_main: bool) -> Result:
    """Return a result from what a kernel displays: values by their MIME types."""
    texts = {field: as_text(bundle[mime]) for field, mime in MAIN_FORMATS.items() if bundle.get(mime) is not None}
    if "text" in texts:
        texts["text"] = strip_quotes(texts["text"])
    known = {*MAIN_FORMATS.values(), *STRUCTURED_FORMATS.values()}
    return Result(
        is_main_result=is_main,
        extra={mime: value for mime, value in bundle.items() if mime not in known},
        json=bundle.get(STRUCTURED_FORMATS["json"]),
        data=bundle.get(STRUCTURED_FORMATS["data"]),
        chart=bundle.get(STRUCTURED_FORMATS["chart"]),
        **texts,
    )


def as_text(value: object) -> str:
    """Return a text as it is, and what should have been one as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def strip_quotes(text: str) -> str:
    """Return the text of a string's representation, as E2B shows it."""
    return text[1:-1] if any(text.startswith(quote) and text.endswith(quote) for quote in QUOTES) else text


def shift_time(line: Line, clock_offset: timedelta) -> Line:
    """Return a line as a clock that is wrong by so much stamps it."""
    if not clock_offset or not isinstance(line, Stdout | Stderr):
        return line
    return msgspec.structs.replace(line, timestamp=line.timestamp + int(clock_offset.total_seconds() * 1e9))


def encode_line(line: Line) -> bytes:
    """Return a line's bytes."""
    try:
        return msgspec.json.encode(line) + b"\n"
    except (UnicodeEncodeError, OverflowError):
        # Half a surrogate pair is no UTF-8 but can be escaped, and JSON's numbers have no bounds.
        return json.dumps(msgspec.to_builtins(line)).encode() + b"\n"
