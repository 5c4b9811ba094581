"""envd's `/files`: one file out (`file_download.py`), files in (`file_upload.py`), files joined (`file_compose.py`)."""

import anyio
from aiohttp import web

from sandboxes.emulator.contracts import ANY_BYTES, BYTES, Contract, Media
from sandboxes.emulator.envd.file_compose import ComposeRequest, compose
from sandboxes.emulator.envd.file_download import send_file
from sandboxes.emulator.envd.file_upload import WrittenFile, locate, upload
from sandboxes.emulator.envd.os_errors import translate_errors
from sandboxes.emulator.envd.users import paths_of_transfer
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.paths import HOMES
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.parameters import TextParameter

__all__ = ["COMPOSE", "DOWNLOAD", "UPLOAD", "compose", "download", "upload"]

PATH = TextParameter(name="path", meaning="Relative paths begin at the user's home.")
USERNAME = TextParameter(name="username", meaning=f"Whose home that is: {' or '.join(HOMES)}.")
SIGNATURE = TextParameter(name="signature", meaning="Signs the address, so that no token is needed.")
EXPIRATION = TextParameter(name="signature_expiration", meaning="Until when the signature is good, in s since 1970.")
ADDRESS = (PATH, USERNAME, SIGNATURE, EXPIRATION)
FORM = Media(
    "multipart/form-data",
    {"type": "object", "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}}},
)
DOWNLOAD = Contract(
    parameters=(*ADDRESS, TextParameter(name="Range", meaning="Which bytes to send.", place="header")),
    answers={200: ANY_BYTES, 206: ANY_BYTES, 304: None},
    refuses=(403, 404, 406, 412, 416),
)
UPLOAD = Contract(
    parameters=ADDRESS,
    takes_media=(BYTES, FORM),
    answers={200: list[WrittenFile]},
    refuses=(403, 404, 409, 507),
)
COMPOSE = Contract(takes=ComposeRequest, answers={200: WrittenFile}, refuses=(403, 404, 409, 507))


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
        return await send_file(request, locate(paths, path), clock_offset=paths.clock_offset)

    return await translate_errors(open_and_send)
