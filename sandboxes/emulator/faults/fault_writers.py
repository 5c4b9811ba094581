"""Writers that send less than they are given: how an answer is lost, cut off, or robbed of its last event.

They take the place of the writer that a request came with, before anything is written. aiohttp has no public way to
do that, so `replace_writer` reaches into the request; `test_emulator_faults_envd.py` would notice if it moved.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from aiohttp import hdrs, web
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from sandboxes.emulator.envd.connect import HEADER, STREAM_CONTENT_TYPE
from sandboxes.emulator.faults.plan import StreamCut

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER, on and of no length: closing sends a reset."""
Bytes: TypeAlias = "bytes | bytearray | memoryview[int] | memoryview[bytes]"


class FaultWriter(StreamWriter):
    """A writer made for one request; it begins where that request's own has not begun yet."""

    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__(request.protocol, asyncio.get_running_loop())
        self._request = request

    def install(self) -> None:
        """Take the place of the request's writer."""
        self._request._payload_writer = self


class SilentWriter(FaultWriter):
    """Sends nothing."""

    async def write(self, chunk: Bytes, *, drain: bool = True, LIMIT: int = 0) -> None:  # noqa: N803 - aiohttp's
        """Forget a piece of the answer."""

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Forget the end of the answer."""

    def send_headers(self) -> None:
        """Forget the head."""

    def set_eof(self) -> None:
        """Forget that there is no body."""

    async def drain(self) -> None:
        """There is nothing to wait for."""


class CuttingWriter(FaultWriter):
    """Sends the first message of a stream, or half of the first piece of anything else, and cuts after a while."""

    def __init__(self, request: web.BaseRequest, fault: StreamCut, *, on_cut: Callable[[], None]) -> None:
        super().__init__(request)
        self._fault = fault
        self._on_cut = on_cut
        self._timer: asyncio.TimerHandle | None = None
        self._is_stream = request.content_type == STREAM_CONTENT_TYPE
        self._is_upgrade = hdrs.UPGRADE in request.headers

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None:
        """Send the head; a WebSocket's messages do not come this way, so that its time begins here."""
        await super().write_headers(status_line, headers)
        if self._is_upgrade:
            self._begin()

    async def write(self, chunk: Bytes, *, drain: bool = True, LIMIT: int = 0x10000) -> None:  # noqa: N803 - aiohttp's
        """Send the first piece or a part of it, then all that fits in the time."""
        await super().write(self._share(chunk), drain=drain, LIMIT=LIMIT)
        self._begin()

    async def write_eof(self, chunk: bytes = b"") -> None:
        """End a stream that has been faster; of anything else a part is missing, which the cut has to tell."""
        if chunk:
            await self.write(chunk)
        elif self._is_stream:
            if self._timer is not None:
                self._timer.cancel()
            await super().write_eof()

    def _share(self, chunk: Bytes) -> Bytes:
        return chunk if self._is_stream or self._timer is not None else chunk[: len(chunk) // 2]

    def _begin(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._fault.after_s, self._cut)

    def _cut(self) -> None:
        cut(self._request, is_hard=self._fault.is_hard)
        self._on_cut()


class EndlessWriter(FaultWriter):
    """Leaves out a command stream's last event."""

    async def write(self, chunk: Bytes, *, drain: bool = True, LIMIT: int = 0x10000) -> None:  # noqa: N803 - aiohttp's
        """Send all frames but the one that tells the command's end."""
        await super().write(drop_end_event(bytes(chunk)), drain=drain, LIMIT=LIMIT)


def drop_end_event(frames: bytes) -> bytes:
    """Return whole frames without the one that tells a command's end."""
    kept = b""
    while frames:
        flags, length = HEADER.unpack(frames[: HEADER.size])
        frame, frames = frames[: HEADER.size + length], frames[HEADER.size + length :]
        if flags or "end" not in msgspec.json.decode(frame[HEADER.size :]).get("event", {}):
            kept += frame
    return kept


def cut(request: web.BaseRequest, *, is_hard: bool) -> None:
    """End a request's connection, by a TCP reset if it is to be hard."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket") if is_hard else None
    if connection is not None and connection.fileno() >= 0:
        # A second descriptor of the same socket: what the event loop gives out does not let itself be set up.
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    transport.abort()
