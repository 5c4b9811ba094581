"""Pipes as WebSockets over HTTP/1.1: what E2B's edge lets through, and what the embedded server's proxy passes on.

A worker serves one port: `/health` for anyone, `/control` and `/link` as WebSockets for those whom it admits.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from workers.network import Acceptor, Endpoint, PipeClosed, Refused, Unreachable

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
_REFUSAL_BYTES_SHOWN = 300


class WebSocketPipe:
    """A pipe over one WebSocket, either end."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse | web.WebSocketResponse") -> None:
        self._socket = socket

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send_bytes(data)
        except (ConnectionError, RuntimeError, aiohttp.ClientError) as error:
            raise PipeClosed(f"the connection ended while sending: {error}") from error

    async def receive(self) -> bytes:
        try:
            message = await self._socket.receive()
        except (ConnectionError, RuntimeError, aiohttp.ClientError) as error:
            raise PipeClosed(f"the connection ended while receiving: {error}") from error
        if message.type is aiohttp.WSMsgType.BINARY and isinstance(message.data, bytes):
            return message.data
        raise PipeClosed(f"the connection ended ({message.type.name.lower()})")

    async def close(self) -> None:
        await self._socket.close()


class HttpNetwork:
    """Dials WebSockets; made by `open_http_network`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def dial(self, endpoint: Endpoint, path: str, *, headers: Mapping[str, str]) -> WebSocketPipe:
        try:
            socket = await self._session.ws_connect(
                endpoint.url + path,
                headers={**endpoint.headers, **headers},
                max_msg_size=MESSAGE_BYTES_MAX,
                compress=0,
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status >= 500:  # a gateway that does not reach the worker
                raise Unreachable(f"{endpoint.url}{path}: status {error.status}") from error
            raise Refused(error.status, error.message) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{endpoint.url}{path}: {error}") from error
        return WebSocketPipe(socket)

    async def probe(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Ask a worker for its health. Raises Refused or Unreachable; the caller holds the deadline."""
        try:
            async with self._session.get(endpoint.url + "/health", headers=endpoint.headers) as answer:
                if answer.status != 200 or answer.content_type != "application/json":
                    said = (await answer.text())[:_REFUSAL_BYTES_SHOWN]
                    raise Refused(answer.status, said)
                body = await answer.json()
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{endpoint.url}/health: {error}") from error
        return {str(key): str(value) for key, value in body.items()}


@asynccontextmanager
async def open_http_network() -> AsyncIterator[HttpNetwork]:
    """Open the client side: one pool for all pipes, with no limit of its own and no deadline of its own."""
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield HttpNetwork(session)


@asynccontextmanager
async def serve_http(acceptor: Acceptor, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve an acceptor on a port while the context is open; yields the port (also where 0 was asked for)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/health":
            return web.json_response(dict(acceptor.health()))
        headers = {name.lower(): value for name, value in request.headers.items()}
        refusal = acceptor.admit(request.path, headers)
        if refusal is not None:
            return web.Response(status=refusal.status, text=refusal.reason)
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, compress=False)
        await socket.prepare(request)
        pipe = WebSocketPipe(socket)
        try:
            await acceptor.serve(request.path, headers, pipe=pipe)
        finally:
            await pipe.close()
        return socket

    application = web.Application()
    application.router.add_route("GET", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
