"""What the groups of control-plane calls are made of: a route, a call that matched one, and its answer in JSON.

Each group (`sandbox_calls.py` and its neighbours) offers `routes()`, and `control_plane.py` tries them in order. A
path names its parts in braces; the parts reach the call decoded, so that a template's name may hold an encoded slash.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import unquote

import msgspec
from aiohttp import web
from msgspec import Struct
from multidict import MultiMapping

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.json_bodies import MalformedBody, decode_body

BODY_BYTES_MAX = 1024 * 1024
VERSIONS = ("", "/v2")
"""The prefixes of two generations of paths, for calls that both have."""

NEXT_PAGE = {"X-Next-Token": "Where the next page begins, as nextToken; it is absent with the last page."}

Body = TypeVar("Body", bound=Struct)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the control plane, and the parts of its path that the route names."""

    request: web.BaseRequest
    path: Mapping[str, str]
    contract: Contract

    @property
    def query(self) -> MultiMapping[str]:
        """The query string, decoded."""
        return self.request.query

    async def read(self) -> bytes:
        """Read a small body, and refuse a large one (`ApiError`, 400)."""
        body = bytearray()
        async for chunk in self.request.content.iter_any():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise ApiError(400, f"the body is longer than {BODY_BYTES_MAX} bytes")
        return bytes(body)

    async def decode(self, kind: type[Body]) -> Body:
        """Read the body's JSON, of the kind that the contract names. Raises `ApiError` (400) naming the wrong field."""
        assert kind is self.contract.takes
        try:
            return decode_body(await self.read(), kind)
        except MalformedBody as error:
            raise ApiError(400, f"the body is {error}") from error


Handler = Callable[[Call], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A call and who answers it."""

    method: str
    path: str
    """For example `/sandboxes/{sandbox_id}/timeout`."""
    handler: Handler
    contract: Contract
    is_open: bool = False
    """Whether no key is asked for: the path holds a secret of its own, or there is nothing to protect."""
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pattern", re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)))

    def match(self, method: str, raw_path: str) -> dict[str, str] | None:
        """Return the decoded parts of a path as the client sent it, `None` if the call is another one."""
        match = self._pattern.fullmatch(raw_path) if method == self.method else None
        return None if match is None else {name: unquote(text) for name, text in match.groupdict().items()}


def both_versions(route: Route) -> Iterable[Route]:
    """Yield a call's route in both generations of paths."""
    return (replace(route, path=version + route.path) for version in VERSIONS)


def reply(answer: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def reply_nothing() -> web.Response:
    """Answer that it is done."""
    return web.Response(status=204)
