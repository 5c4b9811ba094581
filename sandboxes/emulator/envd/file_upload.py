"""`POST /files`: whole files in over plain HTTP, in pieces, so that size is no matter.

An upload is a form (one field `file` for each file) or the bytes themselves (`application/octet-stream`, maybe
gzipped). Bytes are written as they arrive, parents are made, an existing file is replaced.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import anyio
import msgspec
from aiohttp import hdrs, web

from sandboxes.emulator.envd.content_coding import gunzip
from sandboxes.emulator.envd.file_metadata import read_metadata_headers
from sandboxes.emulator.envd.os_errors import translate_errors
from sandboxes.emulator.envd.regular_files import open_to_write
from sandboxes.emulator.envd.users import paths_of_transfer
from sandboxes.emulator.errors import ApiError, RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths, printable
from sandboxes.emulator.fleet.sandbox import Sandbox

CHUNK_BYTES = 256 * 1024
DIRECTORY_MODE = 0o755
FILE_TYPE = "file"


class WrittenFile(msgspec.Struct, omit_defaults=True):
    """What an upload made."""

    name: str
    path: str
    type: str
    metadata: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Upload:
    """What is the same for all files of one request."""

    paths: SandboxPaths
    path: str | None
    """The path in the query, which stands for the name of a single file."""
    metadata: Mapping[str, str]


async def upload(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Store one or more files."""
    wish = Upload(
        paths_of_transfer(request.query.get("username"), sandbox),
        request.query.get("path"),
        read_metadata_headers(request.headers),
    )
    if request.content_type == "application/octet-stream":
        written = [await translate_errors(lambda: store_bytes(request, wish))]
    elif request.content_type.startswith("multipart/"):
        written = await translate_errors(lambda: store_form(request, wish))
    else:
        raise ApiError(
            400,
            f"unsupported content type: {request.content_type}, "
            "expected multipart/form-data or application/octet-stream",
        )
    return web.Response(body=msgspec.json.encode(written), content_type="application/json")


async def store_form(request: web.BaseRequest, wish: Upload) -> list[WrittenFile]:
    """Store every field `file` of a form."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise ApiError(400, "a compressed form is not supported: send the file's bytes as application/octet-stream")
    written: dict[str, WrittenFile] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, aiohttp.BodyPartReader):
                raise ApiError(400, "a form within a form is not supported: send files only")
            if part.name != "file":
                continue
            path = wish.path if wish.path is not None else read_filename(part)
            name = wish.paths.name(locate(wish.paths, path))
            if name in written:
                raise ApiError(400, f"you cannot upload multiple files to the same path '{name}' in one upload request")
            written[name] = await store(wish, path, chunks=read_part(part))
    except (ValueError, aiohttp.ClientPayloadError, aiohttp.http_exceptions.BadHttpMessage) as error:
        raise ApiError(400, f"error reading form: {error}") from error
    return list(written.values())


async def store_bytes(request: web.BaseRequest, wish: Upload) -> WrittenFile:
    """Store the request's body."""
    if wish.path is None:
        raise ApiError(400, "path query parameter is required for raw body upload")
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise ApiError(400, f"unsupported Content-Encoding: {encoding}, supported: gzip")
    chunks: AsyncIterator[bytes] = request.content.iter_any()
    return await store(wish, wish.path, chunks=gunzip(chunks) if encoding == "gzip" else chunks)


async def store(wish: Upload, path: str, *, chunks: AsyncIterator[bytes]) -> WrittenFile:
    """Write a file piece by piece."""
    real = locate(wish.paths, path)
    if await anyio.Path(real).is_dir():
        raise ApiError(400, f"path is a directory: {path}: name a file")
    if await anyio.Path(real).exists() and not await anyio.Path(real).is_file():
        raise ApiError(400, f"path is not a regular file: {path}: name another one")  # a pipe would block for ever
    await anyio.Path(real.parent).mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    with open_to_write(real) as file:
        async for chunk in chunks:
            await anyio.to_thread.run_sync(file.write, chunk)
        file.flush()
        wish.paths.metadata.replace(file.fileno(), wish.metadata)
    return WrittenFile(printable(real.name), wish.paths.name(real), FILE_TYPE, metadata=wish.paths.metadata.read(real))


async def read_part(part: aiohttp.BodyPartReader) -> AsyncIterator[bytes]:
    """Yield the bytes of one field of a form."""
    while chunk := await part.read_chunk(CHUNK_BYTES):
        yield chunk


def read_filename(part: aiohttp.BodyPartReader) -> str:
    """Return a part's filename as it was sent: aiohttp's own reading drops directories."""
    match = re.search(r'filename="([^"]*)"', part.headers.get(hdrs.CONTENT_DISPOSITION, ""))
    if match is None or not match.group(1):
        raise ApiError(400, "a part of the form has no filename: it is the file's path")
    return unquote(match.group(1)) if "%22" in match.group(1) else match.group(1)


def locate(paths: SandboxPaths, path: str) -> Path:
    """Return the real path. Raises `ApiError` (400, 403) for one outside the sandbox, or that is none."""
    try:
        return paths.locate(path)
    except RpcError as error:
        raise ApiError(error.status, str(error)) from error
