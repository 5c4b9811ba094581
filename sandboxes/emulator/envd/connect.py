"""The Connect protocol's JSON form: bodies of single calls, and the frames of streams.

A frame is one byte of flags, four bytes of length (big-endian) and a JSON message. The frame with flag 0x02 ends a
stream and carries the error, if there is one; the HTTP status of a stream is always 200.
See https://connectrpc.com/docs/protocol.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from aiohttp import web

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.json_bodies import MalformedBody, decode_body

Message = TypeVar("Message", bound=msgspec.Struct)

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
END_OF_STREAM = 0x02
COMPRESSED = 0x01
HEADER = struct.Struct(">BI")
TIMEOUT_DIGITS_MAX = 10
"""The protocol's own limit: 115 days."""
STREAM_CONTENT_TYPE = "application/connect+json"


def frame_message(message: msgspec.Struct) -> bytes:
    """Return a message as one frame of a stream."""
    body = msgspec.json.encode(message)
    return HEADER.pack(0, len(body)) + body


def frame_end(error: RpcError | None = None) -> bytes:
    """Return the frame that ends a stream, well or with an error."""
    body = b"{}" if error is None else b'{"error":' + error.body() + b"}"
    return HEADER.pack(END_OF_STREAM, len(body)) + body


def decode_message(body: bytes, kind: type[Message]) -> Message:
    """Read a request's JSON. Raises `RpcError` (`invalid_argument`) naming the field that is wrong."""
    try:
        return decode_body(body, kind)
    except MalformedBody as error:
        raise RpcError("invalid_argument", f"the request is {error}") from error


async def read_call(request: web.BaseRequest, kind: type[Message]) -> Message:
    """Read the body of a single (unary) call."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise RpcError("unimplemented", "compressed calls are not supported: send the JSON as it is")
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        chunks += chunk
        if len(chunks) > MESSAGE_BYTES_MAX:
            raise RpcError("resource_exhausted", f"the request is longer than {MESSAGE_BYTES_MAX} bytes")
    return decode_message(bytes(chunks), kind)


async def read_frames(request: web.BaseRequest, kind: type[Message]) -> AsyncIterator[Message]:
    """Yield the messages of a client's stream, until it ends it."""
    while True:
        header = await _read_exactly(request, HEADER.size)
        if header is None:
            return
        flags, length = HEADER.unpack(header)
        if flags & COMPRESSED:
            raise RpcError("unimplemented", "compressed frames are not supported: send the JSON as it is")
        if flags & ~(COMPRESSED | END_OF_STREAM):
            raise RpcError("invalid_argument", f"a frame has the flags {flags:#04x}: 0x00 and 0x02 have a meaning")
        if length > MESSAGE_BYTES_MAX:
            raise RpcError("resource_exhausted", f"a frame of {length} bytes is over {MESSAGE_BYTES_MAX}")
        body = await _read_exactly(request, length)
        if body is None:
            raise RpcError("invalid_argument", "the stream ended within a frame")
        if flags & END_OF_STREAM:
            return
        yield decode_message(body, kind)


async def read_single_frame(request: web.BaseRequest, kind: type[Message]) -> Message:
    """Read the one message that opens a server's stream."""
    async for message in read_frames(request, kind):
        return message
    raise RpcError("invalid_argument", f"the stream holds no {kind.__name__}: send one frame")


def read_timeout_s(request: web.BaseRequest) -> float | None:
    """Return the caller's deadline (`Connect-Timeout-Ms`) in seconds, `None` for no deadline."""
    text = request.headers.get("Connect-Timeout-Ms")
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii() and len(text) <= TIMEOUT_DIGITS_MAX):
        raise RpcError("invalid_argument", f"Connect-Timeout-Ms is {text!r}: send whole milliseconds")
    return int(text) / 1000


def reply(message: msgspec.Struct) -> web.Response:
    """Answer a single call."""
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")


async def open_stream(request: web.BaseRequest) -> web.StreamResponse:
    """Begin the answer to a streaming call."""
    response = web.StreamResponse(headers={"Content-Type": STREAM_CONTENT_TYPE})
    await response.prepare(request)
    return response


async def _read_exactly(request: web.BaseRequest, size: int) -> bytes | None:
    try:
        return await request.content.readexactly(size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise RpcError("invalid_argument", "the stream ended within a frame") from error
        return None
