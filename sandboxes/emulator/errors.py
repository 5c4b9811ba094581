"""The errors a request can end in, and their bodies on the wire.

E2B speaks three dialects of error on one port, and the SDK tells them apart by shape. Each has its class here, so
that code below the handlers raises what went wrong and only `dispatch.py` knows how it is written.

    EmulatorError
    ├── ApiError       control plane and files: {"code": 404, "message": "..."}
    ├── RpcError       envd calls (Connect):    {"code": "not_found", "message": "..."}
    └── ProxyError     the way to a port:       {"sandboxId": "...", "message": "...", "code": 502, "port": 8080}

An `OSError` of the file system becomes one of them through the one table in `os_errors.py`.
"""

import msgspec
from msgspec import UNSET, Struct, UnsetType

RPC_STATUSES = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "failed_precondition": 400,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "deadline_exceeded": 504,
}
"""HTTP status of each Connect code that this server uses."""


class ErrorShown(Struct):
    """The body of an `ApiError`."""

    code: int
    message: str


class RpcErrorShown(Struct):
    """The body of an `RpcError`."""

    code: str
    message: str


class ProxyErrorShown(Struct, rename="camel"):
    """The body of a `ProxyError`."""

    sandbox_id: str
    message: str
    code: int
    port: int | UnsetType = UNSET


class EmulatorError(Exception):
    """Anything the embedded server refuses or cannot do."""

    status = 500

    def body(self) -> bytes:
        """Return the JSON that the client reads."""
        return encode_error(self.status, str(self))

    def headers(self) -> dict[str, str]:
        """Return what the head of the answer says besides."""
        return {}


class ApiError(EmulatorError):
    """A refusal of the control plane or of a file transfer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RpcError(EmulatorError):
    """A refusal of an envd call, named by its Connect code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = RPC_STATUSES[code]

    def body(self) -> bytes:
        return msgspec.json.encode(RpcErrorShown(self.code, writable(str(self))))


class ProxyError(EmulatorError):
    """A request that did not reach a sandbox's port. The SDK matches these messages word by word."""

    def __init__(self, status: int, message: str, *, sandbox_id: str, port: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.sandbox_id = sandbox_id
        self.port = port

    def body(self) -> bytes:
        port = UNSET if self.port is None else self.port
        return msgspec.json.encode(ProxyErrorShown(writable(self.sandbox_id), str(self), self.status, port))


def encode_error(status: int, message: str) -> bytes:
    """Return the body of an error of the control plane."""
    return msgspec.json.encode(ErrorShown(status, writable(message)))


def writable(text: str) -> str:
    """Return a text that JSON can hold: bytes of a request that are no UTF-8 become question marks."""
    return text.encode(errors="replace").decode()


def sandbox_not_found(sandbox_id: str) -> ProxyError:
    """Say that the sandbox is gone, in the words by which the SDK knows it."""
    return ProxyError(502, "The sandbox was not found", sandbox_id=sandbox_id)
