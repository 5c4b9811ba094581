"""Reading the JSON that clients send, on all planes: whatever the bytes are, they are a body or malformed."""

from typing import TypeVar

import msgspec

Body = TypeVar("Body", bound=msgspec.Struct)


class MalformedBody(Exception):
    """The bytes are not JSON, or not the JSON that was asked for. The message names the field that is wrong."""


def decode_body(body: bytes, kind: type[Body]) -> Body:
    """Read JSON; no body is an empty object. Raises `MalformedBody`."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"not a {kind.__name__}: {error}") from error
    except RecursionError as error:  # msgspec looks into what it passes over, too
        raise MalformedBody(f"not a {kind.__name__}: it is nested too deeply") from error
