"""Webhooks: registered, told, signed, told again when nobody listened, and never in the way."""

import base64
import hashlib
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

SECRET = "a secret of this test"
ALL = [f"sandbox.lifecycle.{name}" for name in ("created", "updated", "paused", "resumed", "killed")]


class Receiver:
    """Takes deliveries, and refuses the first few if told so."""

    def __init__(self):
        self.url = ""
        self.heard = []
        self.refusals_left = 0

    async def take(self, request):
        self.heard.append((dict(request.headers), await request.read()))
        if self.refusals_left > 0:
            self.refusals_left -= 1
            return web.Response(status=500)
        return web.Response(status=204)

    @property
    def events(self):
        return [json.loads(body) for _headers, body in self.heard]


@asynccontextmanager
async def listening():
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def receiver(anyio_backend):
    async with listening() as made:
        yield made


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


@pytest.fixture
def register(api, receiver):
    async def post(**fields):
        body = {"name": "test", "url": receiver.url, "events": ALL, "signatureSecret": SECRET, **fields}
        async with api.post("/events/webhooks", json=body) as answer:
            return answer.status, await answer.json()

    return post


async def test_events_are_delivered_in_order_and_signed(client, register, receiver, eventually):
    status, webhook = await register()
    assert status == 201
    sandbox = await client.AsyncSandbox.create()
    await sandbox.pause()
    await sandbox.kill()
    await eventually(lambda: len(receiver.heard) == 3)
    assert [event["type"] for event in receiver.events] == [ALL[0], ALL[2], ALL[4]]
    assert {event["sandboxId"] for event in receiver.events} == {sandbox.sandbox_id}
    for headers, body in receiver.heard:
        digest = base64.b64encode(hashlib.sha256(SECRET.encode() + body).digest()).decode()
        assert headers["e2b-signature"] == digest.replace("+", "-").replace("/", "_").rstrip("=")
        assert headers["e2b-signature-version"] == "v1"
        assert headers["e2b-webhook-id"] == webhook["id"]
    assert len({headers["e2b-delivery-id"] for headers, _body in receiver.heard}) == 3


async def test_refused_delivery_is_tried_again(client, register, receiver, eventually):
    await register()
    receiver.refusals_left = 1
    await client.AsyncSandbox.create()
    await eventually(lambda: len(receiver.heard) == 2)
    assert receiver.events[0] == receiver.events[1]
    assert receiver.heard[0][0]["e2b-delivery-id"] != receiver.heard[1][0]["e2b-delivery-id"]


async def test_dead_receiver_holds_nobody_up(client, register, receiver, eventually):
    await register(url="http://127.0.0.1:1/nobody")
    await register()
    sandbox = await client.AsyncSandbox.create()
    await eventually(lambda: len(receiver.heard) == 1)
    assert await sandbox.kill()


async def test_only_wanted_events_are_delivered(client, register, receiver, eventually):
    await register(events=["sandbox.lifecycle.killed"])
    await register(enabled=False)
    sandbox = await client.AsyncSandbox.create()
    await sandbox.kill()
    await eventually(lambda: len(receiver.heard) == 1)
    assert receiver.events[0]["type"] == "sandbox.lifecycle.killed"


async def test_webhook_is_shown_changed_and_removed(api, register, receiver):
    _status, made = await register()
    assert set(made) == {"id", "teamId", "name", "createdAt", "enabled", "url", "events"}
    where = f"/events/webhooks/{made['id']}"
    async with api.get("/events/webhooks") as answer:
        assert await answer.json() == [made]
    async with api.patch(where, json={"enabled": False, "events": ALL[:1]}) as answer:
        changed = await answer.json()
    assert changed == {**made, "enabled": False, "events": ALL[:1]}
    async with api.get(where) as answer:
        assert await answer.json() == changed
    async with api.delete(where) as answer:
        assert answer.status == 200
    for method in ("GET", "PATCH", "DELETE"):
        async with api.request(method, where) as answer:
            assert answer.status == 404


async def test_removed_webhook_hears_no_more(api, client, register, receiver, eventually):
    _status, removed = await register()
    async with api.delete(f"/events/webhooks/{removed['id']}"):
        pass
    _status, kept = await register()
    await client.AsyncSandbox.create()
    await eventually(lambda: len(receiver.heard) > 0)
    assert {headers["e2b-webhook-id"] for headers, _body in receiver.heard} == {kept["id"]}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"name": ""}, "length >= 1 - at `$.name`", id="name"),
        pytest.param({"events": []}, "length >= 1 - at `$.events`", id="no events"),
        pytest.param({"events": ["sandbox.lifecycle.born"]}, "`$.events[0]`", id="unknown event"),
        pytest.param({"signatureSecret": ""}, "length >= 1 - at `$.signatureSecret`", id="secret"),
        pytest.param({"url": "ftp://127.0.0.1/"}, "is not an HTTP address", id="scheme"),
        pytest.param({"url": "http://127.0.0.1:x/"}, "is malformed", id="port"),
        pytest.param({"url": "http://example.com/"}, "beyond this machine", id="remote name"),
        pytest.param({"url": "http://10.0.0.1/"}, "beyond this machine", id="remote address"),
        pytest.param({"url": "http://127.0.0.1.example.com/"}, "beyond this machine", id="looks local"),
        pytest.param({"url": "http://127.0.0.1@example.com/"}, "beyond this machine", id="user looks local"),
    ],
)
async def test_malformed_webhook_is_refused_with_its_reason(api, register, fields, reason):
    status, refusal = await register(**fields)
    assert status == 400
    assert reason in refusal["message"]
    async with api.get("/events/webhooks") as answer:
        assert await answer.json() == []


async def test_change_to_a_malformed_webhook_is_refused_and_changes_nothing(api, register):
    _status, made = await register()
    where = f"/events/webhooks/{made['id']}"
    async with api.patch(where, json={"url": "http://example.com/", "name": "other"}) as answer:
        assert answer.status == 400
    async with api.get(where) as answer:
        assert await answer.json() == made


async def test_server_for_other_machines_may_tell_other_machines():
    async with EmulatorServer("k", address=("0.0.0.0", 0)) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        body = {"name": "test", "url": "http://example.invalid/", "events": ALL, "signatureSecret": SECRET}
        async with (
            aiohttp.ClientSession(url, headers={"X-API-KEY": "k"}) as session,
            session.post("/events/webhooks", json=body) as answer,
        ):
            assert answer.status == 201


async def test_webhooks_need_the_key(emulator):
    async with aiohttp.ClientSession(emulator.url) as session, session.get("/events/webhooks") as answer:
        assert answer.status == 401
