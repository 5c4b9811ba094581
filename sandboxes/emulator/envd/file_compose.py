"""`POST /files/compose`: several files become one, and are gone. A large upload arrives in pieces that way."""

import os
import shutil
from pathlib import Path

import anyio
import msgspec
from aiohttp import web

from sandboxes.emulator.envd import connect
from sandboxes.emulator.envd.file_upload import FILE_TYPE, WrittenFile, locate
from sandboxes.emulator.envd.os_errors import translate_errors
from sandboxes.emulator.envd.users import paths_of_transfer
from sandboxes.emulator.errors import ApiError, RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths, printable
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.ids import make_token


class ComposeRequest(msgspec.Struct):
    """Which files become which."""

    source_paths: list[str] = []
    destination: str = ""
    username: str | None = None


async def compose(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Join files in the order in which they are named; on any failure all stays as it was."""
    try:
        wish = await connect.read_call(request, ComposeRequest)
    except RpcError as error:
        raise ApiError(400, f"invalid request body: {error}") from error
    if not wish.source_paths:
        raise ApiError(400, "source_paths must not be empty")
    if not wish.destination:
        raise ApiError(400, "destination is required")
    paths = paths_of_transfer(wish.username, sandbox)
    written = await translate_errors(lambda: anyio.to_thread.run_sync(join_files, paths, wish))
    return web.Response(body=msgspec.json.encode(written), content_type="application/json")


def join_files(paths: SandboxPaths, wish: ComposeRequest) -> WrittenFile:
    """Do it, blocking. Raises `ApiError`, `OSError`."""
    destination = locate(paths, wish.destination)
    sources = [find_source(paths, source, destination=destination) for source in wish.source_paths]
    destination.parent.mkdir(parents=True, exist_ok=True)
    # Into another file first: what is at the destination stays whole if this fails half-way.
    temporary = destination.with_name(f".{make_token()}.e2b-compose.tmp")
    try:
        with temporary.open("wb") as joined:
            for source in sources:
                with source.open("rb") as piece:
                    shutil.copyfileobj(piece, joined)
        temporary.rename(destination)
    finally:
        temporary.unlink(missing_ok=True)
    for source in sources:
        source.unlink(missing_ok=True)
    return WrittenFile(printable(destination.name), paths.name(destination), FILE_TYPE)


def find_source(paths: SandboxPaths, asked: str, *, destination: Path) -> Path:
    """Return the real path of a piece. Raises `ApiError` (400, 404)."""
    real = locate(paths, asked)
    if real == destination:
        raise ApiError(400, f'source path "{asked}" cannot be the same as destination')
    if not os.path.lexists(real):
        raise ApiError(404, f"source file not found: {asked}")
    if not real.is_file():
        raise ApiError(400, f"source path is not a regular file: {asked}")
    return real
