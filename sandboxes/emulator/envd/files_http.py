"""envd's `/files`: one file out (`file_download.py`), files in (`file_upload.py`), files joined (`file_compose.py`)."""

import anyio
from aiohttp import web

from sandboxes.emulator.envd.file_compose import compose
from sandboxes.emulator.envd.file_download import send_file
from sandboxes.emulator.envd.file_upload import locate, upload
from sandboxes.emulator.envd.os_errors import translate_errors
from sandboxes.emulator.envd.users import paths_of_transfer
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox import Sandbox

__all__ = ["compose", "download", "upload"]


async def download(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Send a file, or the range of it that is asked for."""
    path = request.query.get("path", "")
    paths = paths_of_transfer(request.query.get("username"), sandbox)
    real = anyio.Path(locate(paths, path))

    async def open_and_send() -> web.StreamResponse:
        if not await real.exists():
            raise ApiError(404, f"path '{path}' does not exist")
        if await real.is_dir():
            raise ApiError(400, f"path '{path}' is a directory: list it instead")
        if not await real.is_file():
            raise ApiError(400, f"path '{path}' is not a regular file: read it by a command")
        return await send_file(request, locate(paths, path))

    return await translate_errors(open_and_send)
