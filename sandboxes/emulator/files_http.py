"""envd's `/files`: whole files in and out over plain HTTP, in pieces, so that size is no matter.

An upload is a form (one field `file` for each file) or the bytes themselves (`application/octet-stream`, maybe
gzipped). Bytes are written as they arrive, parents are made, an existing file is replaced.
"""

import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import aiohttp
import anyio
import msgspec
from aiohttp import web

from sandboxes.emulator.errors import ApiError, RpcError, explain_os_error
from sandboxes.emulator.sandbox import Sandbox

Result = TypeVar("Result")

CHUNK_BYTES = 256 * 1024
GZIP_WINDOW = 31
"""zlib's way to say: gzip format, largest window."""


class WrittenFile(msgspec.Struct):
    """What an upload made."""

    name: str
    path: str
    type: str = "file"


async def download(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Send a file, or the range of it that is asked for."""
    path = request.query.get("path", "")
    real = locate(sandbox, path)
    if not await anyio.Path(real).exists():
        raise ApiError(404, f"path '{path}' does not exist")
    if not await anyio.Path(real).is_file():
        raise ApiError(400, f"path '{path}' is not a file: list it instead")
    return await translate_errors(lambda: send_file(request, real))


async def upload(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Store one or more files."""
    if any(name.lower().startswith("x-metadata-") for name in request.headers):
        raise ApiError(501, "file metadata is not implemented by the embedded server: leave it out")
    if request.content_type == "multipart/form-data":
        written = await translate_errors(lambda: store_form(request, sandbox))
    else:
        written = [await translate_errors(lambda: store_bytes(request, sandbox))]
    return web.Response(body=msgspec.json.encode(written), content_type="application/json")


async def send_file(request: web.BaseRequest, real: Path) -> web.StreamResponse:
    """Stream a file's bytes, gzipped if the client accepts nothing else."""
    size = (await anyio.Path(real).stat()).st_size
    first, last, status = choose_range(request, size)
    response = web.StreamResponse(status=status, headers={"Accept-Ranges": "bytes"})
    response.content_type = "application/octet-stream"
    # The SDK sends exactly this when its caller asked for gzip; ordinary clients always offer it among others.
    if request.headers.get("Accept-Encoding") == "gzip":
        response.enable_compression(web.ContentCoding.gzip)
    else:
        response.content_length = last - first
    if status == 206:
        response.headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    async with await anyio.open_file(real, "rb") as file:
        await file.seek(first)
        await response.prepare(request)
        left = last - first
        while left > 0 and (chunk := await file.read(min(CHUNK_BYTES, left))):
            await response.write(chunk)
            left -= len(chunk)
    await response.write_eof()
    return response


def choose_range(request: web.BaseRequest, size: int) -> tuple[int, int, int]:
    """Return the first byte, the byte after the last, and the HTTP status. Raises `ApiError` (400, 416)."""
    try:
        wanted = request.http_range
    except ValueError as error:
        raise ApiError(400, f"the Range header is malformed: {error}") from error
    if wanted.start is None and wanted.stop is None:
        return 0, size, 200
    first, last, _step = wanted.indices(size)
    if first >= last:
        raise ApiError(416, f"the range lies outside the file, which has {size} bytes")
    return first, last, 206


async def store_form(request: web.BaseRequest, sandbox: Sandbox) -> list[WrittenFile]:
    """Store every field `file` of a form; the path of a single file may stand in the query."""
    asked = request.query.get("path")
    written: list[WrittenFile] = []
    async for part in await request.multipart():
        if not isinstance(part, aiohttp.BodyPartReader):
            raise ApiError(400, "a form within a form is not supported: send files only")
        if part.name != "file":
            continue
        if asked is not None and written:
            raise ApiError(400, "the form holds several files but the query one path: name each in its part")
        path = asked or read_filename(part)
        written.append(await store(sandbox, path, chunks=read_part(part)))
    return written


async def store_bytes(request: web.BaseRequest, sandbox: Sandbox) -> WrittenFile:
    """Store the request's body."""
    path = request.query.get("path")
    if not path:
        raise ApiError(400, "the query names no path: add ?path=")
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding not in ("identity", "gzip"):
        raise ApiError(400, f"Content-Encoding {encoding!r} is not supported: send gzip or none")
    chunks: AsyncIterator[bytes] = request.content.iter_any()
    return await store(sandbox, path, chunks=gunzip(chunks) if encoding == "gzip" else chunks)


async def store(sandbox: Sandbox, path: str, *, chunks: AsyncIterator[bytes]) -> WrittenFile:
    """Write a file piece by piece."""
    real = locate(sandbox, path)
    if await anyio.Path(real).is_dir():
        raise ApiError(400, f"path '{path}' is a directory: name a file")
    await anyio.Path(real.parent).mkdir(parents=True, exist_ok=True)
    async with await anyio.open_file(real, "wb") as file:
        async for chunk in chunks:
            await file.write(chunk)
    return WrittenFile(name=real.name, path=sandbox.paths.name(real))


async def read_part(part: aiohttp.BodyPartReader) -> AsyncIterator[bytes]:
    """Yield the bytes of one field of a form."""
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield chunk


async def gunzip(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Unpack a gzipped stream. Raises `ApiError` (400) if it is none."""
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        async for chunk in chunks:
            yield unpacker.decompress(chunk)
        yield unpacker.flush()
    except zlib.error as error:
        raise ApiError(400, f"the body is not gzip: {error}") from error


def read_filename(part: aiohttp.BodyPartReader) -> str:
    """Return a part's filename as it was sent: aiohttp's own reading drops directories."""
    match = re.search(r'filename="([^"]*)"', part.headers.get("Content-Disposition", ""))
    if match is None or not match.group(1):
        raise ApiError(400, "a part of the form has no filename: it is the file's path")
    return unquote(match.group(1)) if "%22" in match.group(1) else match.group(1)


def locate(sandbox: Sandbox, path: str) -> Path:
    """Return the real path. Raises `ApiError` (403) for one outside the sandbox."""
    try:
        return sandbox.paths.locate(path)
    except RpcError as error:
        raise ApiError(error.status, str(error)) from error


async def translate_errors(operation: Callable[[], Awaitable[Result]]) -> Result:
    """Run an operation on files, and say what an error of the system means to the client."""
    try:
        return await operation()
    except ConnectionError:
        raise  # the client is gone, and no file is at fault
    except OSError as error:
        raise ApiError(explain_os_error(error).status, f"the file system refused: {error.strerror}") from error
