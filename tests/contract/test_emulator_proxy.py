"""The way to a sandbox's port: HTTP and WebSocket, tokens, closed ports and dead sandboxes."""

import io

import aiohttp
import anyio
import pytest
from yarl import URL

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

PROGRAM = """
import asyncio, os
from aiohttp import web


async def socket(request):
    ws = web.WebSocketResponse(protocols=["swarm"], max_msg_size=0)
    await ws.prepare(request)
    async for message in ws:
        if message.data == "close":
            await ws.close(code=4001, message=b"bye")
        elif message.type is web.WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    open("closed", "w").write(str(ws.close_code))
    return ws


async def echo(request):
    headers = {"X-Method": request.method, "X-Custom": request.headers.get("X-Custom", ""),
               "X-Token": request.headers.get("e2b-traffic-access-token", "none"), "X-Url": request.raw_path}
    return web.Response(body=await request.read(), headers=headers, status=int(request.query.get("status", 200)))


async def drip(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    await request.content.read()
    await response.write(b"second")
    return response


async def die(request):
    os.kill(os.getpid(), 9)


async def refuse(request):
    return web.Response(status=int(request.match_info["status"]), text="this member is known already")


app = web.Application(client_max_size=0)
app.add_routes([web.get("/ws", socket), web.get("/die", die), web.post("/drip", drip),
                web.get("/refuse/{status}", refuse), web.route("*", "/echo", echo),
                web.get("/redirect", lambda r: web.HTTPFound("/echo"))])
web.run_app(app, host=os.environ["E2B_SANDBOX_IP"], port=8080, print=lambda *_: None)
"""


async def serve(sandbox, eventually):
    """Start the program in a sandbox, wait until its port is open, and return the headers that lead to it."""
    await sandbox.files.write("program.py", PROGRAM)
    await sandbox.commands.run("exec python program.py", background=True, timeout=0, retain_output=False)
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}
    if sandbox.traffic_access_token:
        headers["e2b-traffic-access-token"] = sandbox.traffic_access_token
    async with aiohttp.ClientSession(sandbox.envd_api_url, headers=headers) as session:

        async def is_open():
            async with session.get("/echo") as answer:
                return answer.status == 200

        await eventually(is_open)
    return headers


@pytest.fixture
async def program(sandbox, eventually):
    """A session whose requests reach the program in the sandbox."""
    headers = await serve(sandbox, eventually)
    async with aiohttp.ClientSession(sandbox.envd_api_url, headers=headers) as session:
        yield session


async def test_http_request_reaches_the_program_and_its_answer_comes_back(program):
    url = URL("/echo?a=%2F&status=418", encoded=True)
    async with program.put(url, data=b"body", headers={"X-Custom": "kept"}) as answer:
        assert (answer.status, await answer.read()) == (418, b"body")
        assert (answer.headers["X-Method"], answer.headers["X-Custom"]) == ("PUT", "kept")
        assert answer.headers["X-Url"] == "/echo?a=%2F&status=418"


async def test_large_bodies_pass(program):
    async with program.post("/echo", data=io.BytesIO(b"x" * 5_000_000)) as answer:
        assert len(await answer.read()) == 5_000_000


async def test_answer_streams_before_the_request_is_over(program):
    gate = anyio.Event()

    async def body():
        yield b"begin"
        await gate.wait()

    async with program.post("/drip", data=body()) as answer:
        assert await answer.content.readany() == b"first"
        gate.set()
        assert await answer.content.readany() == b"second"


async def test_client_that_waits_for_permission_to_send_gets_it(program):
    with anyio.fail_after(2):
        async with program.post("/echo", data=b"allowed", expect100=True) as answer:
            assert await answer.read() == b"allowed"


async def test_redirect_is_left_to_the_client(program):
    async with program.get("/redirect", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/echo")


async def test_head_has_no_body(program):
    async with program.head("/echo") as answer:
        assert (answer.status, answer.headers["X-Method"]) == (200, "HEAD")


async def test_host_name_leads_to_the_port_too(emulator, sandbox, program):
    headers = {"Host": f"8080-{sandbox.sandbox_id}.localhost"}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session, session.get("/echo") as answer:
        assert answer.status == 200


async def test_websocket_carries_text_and_bytes(program):
    async with program.ws_connect("/ws", protocols=["other", "swarm"], max_msg_size=0) as socket:
        assert socket.protocol == "swarm"
        for number in range(200):
            await socket.send_str(f"{number}")
            assert await socket.receive_str() == f"{number}"
        await socket.send_bytes(b"\0" * 5_000_000)
        assert await socket.receive_bytes() == b"\0" * 5_000_000


async def test_program_that_closes_closes_the_client_with_its_code(program):
    async with program.ws_connect("/ws") as socket:
        await socket.send_str("close")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "bye")


async def test_client_that_closes_closes_the_program(program, sandbox, eventually):
    async with program.ws_connect("/ws") as socket:
        await socket.close(code=4002)

    async def is_told():
        return await sandbox.files.exists("closed") and await sandbox.files.read("closed") == "4002"

    await eventually(is_told)


async def test_program_that_dies_cuts_the_client_and_frees_the_port(program):
    async with program.ws_connect("/ws") as socket:
        async with program.get("/die") as answer:
            assert answer.status == 502
        await socket.receive()
        assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    async with program.get("/echo") as answer:
        assert "port is not open" in (await answer.json())["message"]


async def test_client_that_vanishes_is_going_away_for_the_program(program, sandbox, eventually):
    socket = await program.ws_connect("/ws")
    await socket.send_str("alive")
    await socket.receive_str()
    socket.get_extra_info("socket").shutdown(2)

    async def is_told():
        return await sandbox.files.exists("closed") and await sandbox.files.read("closed") == "1001"

    await eventually(is_told)
    await socket.close()


@pytest.mark.parametrize("status", [401, 403, 409])
async def test_refused_upgrade_reaches_the_client_as_it_is(program, status):
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with program.get(f"/refuse/{status}", headers=handshake) as answer:
        assert (answer.status, await answer.text()) == (status, "this member is known already")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await program.ws_connect(f"/refuse/{status}")
    assert refusal.value.status == status


async def test_two_sandboxes_listen_on_the_same_port(client, eventually):
    for name in ("a", "b"):
        sandbox = await client.AsyncSandbox.create(metadata={"name": name})
        await serve(sandbox, eventually)


async def test_sandbox_reaches_another_one_through_the_proxy(emulator, client, program, sandbox):
    other = await client.AsyncSandbox.create()
    script = (
        "import asyncio, aiohttp, sys\n"
        "async def main():\n"
        "    headers = {'E2b-Sandbox-Id': sys.argv[2], 'E2b-Sandbox-Port': '8080'}\n"
        "    async with aiohttp.ClientSession(headers=headers) as s, s.ws_connect(sys.argv[1] + '/ws') as ws:\n"
        "        await ws.send_str('peer'); print(await ws.receive_str())\n"
        "asyncio.run(main())\n"
    )
    await other.files.write("peer.py", script)
    result = await other.commands.run(f"python peer.py {emulator.url} {sandbox.sandbox_id}")
    assert result.stdout == "peer\n"


async def test_private_port_opens_with_the_traffic_token_only(client, eventually):
    sandbox = await client.AsyncSandbox.create(network={"allow_public_traffic": False})
    headers = await serve(sandbox, eventually)
    token = headers.pop("e2b-traffic-access-token")
    async with aiohttp.ClientSession(sandbox.envd_api_url, headers=headers) as session:
        async with session.get("/echo") as answer:
            assert answer.status == 403
            assert (await answer.json())["message"] == (
                "Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' is missing"
            )
        async with session.get("/echo", headers={"e2b-traffic-access-token": "wrong"}) as answer:
            assert answer.status == 403
            assert "invalid" in (await answer.json())["message"]
        async with session.get("/echo", headers={"e2b-traffic-access-token": token}) as answer:
            assert (answer.status, answer.headers["X-Token"]) == (200, "none")
        async with session.ws_connect("/ws", headers={"e2b-traffic-access-token": token}) as socket:
            await socket.send_str("private")
            assert await socket.receive_str() == "private"


async def test_public_sandbox_has_no_traffic_token(sandbox):
    assert sandbox.traffic_access_token is None


@pytest.mark.parametrize("upgrade", [{}, {"Connection": "Upgrade", "Upgrade": "websocket"}], ids=["http", "websocket"])
async def test_closed_port_is_told_in_e2bs_words(emulator, sandbox, upgrade):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "9", **upgrade}
    async with aiohttp.ClientSession(emulator.url) as session, session.get("/", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (
            502,
            {
                "sandboxId": sandbox.sandbox_id,
                "message": "The sandbox is running but port is not open",
                "port": 9,
                "code": 502,
            },
        )


async def test_gone_sandbox_is_told_in_e2bs_words(emulator, sandbox):
    await sandbox.kill()
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}
    async with aiohttp.ClientSession(emulator.url) as session, session.get("/", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (
            502,
            {"sandboxId": sandbox.sandbox_id, "message": "The sandbox was not found", "code": 502},
        )


async def test_killed_sandbox_cuts_its_websockets(program, sandbox):
    async with program.ws_connect("/ws") as socket:
        await socket.send_str("alive")
        await socket.receive_str()
        await sandbox.kill()
        with anyio.fail_after(2):
            message = await socket.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert socket.close_code in (aiohttp.WSCloseCode.ABNORMAL_CLOSURE, None)


@pytest.mark.parametrize("port", ["0", "70000", "http", ""])
async def test_impossible_port_is_refused(emulator, sandbox, port):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": port}
    async with aiohttp.ClientSession(emulator.url) as session, session.get("/", headers=headers) as answer:
        assert answer.status == 400
