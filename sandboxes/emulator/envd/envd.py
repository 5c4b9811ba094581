"""envd, the daemon that E2B runs on port 49983 of each sandbox: who may call it, and which call goes where."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.envd import files_http, filesystem_rpc, process_rpc
from sandboxes.emulator.envd.signatures import FILES_PATH, TOKEN_HEADER, is_signable, require_signature
from sandboxes.emulator.envd.users import read_basic_user
from sandboxes.emulator.errors import ApiError, ErrorShown, ProxyErrorShown, RpcError, RpcErrorShown
from sandboxes.emulator.fleet.metrics import Metrics
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.openapi import DOCUMENT_PATH, Document, Operation, Plane, read_meaning

Handler = Callable[[web.BaseRequest, Sandbox], Awaitable[web.StreamResponse]]

CALLS: dict[str, Handler] = {
    **{f"/process.Process/{name}": method for name, method in process_rpc.METHODS.items()},
    **{f"/filesystem.Filesystem/{name}": method for name, method in filesystem_rpc.METHODS.items()},
}
SERVICES = ("/process.Process/", "/filesystem.Filesystem/")
INTERNAL_PATHS = frozenset({"/collapse", "/freeze", "/fsfreeze", "/fsthaw", "/init", "/unfreeze", "/upgrade"})
"""What E2B's own control plane calls; its proxy lets nobody else through."""


@dataclass(frozen=True, slots=True)
class PlainRoute:
    """A call that is plain HTTP, and who answers it."""

    method: str
    path: str
    handler: Handler
    contract: Contract
    is_open: bool = False
    """Whether no token is asked for."""


async def handle(request: web.BaseRequest, sandbox: Sandbox) -> web.StreamResponse:
    """Answer a request to a sandbox's daemon. Raises `EmulatorError`."""
    if request.path in INTERNAL_PATHS:
        message = "This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL"
        raise ApiError(404, message)
    route = PLAIN_ROUTES.get((request.method, request.path))
    if route is not None and route.is_open:
        return await route.handler(request, sandbox)
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
    if request.method == "POST" and request.path in CALLS:
        return CALLS[request.path]
    route = PLAIN_ROUTES.get((request.method, request.path))
    if route is not None:
        return route.handler
    message = f"{request.method} {request.path} is not implemented by the embedded server"
    if request.path.startswith(SERVICES):
        raise RpcError("unimplemented", message)
    raise ApiError(501, message)


async def show_health(_request: web.BaseRequest, _sandbox: Sandbox) -> web.StreamResponse:
    """Tell that the sandbox runs."""
    return web.Response(status=204)


async def show_document(_request: web.BaseRequest, _sandbox: Sandbox) -> web.StreamResponse:
    """Describe the daemon's plain HTTP calls as an OpenAPI document."""
    return web.Response(body=make_document(), content_type="application/json")


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


PLANE = Plane(
    title="Embedded E2B server: a sandbox's daemon",
    meaning="envd's plain HTTP calls. Beside them it has the Connect services process.Process and "
    "filesystem.Filesystem. Each request names its sandbox: by the header E2b-Sandbox-Id, or by the host's name.",
    security={"AccessToken": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
    # An unknown user in Authorization is refused in the form of the services, whatever the call.
    refusals={401: (ErrorShown, RpcErrorShown), 502: (ProxyErrorShown,)},
    refuses=(502,),
    refusal=ErrorShown,
)
PLAIN_ROUTES = {
    (route.method, route.path): route
    for route in (
        PlainRoute("GET", "/health", show_health, Contract(answers={204: None}), is_open=True),
        PlainRoute("GET", DOCUMENT_PATH, show_document, Contract(answers={200: dict}), is_open=True),
        PlainRoute("GET", "/envs", show_environment, Contract(answers={200: dict[str, str]})),
        PlainRoute("GET", "/metrics", show_metrics, Contract(answers={200: Metrics})),
        PlainRoute("GET", FILES_PATH, files_http.download, files_http.DOWNLOAD),
        PlainRoute("POST", FILES_PATH, files_http.upload, files_http.UPLOAD),
        PlainRoute("POST", "/files/compose", files_http.compose, files_http.COMPOSE),
    )
}


@functools.cache
def make_document() -> bytes:
    """Return the document, which is the same for all sandboxes."""
    operations = (
        Operation(
            method=route.method,
            path=route.path,
            meaning=read_meaning(route.handler),
            contract=route.contract,
            is_open=route.is_open,
        )
        for route in PLAIN_ROUTES.values()
    )
    return msgspec.json.encode(Document(PLANE, operations).describe())
