"""Which port of which sandbox a request is for.

E2B reaches a sandbox in two ways, and both work here. The host's name may hold port and sandbox
(`8080-i1234.localhost`), or headers name them while the host is an IP address, `localhost` or `sandbox.*`.
Everything else is for the control plane.
"""

import ipaddress
import re
from dataclasses import dataclass

from aiohttp import web

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox import ENVD_PORT

HOST_PATTERN = re.compile(r"(\d{1,5})-([a-z0-9]+)\.")
PORT_DIGITS_MAX = 5
SANDBOX_HEADER = "E2b-Sandbox-Id"
PORT_HEADER = "E2b-Sandbox-Port"


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a sandbox."""

    sandbox_id: str
    port: int


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
    if not (port.isascii() and port.isdecimal() and len(port) <= PORT_DIGITS_MAX) or not 1 <= int(port) <= 65_535:
        raise ApiError(400, f"port {port[:20]!r} is not a port: name one from 1 to 65535")
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
