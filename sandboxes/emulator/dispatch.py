"""One port for everything: which plane a request is for, and how an error is written.

E2B reaches a sandbox in two ways, and both work here. The host's name may hold port and sandbox
(`8080-i1234.localhost`), or headers name them while the host is an IP address, `localhost` or `sandbox.*`.
Everything else is for the control plane.
"""

import ipaddress
import logging
import re
from dataclasses import dataclass

from aiohttp import web

from sandboxes.emulator import envd
from sandboxes.emulator.control_plane import ControlPlane
from sandboxes.emulator.errors import ApiError, EmulatorError, sandbox_not_found
from sandboxes.emulator.proxy import PortProxy
from sandboxes.emulator.registry import SandboxRegistry
from sandboxes.emulator.sandbox import ENVD_PORT

log = logging.getLogger(__name__)

HOST_PATTERN = re.compile(r"(\d{1,5})-([a-z0-9]+)\.")
SANDBOX_HEADER = "E2b-Sandbox-Id"
CLIENT_GONE_STATUS = 499
PORT_HEADER = "E2b-Sandbox-Port"


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a sandbox."""

    sandbox_id: str
    port: int


class Dispatcher:
    """Hands each request to the plane it is for."""

    def __init__(self, registry: SandboxRegistry, *, control_plane: ControlPlane, proxy: PortProxy) -> None:
        self._registry = registry
        self._control_plane = control_plane
        self._proxy = proxy

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; errors become the answers that the SDK understands."""
        try:
            target = choose_target(request)
            if target is None:
                return await self._control_plane.handle(request)
            return await self._enter_sandbox(request, target)
        except EmulatorError as error:
            log.debug("%s %s: %d %s", request.method, request.path, error.status, error)
            return web.Response(status=error.status, body=error.body(), content_type="application/json")
        except ConnectionError:
            # The client hung up, or its sandbox died while something was being written to it. Nobody reads this.
            return web.Response(status=CLIENT_GONE_STATUS)

    async def _enter_sandbox(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        sandbox = self._registry.find(target.sandbox_id)
        if sandbox is None:
            raise sandbox_not_found(target.sandbox_id)
        with sandbox.connected(request.transport):
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if target.port == ENVD_PORT:
                return await envd.handle(request, sandbox)
            return await self._proxy.forward(request, sandbox, port=target.port)


def choose_target(request: web.BaseRequest) -> Target | None:
    """Return the port that a request is for, `None` for the control plane. Raises `ApiError` (400)."""
    host = request.host
    match = HOST_PATTERN.match(host)
    if match:
        return make_target(match.group(2), match.group(1))
    if SANDBOX_HEADER in request.headers and is_shared_host(host):
        return make_target(request.headers[SANDBOX_HEADER], request.headers.get(PORT_HEADER, str(ENVD_PORT)))
    return None


def make_target(sandbox_id: str, port: str) -> Target:
    """Return a target. Raises `ApiError` (400) if the port is none."""
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise ApiError(400, f"port {port!r} is not a port: name one from 1 to 65535")
    return Target(sandbox_id, int(port))


def is_shared_host(host: str) -> bool:
    """Whether a host is one that many sandboxes share, so that headers must name the sandbox."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name == "localhost" or name.startswith("sandbox."):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
