"""envd, the daemon that E2B runs on port 49983 of each sandbox: who may call it, and which call goes where."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from sandboxes.emulator.envd import files_http, filesystem_rpc, process_rpc
from sandboxes.emulator.envd.signatures import TOKEN_HEADER, is_signable, require_signature
from sandboxes.emulator.envd.users import read_basic_user
from sandboxes.emulator.errors import ApiError, RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.ids import tokens_match

Handler = Callable[[web.BaseRequest, Sandbox], Awaitable[web.StreamResponse]]

CALLS: dict[str, Handler] = {
    **{f"/process.Process/{name}": method for name, method in process_rpc.METHODS.items()},
    **{f"/filesystem.Filesystem/{name}": method for name, method in filesystem_rpc.METHODS.items()},
}
SERVICES = ("/process.Process/", "/filesystem.Filesystem/")
INTERNAL_PATHS = frozenset({"/collapse", "/freeze", "/fsfreeze", "/fsthaw", "/init", "/unfreeze", "/upgrade"})
"""What E2B's own control plane calls; its proxy lets nobody else through."""


async def handle(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Answer a request to a sandbox's daemon. Raises `EmulatorError`."""
    if request.path in INTERNAL_PATHS:
        message = "This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL"
        raise ApiError(404, message)
    if request.method == "GET" and request.path == "/health":
        return web.Response(status=204)
    require_access(request, sandbox)
    handler = choose_handler(request)
    read_basic_user(request)  # envd refuses an unknown user of any call, also of one that needs none
    return await handler(request, sandbox)


def require_access(request: web.BaseRequest, sandbox: Sandbox) -> None:
    """Raise `ApiError` (401) unless the request holds the sandbox's token, or is signed by it."""
    given = request.headers.get(TOKEN_HEADER, "")
    if not given and is_signable(request):
        require_signature(request, sandbox)
    elif not tokens_match(sandbox.envd_token, given):
        raise ApiError(401, "X-Access-Token is missing or not this sandbox's: use envdAccessToken of its creation")


def choose_handler(request: web.BaseRequest) -> Handler:
    """Return who answers. Raises `RpcError` or `ApiError` (501) if nobody does."""
    where = (request.method, request.path)
    match where:
        case ("POST", path) if path in CALLS:
            return CALLS[path]
        case ("GET", "/files"):
            return files_http.download
        case ("POST", "/files"):
            return files_http.upload
        case ("POST", "/files/compose"):
            return files_http.compose
        case ("GET", "/envs"):
            return show_environment
        case ("GET", "/metrics"):
            return show_metrics
    message = f"{request.method} {request.path} is not implemented by the embedded server"
    if request.path.startswith(SERVICES):
        raise RpcError("unimplemented", message)
    raise ApiError(501, message)


async def show_environment(_request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Return the variables that every command of the sandbox finds."""
    return reply(dict(sandbox.processes.environment))


async def show_metrics(_request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Return what the sandbox uses at this moment."""
    metrics = await sandbox.meter.measure(sandbox.paths.root, sandbox.processes.leaders)
    metrics.ts += int(sandbox.envd_clock_offset.total_seconds())
    return reply(metrics)


def reply(answer: object) -> web.Response:
    """Answer with JSON that nobody keeps."""
    body = msgspec.json.encode(answer)
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
