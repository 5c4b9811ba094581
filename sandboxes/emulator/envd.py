"""envd, the daemon that E2B runs on port 49983 of each sandbox: who may call it, and which call goes where."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from sandboxes.emulator import files_http, filesystem_rpc, process_rpc
from sandboxes.emulator.errors import ApiError, RpcError
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.sandbox import Sandbox

Handler = Callable[[web.BaseRequest, Sandbox], Awaitable[web.StreamResponse]]

CALLS: dict[str, Handler] = {
    **{f"/process.Process/{name}": method for name, method in process_rpc.METHODS.items()},
    **{f"/filesystem.Filesystem/{name}": method for name, method in filesystem_rpc.METHODS.items()},
}
SERVICES = ("/process.Process/", "/filesystem.Filesystem/")


async def handle(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Answer a request to a sandbox's daemon. Raises `EmulatorError`."""
    if request.method == "GET" and request.path == "/health":
        return web.Response(status=204)
    if not tokens_match(sandbox.envd_token, request.headers.get("X-Access-Token", "")):
        raise ApiError(401, "X-Access-Token is missing or not this sandbox's: use envdAccessToken of its creation")
    return await choose_handler(request)(request, sandbox)


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
        case ("GET", "/envs"):
            return show_environment
    message = f"{request.method} {request.path} is not implemented by the embedded server"
    if request.path.startswith(SERVICES):
        raise RpcError("unimplemented", message)
    raise ApiError(501, message)


async def show_environment(_request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Return the variables that the sandbox was created with."""
    body = msgspec.json.encode(dict(sandbox.spec.environment))
    return web.Response(body=body, content_type="application/json")
