"""The way from outside to a port of a sandbox: plain HTTP here, WebSockets in `websocket_proxy.py`.

Bodies stream in both directions. A request goes to the sandbox's own loopback address and nowhere else.
"""

from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from sandboxes.emulator import websocket_proxy
from sandboxes.emulator.errors import ProxyError
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.sandbox import Sandbox

TRAFFIC_TOKEN_HEADER = "e2b-traffic-access-token"  # noqa: S105 - a header's name, no secret
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

    def __init__(self) -> None:
        # One connection for each request: dialling loopback takes 0.1 ms, and an idle connection that the program
        # closes just now would lose a request that cannot be repeated.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        self._websockets = websocket_proxy.open_session()

    async def close(self) -> None:
        """Close all connections to sandboxes."""
        await self._http.close()
        await self._websockets.close()

    async def forward(self, request: web.BaseRequest, sandbox: Sandbox, *, port: int) -> web.StreamResponse:
        """Carry a request to a port and its answer back. Raises `ProxyError`."""
        require_traffic_token(request, sandbox)
        target = locate_target(request, sandbox.address, port=port)
        headers = end_to_end_headers(request.headers, without=(TRAFFIC_TOKEN_HEADER,))
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


def locate_target(request: web.BaseRequest, address: str, *, port: int) -> URL:
    """Return where a request goes; path and query stay as the client wrote them."""
    return URL(f"http://{address}:{port}{request.raw_path}", encoded=True)


def end_to_end_headers(headers: Mapping[str, str], *, without: tuple[str, ...] = ()) -> CIMultiDict[str]:
    """Return the headers that are not about one connection only (RFC 9110, 7.6.1)."""
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    dropped = HOP_BY_HOP | named | set(without)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def read_chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield a request's body as it arrives."""
    async for chunk in request.content.iter_any():
        yield chunk
