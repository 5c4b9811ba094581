"""WebSockets to a sandbox's port: two pumps, one for each direction, that pass whole messages on.

The program is asked first and the client answered second, so that its refusal (a status and a body) reaches the
client as it is. Nothing is compressed, no heartbeat is added: pings and pongs pass through like all else.
"""

import enum
from typing import Literal

import aiohttp
import anyio
from aiohttp import WSMsgType, web
from aiohttp.connector import SocketFactoryType
from multidict import CIMultiDict
from yarl import URL

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
REFUSAL_BYTES_MAX = 64 * 1024
CLOSE_TIMEOUT_S = 1.0
HANDSHAKE_HEADERS = frozenset(
    {
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)
FRAMES = frozenset({WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG})

ProgramSocket = aiohttp.ClientWebSocketResponse[Literal[False]]
Socket = web.WebSocketResponse | ProgramSocket


class UpgradeRefusedError(Exception):
    """The program did not want a WebSocket."""

    def __init__(self, answer: aiohttp.ClientResponse, body: bytes) -> None:
        super().__init__(answer.status)
        self.status = answer.status
        self.reason = answer.reason
        self.content_type = answer.headers.get("Content-Type", "text/plain")
        self.body = body


def open_session(socket_factory: SocketFactoryType) -> aiohttp.ClientSession:
    """Return the client whose handshakes fail with the program's own words."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=socket_factory, ssl=False),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        raise_for_status=raise_refusal,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


async def raise_refusal(answer: aiohttp.ClientResponse) -> None:
    """Raise `UpgradeRefusedError` for any answer but 101; aiohttp's own error would not hold the body."""
    if answer.status != 101:
        raise UpgradeRefusedError(answer, await answer.content.read(REFUSAL_BYTES_MAX))


async def forward(
    request: web.BaseRequest, session: aiohttp.ClientSession, *, target: URL, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Connect a client's WebSocket with a program's, until one of them closes."""
    protocols = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HANDSHAKE_HEADERS)
    try:
        program = await session.ws_connect(
            target,
            headers=kept,
            protocols=protocols,
            max_msg_size=MESSAGE_BYTES_MAX,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            autoping=False,
            compress=0,
            decode_text=False,
        )
    except UpgradeRefusedError as refusal:
        return web.Response(
            status=refusal.status,
            reason=refusal.reason,
            body=refusal.body,
            headers={"Content-Type": refusal.content_type},
        )
    try:
        client = web.WebSocketResponse(
            protocols=[program.protocol] if program.protocol else [],
            max_msg_size=MESSAGE_BYTES_MAX,
            timeout=CLOSE_TIMEOUT_S,
            autoping=False,
            compress=False,
            decode_text=False,
        )
        await client.prepare(request)
        if await join(client, program) is Outcome.PROGRAM_LOST and request.transport is not None:
            request.transport.abort()
        return client
    finally:
        # Reached also when the client vanished without a word, which cancels this request.
        await program.close(code=aiohttp.WSCloseCode.GOING_AWAY)


class Outcome(enum.Enum):
    """How a pair of sockets came to its end."""

    CLOSED = enum.auto()
    PROGRAM_LOST = enum.auto()
    """The program's connection broke without a closing message: the client's must break too, not close."""


async def join(client: web.WebSocketResponse, program: ProgramSocket) -> Outcome:
    """Pass messages both ways until one side closes; a side that says why has it passed on."""
    outcome = Outcome.CLOSED
    async with anyio.create_task_group() as pumps:

        async def carry_up() -> None:
            await pump(client, program)
            pumps.cancel_scope.cancel()

        pumps.start_soon(carry_up)
        if not await pump(program, client):
            outcome = Outcome.PROGRAM_LOST
        pumps.cancel_scope.cancel()
    return outcome


async def pump(source: Socket, sink: Socket) -> bool:
    """Pass messages one way until the source ends; return whether it said so, and then close the sink alike."""
    while True:
        message = await source.receive()
        if message.type not in FRAMES:
            break
        try:
            await sink.send_frame(message.data, message.type)
        except ConnectionError:
            return True
    code = message.data if message.type is WSMsgType.CLOSE else source.close_code
    if code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
        return False
    reason = message.extra if message.type is WSMsgType.CLOSE and message.extra else ""
    with anyio.move_on_after(CLOSE_TIMEOUT_S):
        await sink.close(code=code or aiohttp.WSCloseCode.OK, message=reason.encode())
    return True
