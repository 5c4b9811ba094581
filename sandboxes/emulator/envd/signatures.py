"""Signed addresses of files: whoever holds one may read or write that file, with no token.

E2B's first and only scheme: `v1_` and the digest of path, operation, user, the sandbox's token and maybe an end. The
address names no sandbox where headers choose it, so a request without those headers is matched against all of them.
"""

import base64
import hashlib
from collections.abc import Iterable

from aiohttp import web

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.ids import tokens_match

FILES_PATH = "/files"
OPERATIONS = {"GET": "read", "POST": "write"}
TOKEN_HEADER = "X-Access-Token"  # noqa: S105 - a header's name, no secret


def is_signable(request: web.BaseRequest) -> bool:
    """Whether a signature may stand for the token in this request."""
    return request.path == FILES_PATH and request.method in OPERATIONS


def require_signature(request: web.BaseRequest, sandbox: Sandbox) -> None:
    """Raise `ApiError` (401) unless the request's address is signed for this sandbox and still good."""
    if "signature" not in request.query:
        raise ApiError(
            401,
            f"missing signature query parameter: send {TOKEN_HEADER} with the envdAccessToken of the sandbox's "
            "creation, or sign the address",
        )
    if not is_signed_for(request, sandbox):
        raise ApiError(401, "invalid signature: it is made from path, operation, user, token and expiration")
    expiration = request.query.get("signature_expiration")
    if expiration is not None and int(expiration) < (read_clock() + sandbox.envd_clock_offset).timestamp():
        raise ApiError(401, "signature is already expired: sign the address anew")


def find_signed(request: web.BaseRequest, sandboxes: Iterable[Sandbox]) -> Sandbox:
    """Return the sandbox that a request's address was signed for. Raises `ApiError` (401)."""
    for sandbox in sandboxes:
        if is_signed_for(request, sandbox):
            return sandbox
    raise ApiError(401, "invalid signature: no running sandbox's token made it")


def is_signed_for(request: web.BaseRequest, sandbox: Sandbox) -> bool:
    """Whether a sandbox's token made the signature, be it expired or not. Raises `ApiError` (400)."""
    query = request.query
    parts = [query.get("path", ""), OPERATIONS[request.method], query.get("username", ""), sandbox.envd_token]
    expiration = query.get("signature_expiration")
    if expiration is not None:
        if not (expiration.isascii() and expiration.isdecimal() and len(expiration) < 20):
            raise ApiError(400, f"signature_expiration {expiration!r} is not a number of seconds since 1970")
        parts.append(str(int(expiration)))
    digest = hashlib.sha256(":".join(parts).encode(errors="surrogateescape")).digest()
    expected = "v1_" + base64.b64encode(digest).decode().rstrip("=")
    return tokens_match(expected, query.get("signature", ""))
