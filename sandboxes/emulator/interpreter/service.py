"""The HTTP server that E2B runs on port 49999 of a sandbox: cells in, their output out as it comes.

As at E2B only the traffic token guards it: the client sends `X-Access-Token` with cells but not with the other calls,
and E2B's server passes it on to envd for the sandbox's variables, which are known here. A client that hangs up
interrupts its cell, so that the next one need not wait for it; there are no other deadlines. Programs inside the
sandbox do not find the port: it is answered by the embedded server itself.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

import anyio
import msgspec
from aiohttp import web
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import HOME
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.interpreter.context import Context
from sandboxes.emulator.interpreter.errors import InterpreterError
from sandboxes.emulator.interpreter.execution import Execution
from sandboxes.emulator.interpreter.kernel_sockets import KernelSockets
from sandboxes.emulator.interpreter.languages import choose_language
from sandboxes.emulator.interpreter.launcher import EngineLauncher
from sandboxes.emulator.interpreter.outputs import EndOfExecution, KeepAlive, encode_line, shift_time
from sandboxes.emulator.interpreter.sandbox_contexts import SandboxContexts
from sandboxes.emulator.json_bodies import MalformedBody, decode_body
from sandboxes.emulator.ports.proxy import require_traffic_token

INTERPRETER_PORT = 49999
TEMPLATE = "code-interpreter-v1"
KEEPALIVE_S = 5.0
BODY_BYTES_MAX = 16 * 1024 * 1024

Body = TypeVar("Body", bound=msgspec.Struct)


class ExecuteRequest(msgspec.Struct):
    """The body of `/execute`."""

    code: str
    context_id: str | None = None
    language: str | None = None
    env_vars: dict[str, str] | None = None


class NewContext(msgspec.Struct):
    """The body of `POST /contexts`."""

    language: str | None = None
    cwd: str | None = None


class CodeInterpreter:
    """Port 49999 of all sandboxes of a server."""

    def __init__(self, sockets: KernelSockets, *, tasks: TaskGroup) -> None:
        """The sockets must outlive the tasks."""
        self._launcher = EngineLauncher(sockets, tasks=tasks)
        self._tasks = tasks
        self._sandboxes: dict[str, SandboxContexts] = {}

    async def handle(self, request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
        """Answer a request. Raises `ProxyError` without the sandbox's traffic token."""
        require_traffic_token(request, sandbox)
        try:
            return await self._route(request, self._enter(sandbox))
        except (InterpreterError, RpcError) as error:
            return web.Response(status=error.status, text=str(error))

    async def _route(self, request: web.BaseRequest, contexts: SandboxContexts) -> web.StreamResponse:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["health"]:
                return reply("OK")
            case "POST", ["execute"]:
                return await self._execute(request, contexts)
            case "GET", ["contexts"]:
                return reply(contexts.list_all())
            case "POST", ["contexts"]:
                wish = await read_body(request, NewContext)
                return reply(await contexts.create(choose_language(wish.language), wish.cwd or HOME))
            case "DELETE", ["contexts", context_id]:
                await contexts.remove(context_id)
                return reply(None)
            case "POST", ["contexts", context_id, "restart"]:
                await contexts.restart(context_id)
                return reply(None)
        raise InterpreterError(404, f"{request.method} {request.path} is no call of the code interpreter")

    async def _execute(self, request: web.BaseRequest, contexts: SandboxContexts) -> web.StreamResponse:
        wish = await read_body(request, ExecuteRequest)
        context = choose_context(wish, contexts)
        execution = Execution(wish.code, require_variables(wish.env_vars or {}))
        self._tasks.start_soon(context.run, execution)
        try:
            return await stream_lines(request, execution, clock_offset=contexts.clock_offset)
        finally:
            execution.abandon()

    def _enter(self, sandbox: Sandbox) -> SandboxContexts:
        contexts = self._sandboxes.get(sandbox.id)
        if contexts is None:
            contexts = self._sandboxes[sandbox.id] = SandboxContexts(sandbox, self._launcher)
            self._tasks.start_soon(self._forget_when_gone, sandbox)
        return contexts

    async def _forget_when_gone(self, sandbox: Sandbox) -> None:
        await sandbox.gone.wait()
        del self._sandboxes[sandbox.id]


def offers_interpreter(sandbox: Sandbox, port: int) -> bool:
    """Whether a port of a sandbox is the code interpreter's."""
    return port == INTERPRETER_PORT and sandbox.spec.template.origin == TEMPLATE


def choose_context(wish: ExecuteRequest, contexts: SandboxContexts) -> Context:
    """Return the context that a cell is for. Raises `InterpreterError`."""
    if wish.context_id and wish.language:
        raise InterpreterError(400, "Only one of context_id or language can be provided")
    if wish.context_id:
        return contexts.find(wish.context_id)
    return contexts.find_default(choose_language(wish.language))


def require_variables(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables. Raises `InterpreterError` (400) for what no environment can hold."""
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name + value:
            raise InterpreterError(400, f"{name!r} cannot be set: a variable has a name without '=', and no null byte")
    return variables


async def stream_lines(
    request: web.BaseRequest, execution: Execution, *, clock_offset: timedelta
) -> web.StreamResponse:
    """Write a cell's lines as they come, and one that says nothing whenever none came for a while."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    while True:
        with anyio.move_on_after(KEEPALIVE_S) as patience:
            try:
                line = await execution.lines.receive()
            except anyio.EndOfStream:
                break
        await response.write(encode_line(KeepAlive() if patience.cancelled_caught else shift_time(line, clock_offset)))
    await response.write(encode_line(EndOfExecution()))
    return response


async def read_body(request: web.BaseRequest, kind: type[Body]) -> Body:
    """Read a request's JSON. Raises `InterpreterError` (413, 422)."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise InterpreterError(413, f"the request is longer than {BODY_BYTES_MAX} bytes: pass data as files")
    try:
        return decode_body(bytes(body), kind)
    except MalformedBody as error:
        raise InterpreterError(422, f"the request is {error}") from error


def reply(answer: object) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
