"""The way from outside to a port of a sandbox: plain HTTP here, WebSockets in `websocket_proxy.py`.

Bodies stream in both directions. A request goes to the sandbox's own loopback address and nowhere else.
"""

import functools
import socket
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
from aiohttp import hdrs, web
from aiohttp.connector import AddrInfoType
from multidict import CIMultiDict
from yarl import URL

from sandboxes.emulator.errors import ProxyError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.ports import websocket_proxy

TRAFFIC_TOKEN_HEADER = "e2b-traffic-access-token"  # noqa: S105 - a header's name, no secret
PORT_PLACEHOLDER = "${PORT}"
"""Stands in a host mask for the port that is asked for."""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",  # answered by the dispatcher
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class PortProxy:
    """Forwards requests to programs in sandboxes."""

    def __init__(self, find_by_address: Callable[[str], Sandbox | None]) -> None:
        """`find_by_address` finds a living sandbox by its loopback address."""
        # One connection for each request: dialling loopback takes 0.1 ms, and an idle connection that the program
        # closes just now would lose a request that cannot be repeated.
        factory = functools.partial(make_socket, find_by_address=find_by_address)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, force_close=True, ssl=False, socket_factory=factory
            ),  # who serves TLS there signs himself
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        self._websockets = websocket_proxy.open_session(factory)

    async def close(self) -> None:
        """Close all connections to sandboxes."""
        await self._http.close()
        await self._websockets.close()

    async def forward(self, request: web.BaseRequest, sandbox: Sandbox, *, port: int) -> web.StreamResponse:
        """Carry a request to a port and its answer back. Raises `ProxyError`."""
        require_traffic_token(request, sandbox)
        target = locate_target(request, sandbox, port=port)
        headers = end_to_end_headers(request.headers, without=(TRAFFIC_TOKEN_HEADER,))
        if sandbox.spec.network.mask_request_host:
            headers[hdrs.HOST] = sandbox.spec.network.mask_request_host.replace(PORT_PLACEHOLDER, str(port))
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await websocket_proxy.forward(request, self._websockets, target=target, headers=headers)
            return await self._forward_http(request, target, headers=headers)
        except aiohttp.ClientConnectorError as error:
            message = "The sandbox is running but port is not open"
            raise ProxyError(502, message, sandbox_id=sandbox.id, port=port) from error
        except aiohttp.ClientError as error:
            message = f"The program on the port did not answer as HTTP: {error}"
            raise ProxyError(502, message, sandbox_id=sandbox.id, port=port) from error

    async def _forward_http(
        self, request: web.BaseRequest, target: URL, *, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        async with self._http.request(
            request.method,
            target,
            headers=headers,
            data=read_chunks(request) if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=end_to_end_headers(answer.headers)
            )
            await response.prepare(request)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except aiohttp.ClientError:
                # The head is sent: the only honest way to say that the rest is missing is to cut the connection.
                if request.transport is not None:
                    request.transport.abort()
            return response


def make_socket(address: AddrInfoType, *, find_by_address: Callable[[str], Sandbox | None]) -> socket.socket:
    """Return a socket for a connection to a sandbox, made inside if it has a network of its own. Raises `OSError`."""
    family, kind, protocol, _name, target = address
    sandbox = find_by_address(str(target[0]))
    inner = None if sandbox is None else sandbox.processes.launcher.namespaces.open_socket(family)
    made = inner or socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def require_traffic_token(request: web.BaseRequest, sandbox: Sandbox) -> None:
    """Raise `ProxyError` (403) unless the sandbox is public or the request holds its token."""
    if sandbox.traffic_token is None:
        return
    given = request.headers.get(TRAFFIC_TOKEN_HEADER)
    secured = "Sandbox is secured with traffic access token."
    if given is None:
        message = f"{secured} Token header '{TRAFFIC_TOKEN_HEADER}' is missing"
        raise ProxyError(403, message, sandbox_id=sandbox.id)
    if not tokens_match(sandbox.traffic_token, given):
        raise ProxyError(403, f"{secured} Provided token is invalid.", sandbox_id=sandbox.id)


def locate_target(request: web.BaseRequest, sandbox: Sandbox, *, port: int) -> URL:
    """Return where a request goes; path and query stay as the client wrote them."""
    scheme = "https" if port in (sandbox.spec.network.https_ports or ()) else "http"
    return URL(f"{scheme}://{sandbox.address}:{port}{request.raw_path}", encoded=True)


def end_to_end_headers(headers: Mapping[str, str], *, without: tuple[str, ...] = ()) -> CIMultiDict[str]:
    """Return the headers that are not about one connection only (RFC 9110, 7.6.1)."""
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    dropped = HOP_BY_HOP | named | set(without)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def read_chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield a request's body as it arrives."""
    async for chunk in request.content.iter_any():
        yield chunk
