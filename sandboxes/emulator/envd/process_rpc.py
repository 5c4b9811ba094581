"""The calls of envd's `process.Process` service: messages in, calls to the process table, messages and streams out."""

import signal

import anyio
from aiohttp import web
from anyio.streams.memory import MemoryObjectReceiveStream

from sandboxes.emulator.envd import connect
from sandboxes.emulator.envd.keepalive import read_keepalive_s
from sandboxes.emulator.envd.process_messages import (
    CloseStdinRequest,
    ConnectRequest,
    Empty,
    EventMessage,
    ListResponse,
    ProcessEvent,
    ProcessInput,
    SendInputRequest,
    SendSignalRequest,
    StartEvent,
    StartRequest,
    StreamInputRequest,
    TerminalSize,
    UpdateRequest,
)
from sandboxes.emulator.envd.users import read_basic_user
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.processes.processes import Process

KEEPALIVE_FRAME = connect.frame_message(EventMessage(ProcessEvent(keepalive=Empty())))
SIGNALS = {"SIGNAL_SIGTERM": signal.SIGTERM, "SIGNAL_SIGKILL": signal.SIGKILL}
FRAMES_JOINED_MAX = 64


async def start(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Start a command and stream its events. The caller's deadline kills the command; its leaving does not."""
    message = await connect.read_single_frame(request, StartRequest)
    timeout_s = connect.read_timeout_s(request)
    process = await sandbox.processes.start(message, read_basic_user(request))
    frames = process.listeners.add()
    if timeout_s is not None:
        process.limit(timeout_s)
    return await stream_events(request, process, frames=frames, timeout_s=timeout_s)


async def follow(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Stream the events of a command that was started before (`Connect`). The deadline ends the stream only."""
    message = await connect.read_single_frame(request, ConnectRequest)
    timeout_s = connect.read_timeout_s(request)
    process = sandbox.processes.find(message.process)
    return await stream_events(request, process, frames=process.listeners.add(), timeout_s=timeout_s)


async def list_processes(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """List the running commands."""
    await connect.read_call(request, Empty)
    return connect.reply(ListResponse(processes=sandbox.processes.list_running()))


async def send_input(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Write to a command's standard input."""
    message = await connect.read_call(request, SendInputRequest)
    await write_input(sandbox.processes.find_running(message.process), message.input)
    return connect.reply(Empty())


async def stream_input(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Write a client's stream of messages, in their order, to a command's standard input."""
    process: Process | None = None
    async for message in connect.read_frames(request, StreamInputRequest):
        if message.start is not None:
            process = sandbox.processes.find_running(message.start.process)
        elif message.data is not None:
            if process is None:
                raise RpcError("invalid_argument", "input came before its start: name the process first")
            await write_input(process, message.data.input)
    response = await connect.open_stream(request)
    await response.write(connect.frame_message(Empty()) + connect.frame_end())
    return response


async def send_signal(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Send SIGTERM or SIGKILL to a command's leader; its children are not touched."""
    message = await connect.read_call(request, SendSignalRequest)
    if message.signal not in SIGNALS:
        raise RpcError("invalid_argument", f"signal {message.signal!r} is unknown: use one of {sorted(SIGNALS)}")
    sandbox.processes.find_running(message.process).signal(SIGNALS[message.signal])
    return connect.reply(Empty())


async def close_stdin(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Let a command's standard input end."""
    message = await connect.read_call(request, CloseStdinRequest)
    await sandbox.processes.find_running(message.process).close_stdin()
    return connect.reply(Empty())


async def update(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Give a command's terminal another size."""
    message = await connect.read_call(request, UpdateRequest)
    process = sandbox.processes.find_running(message.process)
    if message.pty is not None:
        process.resize(message.pty.size or TerminalSize())
    return connect.reply(Empty())


METHODS = {
    "Start": start,
    "Connect": follow,
    "List": list_processes,
    "SendInput": send_input,
    "StreamInput": stream_input,
    "SendSignal": send_signal,
    "CloseStdin": close_stdin,
    "Update": update,
}


async def stream_events(
    request: web.BaseRequest,
    process: Process,
    *,
    frames: MemoryObjectReceiveStream[bytes],
    timeout_s: float | None,
) -> web.StreamResponse:
    """Write a command's events until it ends: the start first, then output, then the end or `deadline_exceeded`."""
    with frames:
        response = await connect.open_stream(request)
        await response.write(connect.frame_message(EventMessage(ProcessEvent(start=StartEvent(process.number)))))
        with anyio.move_on_after(timeout_s) as limit:
            await copy_frames(frames, response, keepalive_s=read_keepalive_s(request))
    if limit.cancelled_caught or (timeout_s is not None and process.is_overdue):
        error = RpcError("deadline_exceeded", "context deadline exceeded")
        await response.write(connect.frame_end(error))
    else:
        await response.write(connect.frame_message(EventMessage(ProcessEvent(end=process.end))) + connect.frame_end())
    return response


async def copy_frames(
    frames: MemoryObjectReceiveStream[bytes], response: web.StreamResponse, *, keepalive_s: float
) -> None:
    """Write frames as they come, and a keepalive whenever none came for a while."""
    while True:
        with anyio.move_on_after(keepalive_s) as patience:
            try:
                chunk = await receive_joined(frames)
            except anyio.EndOfStream:
                return
        await response.write(KEEPALIVE_FRAME if patience.cancelled_caught else chunk)


async def receive_joined(frames: MemoryObjectReceiveStream[bytes]) -> bytes:
    """Wait for a frame, and take those that wait behind it: one write instead of many."""
    joined = [await frames.receive()]
    while len(joined) < FRAMES_JOINED_MAX:
        try:
            joined.append(frames.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            break
    return b"".join(joined)


async def write_input(process: Process, given: ProcessInput) -> None:
    """Write to a command's pipe or terminal, whichever the message is for. Raises `RpcError`."""
    if given.stdin is not None:
        await process.write_stdin(given.stdin)
    elif given.pty is not None:
        await process.write_terminal(given.pty)
    else:
        raise RpcError("invalid_argument", "the message holds neither stdin nor pty: send one of them")
