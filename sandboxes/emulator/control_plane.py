"""The control plane: E2B's REST calls that make, list, renew and kill sandboxes.

Both generations of paths are served (`/sandboxes` and `/v2/sandboxes`). What E2B has and this server has not is
answered with 501 and its name: nothing is accepted and then ignored.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct

from sandboxes.emulator.control_messages import (
    CreatedSandbox,
    Lifecycle,
    ListedSandbox,
    NetworkShown,
    NewSandbox,
    SandboxDetail,
    TimeoutWish,
)
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.idempotency import IdempotentAnswers
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.listing import parse_query, select_page
from sandboxes.emulator.registry import SandboxRegistry
from sandboxes.emulator.sandbox import Sandbox, SandboxSpec

TEMPLATES = frozenset({"base", "code-interpreter-v1", "e2b-swarm-worker"})
"""Known templates. All three are the environment of the interpreter that runs the server."""
ENVD_VERSION = "0.6.4"
CLIENT_ID = "emulator"
CPU_COUNT = 2
MEMORY_MB = 512
DISK_MB = 10_240
BODY_BYTES_MAX = 1024 * 1024

Body = TypeVar("Body", bound=Struct)
Handler = Callable[[web.BaseRequest, str], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A call and who answers it; the pattern's first group is the sandbox's id."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler


class ControlPlane:
    """Answers the calls that need the API key."""

    def __init__(self, registry: SandboxRegistry, *, api_key: str) -> None:
        self._registry = registry
        self._api_key = api_key
        self._answers = IdempotentAnswers()
        collection = re.compile(r"(?:/v2)?/sandboxes()")
        one = r"(?:/v2)?/sandboxes/([^/]+)"
        self._routes = (
            Route("POST", collection, self.create),
            Route("GET", collection, self.list),
            Route("GET", re.compile(one), self.get),
            Route("DELETE", re.compile(one), self.kill),
            Route("POST", re.compile(one + "/timeout"), self.set_timeout),
            Route("POST", re.compile(one + "/connect"), self.connect),
            Route("GET", re.compile("/health()"), self.health),
        )

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer a call. Raises `ApiError`."""
        if not tokens_match(self._api_key, request.headers.get("X-API-KEY", "")):
            raise ApiError(
                401, "X-API-KEY is missing or not this server's key: use the key the server was started with"
            )
        for route in self._routes:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                return await route.handler(request, match.group(1))
        raise ApiError(501, f"{request.method} {request.path} is not implemented by the embedded server")

    async def health(self, _request: web.BaseRequest, _id: str) -> web.Response:
        """Tell that the server lives."""
        return web.Response(text="Health check successful")

    async def create(self, request: web.BaseRequest, _id: str) -> web.Response:
        """Make a sandbox, or repeat the answer to the same call."""
        body = await read_body(request)
        wish = decode_body(body, NewSandbox)
        key = request.headers.get("Idempotency-Key")
        answer = self._answers.recall(key, body) if key is not None else None
        if answer is None:
            refuse_unsupported(wish)
            # Nothing waits between the look at the key and its storing: two equal calls make one sandbox.
            answer = msgspec.json.encode(describe_created(self._registry.create(make_spec(wish))))
            if key is not None:
                self._answers.store(key, body, answer=answer)
        return web.Response(status=201, body=answer, content_type="application/json")

    async def list(self, request: web.BaseRequest, _id: str) -> web.Response:
        """List the sandboxes that match, a page at a time."""
        page = select_page(self._registry.list_living(), parse_query(request.query))
        response = reply([describe_listed(sandbox) for sandbox in page.sandboxes])
        if page.next_token is not None:
            response.headers["X-Next-Token"] = page.next_token
        return response

    async def get(self, _request: web.BaseRequest, sandbox_id: str) -> web.Response:
        """Describe one sandbox."""
        return reply(describe_detail(self._find(sandbox_id)))

    async def kill(self, _request: web.BaseRequest, sandbox_id: str) -> web.Response:
        """Kill a sandbox, and answer when nothing is left of it."""
        await self._registry.kill(self._find(sandbox_id))
        return web.Response(status=204)

    async def set_timeout(self, request: web.BaseRequest, sandbox_id: str) -> web.Response:
        """Let a sandbox end at another time, sooner or later."""
        wish = decode_body(await read_body(request), TimeoutWish)
        self._registry.set_timeout(self._find(sandbox_id), require_timeout(wish.timeout))
        return web.Response(status=204)

    async def connect(self, request: web.BaseRequest, sandbox_id: str) -> web.Response:
        """Give a client access to a running sandbox; its end is only ever moved later."""
        wish = decode_body(await read_body(request), TimeoutWish)
        sandbox = self._find(sandbox_id)
        self._registry.extend(sandbox, require_timeout(wish.timeout))
        return reply(describe_created(sandbox))

    def _find(self, sandbox_id: str) -> Sandbox:
        sandbox = self._registry.find(sandbox_id)
        if sandbox is None:
            raise ApiError(404, f"sandbox {sandbox_id!r} doesn't exist or was killed: list the running ones")
        return sandbox


async def read_body(request: web.BaseRequest) -> bytes:
    """Read a small body, and refuse a large one."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ApiError(400, f"the body is longer than {BODY_BYTES_MAX} bytes")
    return bytes(body)


def decode_body(body: bytes, kind: type[Body]) -> Body:
    """Read a body's JSON. Raises `ApiError` (400) naming the field that is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is not a {kind.__name__}: {error}") from error


def refuse_unsupported(wish: NewSandbox) -> None:
    """Raise `ApiError` for an unknown template (404) and for every wish that could not be kept (501)."""
    if wish.template not in TEMPLATES:
        raise ApiError(404, f"template {wish.template!r} not found: this server knows {', '.join(sorted(TEMPLATES))}")
    unkept = {
        "allow_internet_access=false": not wish.allow_internet_access,
        "autoPause": wish.auto_pause,
        "autoResume": wish.auto_resume.enabled,
        "mcp": wish.mcp is not UNSET,
        "iam": wish.iam is not UNSET,
        "volumeMounts": wish.volume_mounts is not UNSET,
    }
    for name in ("allow_out", "deny_out", "dns_servers", "egress_proxy", "mask_request_host", "https_ports", "rules"):
        unkept[f"network.{name}"] = getattr(wish.network, name) is not UNSET
    names = [name for name, is_wished in unkept.items() if is_wished]
    if names:
        raise ApiError(501, f"the embedded server cannot keep {', '.join(names)}: leave it out, or use E2B itself")


def make_spec(wish: NewSandbox) -> SandboxSpec:
    """Return the wish as the registry takes it."""
    return SandboxSpec(
        template=wish.template,
        timeout_s=require_timeout(wish.timeout),
        metadata=wish.metadata,
        environment=wish.env_vars,
        allows_public_traffic=wish.network.allow_public_traffic,
    )


def require_timeout(timeout_s: int) -> int:
    """Return the timeout. Raises `ApiError` (400) if it lies in the past."""
    if timeout_s < 0:
        raise ApiError(400, f"timeout is {timeout_s} s: it must not be negative")
    return timeout_s


def describe_created(sandbox: Sandbox) -> CreatedSandbox:
    """Return the reply to create and connect, which holds the sandbox's secrets."""
    return CreatedSandbox(
        template=sandbox.spec.template,
        sandbox_id=sandbox.id,
        envd_version=ENVD_VERSION,
        envd_access_token=sandbox.envd_token,
        client_id=CLIENT_ID,
        traffic_access_token=sandbox.traffic_token,
    )


def describe_listed(sandbox: Sandbox) -> ListedSandbox:
    """Return a row of the list."""
    return ListedSandbox(
        template=sandbox.spec.template,
        sandbox_id=sandbox.id,
        client_id=CLIENT_ID,
        started_at=sandbox.started_at,
        end_at=sandbox.end_at,
        cpu_count=CPU_COUNT,
        memory_mb=MEMORY_MB,
        disk_size_mb=DISK_MB,
        state="running",
        envd_version=ENVD_VERSION,
        metadata=dict(sandbox.spec.metadata),
    )


def describe_detail(sandbox: Sandbox) -> SandboxDetail:
    """Return a sandbox's details."""
    return SandboxDetail(
        **msgspec.structs.asdict(describe_listed(sandbox)),
        envd_access_token=sandbox.envd_token,
        allow_internet_access=True,
        network=NetworkShown(sandbox.spec.allows_public_traffic),
        lifecycle=Lifecycle(),
    )


def reply(answer: Struct | list[ListedSandbox]) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
