"""The control plane: E2B's REST API, which is behind the API key. Who may call, and which call goes where.

The calls themselves live in groups (`sandbox_calls.py` and its neighbours), each a class with `routes()`. What E2B
has and this server has not is answered with 501 and its name: nothing is accepted and then ignored.
"""

from collections.abc import Iterable
from functools import cached_property

import msgspec
from aiohttp import web

from sandboxes.emulator.contracts import TEXT, Contract
from sandboxes.emulator.control.routes import Call, Route
from sandboxes.emulator.errors import ApiError, ErrorShown
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.openapi import DOCUMENT_PATH, Document, Operation, Plane, read_meaning

BEARER = "Bearer "
PLANE = Plane(
    title="Embedded E2B server: control plane",
    meaning="E2B's REST API, as this server has it. What it has not is refused with 501 and a sentence that names it.",
    security={
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    },
    refusals={},
    refusal=ErrorShown,
)


class ControlPlane:
    """Answers the calls that need the API key."""

    def __init__(self, routes: Iterable[Route], *, api_key: str) -> None:
        """The first of the routes that fits is taken."""
        self.routes = (
            Route("GET", "/health", show_health, Contract(answers={200: TEXT})),
            Route("GET", DOCUMENT_PATH, self.show_document, Contract(answers={200: dict}), is_open=True),
            *routes,
        )
        self._api_key = api_key

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer a call. Raises `ApiError`."""
        has_key = tokens_match(self._api_key, read_key(request))
        raw_path = request.rel_url.raw_path
        for route in self.routes:
            parts = route.match(request.method, raw_path)
            if parts is not None and (has_key or route.is_open):
                return await route.handler(Call(request, parts, route.contract))
        if not has_key:
            raise ApiError(
                401, "X-API-KEY is missing or not this server's key: use the key the server was started with"
            )
        raise ApiError(501, f"{request.method} {request.path} is not implemented by the embedded server")

    async def show_document(self, _call: Call) -> web.Response:
        """Describe the control plane as an OpenAPI document."""
        return web.Response(body=self.document, content_type="application/json")

    @cached_property
    def document(self) -> bytes:
        """The OpenAPI document, which is put together when it is first asked for."""
        operations = (
            Operation(
                method=route.method,
                path=route.path,
                meaning=read_meaning(route.handler),
                contract=route.contract,
                is_open=route.is_open,
            )
            for route in self.routes
        )
        return msgspec.json.encode(Document(PLANE, operations).describe())


def read_key(request: web.BaseRequest) -> str:
    """Return the key a client sends: SDKs in `X-API-KEY`, E2B's command line also as a bearer token."""
    key = request.headers.get("X-API-KEY")
    if key is None:
        authorization = request.headers.get("Authorization", "")
        key = authorization.removeprefix(BEARER) if authorization.startswith(BEARER) else ""
    return key


async def show_health(_call: Call) -> web.Response:
    """Tell that the server lives."""
    return web.Response(text="Health check successful")
