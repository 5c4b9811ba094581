"""Archives of files for builds: where clients send them, and which are here already.

A client names an archive by the hash of what is in it, asks whether it is here, and sends it if not. The address to
send to is its own secret, because clients send no API key there - at E2B it belongs to another service.
"""

import tempfile
from collections import OrderedDict
from pathlib import Path

import anyio
from aiohttp import web

from sandboxes.emulator.envd.os_errors import explain_os_error
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.ids import make_token
from sandboxes.emulator.templates.build_steps import HASH_PATTERN

ARCHIVE_BYTES_MAX = 4 * 1024**3
TOKENS_KEPT_MAX = 10_000


class BuildArchives:
    """The archives in one directory, each named by its hash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tokens: OrderedDict[str, str] = OrderedDict()

    def find(self, files_hash: str) -> Path | None:
        """Return where an archive lies."""
        path = self._directory / files_hash
        return path if HASH_PATTERN.fullmatch(files_hash) and path.is_file() else None

    def expect(self, files_hash: str) -> str:
        """Return a secret by which an archive may be sent. Raises `ApiError` (400) for what is no hash."""
        if not HASH_PATTERN.fullmatch(files_hash):
            raise ApiError(400, f"files hash {files_hash!r} is not a SHA-256 in lower-case hex")
        token = make_token()
        self._tokens[token] = files_hash
        if len(self._tokens) > TOKENS_KEPT_MAX:
            self._tokens.popitem(last=False)
        return token

    async def receive(self, token: str, request: web.BaseRequest) -> None:
        """Store what a client sends; it is there when it is complete. Raises `ApiError` (403, 413, 507)."""
        files_hash = self._tokens.get(token)
        if files_hash is None:
            raise ApiError(403, "the address is not known or too old: ask for another one")
        handle, name = tempfile.mkstemp(prefix="incoming-", dir=self._directory)
        incoming = anyio.Path(name)
        try:
            await write_body(request, handle)
            await incoming.replace(self._directory / files_hash)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise  # the client is gone, and no file is at fault
            raise ApiError(explain_os_error(error).status, f"the archive was not stored: {error.strerror}") from error
        finally:
            with anyio.CancelScope(shield=True):
                await incoming.unlink(missing_ok=True)


async def write_body(request: web.BaseRequest, handle: int) -> None:
    """Write a request's body to a file piece by piece. Raises `ApiError` (413) if it is too long."""
    size = 0
    async with await anyio.open_file(handle, "wb") as file:
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > ARCHIVE_BYTES_MAX:
                raise ApiError(413, f"the archive is longer than {ARCHIVE_BYTES_MAX} bytes: copy fewer files")
            await file.write(chunk)
        await file.flush()
    if request.content_length is not None and size != request.content_length:
        raise ApiError(400, f"the archive has {size} bytes instead of {request.content_length}: send it again")
