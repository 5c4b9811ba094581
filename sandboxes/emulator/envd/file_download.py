"""`GET /files`: a file's bytes, all or a range, plain or gzipped, or the word that they have not changed."""

import mimetypes
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import anyio
from aiohttp import hdrs, web

from sandboxes.emulator.envd.content_coding import accepts_only_gzip
from sandboxes.emulator.envd.entries import moment_of
from sandboxes.emulator.envd.regular_files import open_to_read
from sandboxes.emulator.errors import ApiError

CHUNK_BYTES = 256 * 1024
CONDITIONS = (hdrs.RANGE, hdrs.IF_MODIFIED_SINCE, hdrs.IF_NONE_MATCH, hdrs.IF_RANGE)


class Part(NamedTuple):
    """The bytes to send: the first, the one after the last, and the HTTP status."""

    first: int
    last: int
    status: int


async def send_file(request: web.BaseRequest, real: Path, *, clock_offset: timedelta) -> web.StreamResponse:
    """Stream a file's bytes. Raises `ApiError`, `OSError`."""
    gzips = accepts_only_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    # As in envd, what depends on the file's own bytes is answered with those bytes.
    if any(name in request.headers for name in CONDITIONS):
        gzips = False
    with open_to_read(real) as file:
        status = os.fstat(file.fileno())
        modified = moment_of(int(status.st_mtime + clock_offset.total_seconds()))
        response = web.StreamResponse(headers=describe(real, modified))
        part = choose_part(request, status.st_size, modified=modified)
        response.set_status(part.status)
        if part.status == 304:
            return response
        if part.status == 206:
            response.headers[hdrs.CONTENT_RANGE] = f"bytes {part.first}-{part.last - 1}/{status.st_size}"
        if gzips:
            response.enable_compression(web.ContentCoding.gzip)
        else:
            response.content_length = part.last - part.first
        await response.prepare(request)
        file.seek(part.first)
        left = part.last - part.first
        while left > 0 and (chunk := await anyio.to_thread.run_sync(file.read, min(CHUNK_BYTES, left))):
            await response.write(chunk)
            left -= len(chunk)
    await response.write_eof()
    return response


def describe(real: Path, modified: datetime) -> dict[str, str]:
    """Return the headers that tell what the file is."""
    kind, coding = mimetypes.guess_type(real.name)
    return {
        hdrs.CONTENT_TYPE: kind if kind and not coding else "application/octet-stream",
        hdrs.CONTENT_DISPOSITION: f"inline; filename*=utf-8''{quote(real.name, errors='replace')}",
        hdrs.LAST_MODIFIED: format_datetime(modified, usegmt=True),
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }


def choose_part(request: web.BaseRequest, size: int, *, modified: datetime) -> Part:
    """Return what to send. Raises `ApiError` (412, 416)."""
    if request.if_unmodified_since is not None and modified > request.if_unmodified_since:
        raise ApiError(412, "the file has been modified since")
    is_asked_by_time = hdrs.IF_NONE_MATCH not in request.headers
    if is_asked_by_time and request.if_modified_since is not None and modified <= request.if_modified_since:
        return Part(0, 0, 304)
    if hdrs.IF_RANGE in request.headers and request.if_range != modified.astimezone(UTC):
        return Part(0, size, 200)
    return choose_range(request, size)


def choose_range(request: web.BaseRequest, size: int) -> Part:
    """Return the range that is asked for. Raises `ApiError` (416)."""
    try:
        wanted = request.http_range
    except ValueError as error:
        raise ApiError(416, f"the Range header is malformed: {error}") from error
    if wanted.start is None and wanted.stop is None:
        return Part(0, size, 200)
    first, last, _step = wanted.indices(size)
    if first >= last:
        raise ApiError(416, f"the range lies outside the file, which has {size} bytes")
    return Part(first, last, 206)
