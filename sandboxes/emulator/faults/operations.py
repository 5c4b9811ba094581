"""What a request is, in one word: the names by which faults are aimed at requests.

Each request has several, from the widest to the narrowest: creating a sandbox is `*`, `api` and `create`, writing a
file `*`, `envd`, `files` and `upload`. The server's own controls (`/_emulator/...`) have none.
"""

import re
from dataclasses import dataclass

from aiohttp import web

from sandboxes.emulator.envd.signatures import is_signable
from sandboxes.emulator.fleet.sandbox import ENVD_PORT
from sandboxes.emulator.interpreter.service import INTERPRETER_PORT
from sandboxes.emulator.ports.targets import choose_target

CONTROLS = "/_emulator/"
SANDBOXES = "(?:/v2)?/sandboxes"
ONE = f"{SANDBOXES}/(?P<sandbox_id>[a-z0-9]+)"
API_CALLS = tuple(
    (method, re.compile(path), name)
    for method, path, name in (
        ("POST", SANDBOXES, "create"),
        ("GET", SANDBOXES, "list"),
        ("GET", ONE, "get"),
        ("DELETE", ONE, "kill"),
        ("POST", f"{ONE}/(?:timeout|refreshes)", "timeout"),
        ("POST", f"{ONE}/pause", "pause"),
        ("POST", f"{ONE}/(?:connect|resume)", "connect"),
        ("POST", f"{ONE}/fork", "fork"),
        ("POST", f"{ONE}/snapshots", "snapshot"),
        ("GET", f"{ONE}/metrics", "metrics"),
        ("GET", f"{ONE}/logs", "logs"),
        ("PUT", f"{ONE}/network", "network"),
        (None, "/snapshots", "snapshot"),
        (None, "(?:/v[23])?/templates.*", "templates"),
        (None, "/events.*", "events"),
    )
)
ENVD_CALLS = {
    "/health": ("health",),
    "/files/compose": ("files",),
    "/process.Process/Start": ("run",),
    "/process.Process/Connect": ("attach",),
    "/process.Process/List": ("processes",),
    "/process.Process/SendSignal": ("signal",),
    "/process.Process/SendInput": ("input",),
    "/process.Process/StreamInput": ("input",),
    "/process.Process/CloseStdin": ("input",),
    "/filesystem.Filesystem/WatchDir": ("filesystem", "watch"),
}
FILES_CALLS = {"GET": ("files", "download"), "POST": ("files", "upload")}
NAMES = sorted(
    {"*", "api", "envd", "filesystem", "interpreter", "proxy"}
    | {name for _method, _path, name in API_CALLS}
    | {name for names in (*ENVD_CALLS.values(), *FILES_CALLS.values()) for name in names}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A request as faults see it."""

    names: frozenset[str]
    path: str
    sandbox_id: str | None


def identify(request: web.BaseRequest) -> Operation:
    """Name a request. Raises `ApiError` (400) for one that cannot be directed."""
    path = request.path
    target = choose_target(request)
    if target is None and is_signable(request) and "signature" in request.query:
        return Operation(names=frozenset({"*", "envd", *name_envd(request)}), path=path, sandbox_id=None)
    if target is None:
        return identify_api(request.method, path)
    if target.port == ENVD_PORT:
        names = ("envd", *name_envd(request))
    else:
        names = ("interpreter",) if target.port == INTERPRETER_PORT else ("proxy",)
    return Operation(names=frozenset({"*", *names}), path=path, sandbox_id=target.sandbox_id)


def identify_api(method: str, path: str) -> Operation:
    """Name a call of the control plane."""
    if path.startswith(CONTROLS):
        return Operation(names=frozenset(), path="", sandbox_id=None)
    for its_method, pattern, name in API_CALLS:
        match = pattern.fullmatch(path) if its_method in (None, method) else None
        if match is not None:
            sandbox_id = match.groupdict().get("sandbox_id")
            return Operation(names=frozenset({"*", "api", name}), path=path, sandbox_id=sandbox_id)
    return Operation(names=frozenset({"*", "api"}), path=path, sandbox_id=None)


def name_envd(request: web.BaseRequest) -> tuple[str, ...]:
    """Return the narrower names of a call to a sandbox's daemon."""
    if request.path == "/files":
        return FILES_CALLS.get(request.method, ("files",))
    if request.path.startswith("/filesystem.Filesystem/"):
        return ENVD_CALLS.get(request.path, ("filesystem",))
    return ENVD_CALLS.get(request.path, ())
