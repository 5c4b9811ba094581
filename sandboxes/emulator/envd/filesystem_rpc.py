"""The calls of envd's `filesystem.Filesystem` service: each runs one function of `filesystem.py` in a thread.

Watching has its own module, `watch_rpc.py`.
"""

from collections.abc import Callable
from typing import TypeVar

import anyio
from aiohttp import web

from sandboxes.emulator.envd import connect, filesystem, watch_rpc
from sandboxes.emulator.envd.filesystem_messages import (
    EntryResponse,
    ListDirRequest,
    ListDirResponse,
    MoveRequest,
    PathRequest,
)
from sandboxes.emulator.envd.os_errors import explain_os_error
from sandboxes.emulator.envd.process_messages import Empty
from sandboxes.emulator.envd.users import paths_of_call
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox

Result = TypeVar("Result")


async def stat(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Describe an entry."""
    message = await connect.read_call(request, PathRequest)
    paths = paths_of_call(request, sandbox)
    return connect.reply(EntryResponse(await run(lambda: filesystem.stat_entry(paths, message.path))))


async def make_dir(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Make a directory."""
    message = await connect.read_call(request, PathRequest)
    paths = paths_of_call(request, sandbox)
    return connect.reply(EntryResponse(await run(lambda: filesystem.make_directory(paths, message.path))))


async def move(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Move an entry."""
    message = await connect.read_call(request, MoveRequest)
    paths = paths_of_call(request, sandbox)
    entry = await run(lambda: filesystem.move_entry(paths, message.source, destination=message.destination))
    return connect.reply(EntryResponse(entry))


async def list_dir(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """List a directory."""
    message = await connect.read_call(request, ListDirRequest)
    paths = paths_of_call(request, sandbox)
    entries = await run(lambda: filesystem.list_directory(paths, message.path, depth=message.depth))
    return connect.reply(ListDirResponse(entries))


async def remove(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Remove an entry."""
    message = await connect.read_call(request, PathRequest)
    paths = paths_of_call(request, sandbox)
    await run(lambda: filesystem.remove_entry(paths, message.path))
    return connect.reply(Empty())


METHODS = {
    "Stat": stat,
    "MakeDir": make_dir,
    "Move": move,
    "ListDir": list_dir,
    "Remove": remove,
    **watch_rpc.METHODS,
}


async def run(operation: Callable[[], Result]) -> Result:
    """Run a blocking operation in a thread, and say what an error of the system means to the client."""
    try:
        return await anyio.to_thread.run_sync(operation)
    except OSError as error:
        raise RpcError(explain_os_error(error).code, f"the file system refused: {error.strerror}") from error
