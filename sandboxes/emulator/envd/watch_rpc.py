"""The calls by which clients hear of changes in a directory: a stream (the async SDK), or a watcher that they ask."""

import anyio
from aiohttp import web

from sandboxes.emulator.envd import connect
from sandboxes.emulator.envd.filesystem_messages import (
    CreateWatcherResponse,
    WatcherEventsResponse,
    WatcherRequest,
    WatchEvent,
    WatchRequest,
)
from sandboxes.emulator.envd.keepalive import read_keepalive_s
from sandboxes.emulator.envd.os_errors import explain_os_error
from sandboxes.emulator.envd.process_messages import Empty
from sandboxes.emulator.envd.users import paths_of_call
from sandboxes.emulator.envd.watchers import EventSource, open_source
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox

START_FRAME = connect.frame_message(WatchEvent(start=Empty()))
KEEPALIVE_FRAME = connect.frame_message(WatchEvent(keepalive=Empty()))


async def watch_dir(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Stream what changes in a directory until the client leaves or its deadline passes."""
    message = await connect.read_single_frame(request, WatchRequest)
    timeout_s = connect.read_timeout_s(request)
    source = await open_watch(message, request, sandbox=sandbox)
    error = RpcError("deadline_exceeded", "context deadline exceeded")
    try:
        response = await connect.open_stream(request)
        await response.write(START_FRAME)
        with anyio.move_on_after(timeout_s):
            error = await copy_events(source, response, keepalive_s=read_keepalive_s(request))
    finally:
        source.close()
    await response.write(connect.frame_end(error))
    return response


async def create_watcher(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Begin to keep what changes in a directory."""
    message = await connect.read_call(request, WatchRequest)
    source = await open_watch(message, request, sandbox=sandbox)
    return connect.reply(CreateWatcherResponse(sandbox.watchers.add(source)))


async def get_watcher_events(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Return what changed since the last call."""
    message = await connect.read_call(request, WatcherRequest)
    return connect.reply(WatcherEventsResponse(sandbox.watchers.find(message.watcher_id).take()))


async def remove_watcher(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """End a watcher."""
    message = await connect.read_call(request, WatcherRequest)
    sandbox.watchers.remove(message.watcher_id)
    return connect.reply(Empty())


METHODS = {
    "WatchDir": watch_dir,
    "CreateWatcher": create_watcher,
    "GetWatcherEvents": get_watcher_events,
    "RemoveWatcher": remove_watcher,
}


async def open_watch(message: WatchRequest, request: web.BaseRequest, *, sandbox: Sandbox) -> EventSource:
    """Watch a directory, and say what an error of the system means to the client."""
    try:
        return await open_source(paths_of_call(request, sandbox), message)
    except OSError as error:
        raise RpcError(explain_os_error(error).code, f"the directory cannot be watched: {error.strerror}") from error


async def copy_events(source: EventSource, response: web.StreamResponse, *, keepalive_s: float) -> RpcError:
    """Write events as they come, and a keepalive whenever none came for a while; return what ended it."""
    while True:
        with anyio.move_on_after(keepalive_s) as patience:
            await anyio.wait_readable(source.fileno())
        if patience.cancelled_caught:
            await response.write(KEEPALIVE_FRAME)
            continue
        try:
            events = source.read()
        except RpcError as error:
            return error
        if events:
            await response.write(b"".join(connect.frame_message(WatchEvent(filesystem=event)) for event in events))
