"""The users of a sandbox. E2B's images have two, and a request may name one of them.

A sandbox here has the file tree and the environment of either, but commands run, and files belong, as the one user of
this machine that runs the server: `root` may do no more than `user`, and a stat tells the true owner.
"""

import base64
import binascii

from aiohttp import hdrs, web

from sandboxes.emulator.errors import ApiError, RpcError
from sandboxes.emulator.fleet.paths import HOMES, USER_DEFAULT, SandboxPaths
from sandboxes.emulator.fleet.sandbox import Sandbox


def read_basic_user(request: web.BaseRequest) -> str:
    """Return the user of a call. Raises `RpcError` (`unauthenticated`) for one that the sandbox does not have."""
    scheme, _, encoded = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        return USER_DEFAULT
    try:
        name, colon, _password = base64.b64decode(encoded, validate=True).decode(errors="replace").partition(":")
    except (binascii.Error, ValueError):
        return USER_DEFAULT  # envd takes what it cannot read for no user at all
    if not colon:
        return USER_DEFAULT
    if name not in HOMES:
        raise RpcError("unauthenticated", f"invalid username: '{name}': this sandbox has {' and '.join(HOMES)}")
    return name


def paths_of_call(request: web.BaseRequest, sandbox: Sandbox) -> SandboxPaths:
    """Return the file tree as the user of a call sees it."""
    return sandbox.paths.for_user(read_basic_user(request))


def paths_of_transfer(name: str | None, sandbox: Sandbox) -> SandboxPaths:
    """Return the file tree as the user named in a transfer's query sees it. Raises `ApiError` (401)."""
    if name is None:
        return sandbox.paths
    if name not in HOMES:
        message = f"error looking up user '{name}': user: unknown user {name}: this sandbox has {' and '.join(HOMES)}"
        raise ApiError(401, message)
    return sandbox.paths.for_user(name)
