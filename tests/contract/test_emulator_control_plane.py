"""The control plane against the unmodified SDK: making, finding, renewing and ending sandboxes."""

from datetime import UTC, datetime

import aiohttp
import anyio
import pytest
from e2b import (
    AuthenticationException,
    RateLimitException,
    SandboxException,
    SandboxNotFoundException,
    SandboxQuery,
    SandboxState,
)

from sandboxes.emulator import EmulatorError, EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def list_ids(client, **query):
    paginator = client.AsyncSandbox.list(query=SandboxQuery(**query) if query else None)
    return {info.sandbox_id for info in await paginator.next_items()}


async def test_created_sandbox_is_running_and_has_an_id_like_e2bs(client):
    sandbox = await client.AsyncSandbox.create(template="e2b-swarm-worker", timeout=60)
    assert sandbox.sandbox_id.startswith("i")
    assert len(sandbox.sandbox_id) == 21
    assert sandbox.sandbox_id.isalnum()
    assert await sandbox.is_running()


async def test_info_tells_what_the_sandbox_was_created_with(client):
    sandbox = await client.AsyncSandbox.create(metadata={"run": "r1"}, timeout=120)
    info = await sandbox.get_info()
    assert info.metadata == {"run": "r1"}
    assert info.template_id == "base"
    assert info.state is SandboxState.RUNNING
    assert 118 < (info.end_at - info.started_at).total_seconds() < 122
    assert abs((info.started_at - datetime.now(UTC)).total_seconds()) < 5


async def test_timeout_is_five_minutes_when_none_is_given(emulator):
    headers = {"X-API-KEY": emulator.api_key}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session:
        async with session.post("/sandboxes", json={"templateID": "base"}) as answer:
            sandbox_id = (await answer.json())["sandboxID"]
        async with session.get(f"/sandboxes/{sandbox_id}") as answer:
            shown = await answer.json()
    lifetime = datetime.fromisoformat(shown["endAt"]) - datetime.fromisoformat(shown["startedAt"])
    assert 299 < lifetime.total_seconds() < 301


async def test_list_finds_sandboxes_by_metadata_with_any_characters(client):
    odd = {"run & more": "ä=1%&+ /"}
    wanted = await client.AsyncSandbox.create(metadata={**odd, "worker": "1"})
    await client.AsyncSandbox.create(metadata={"worker": "1"})
    assert await list_ids(client, metadata=odd) == {wanted.sandbox_id}
    assert len(await list_ids(client, metadata={"worker": "1"})) == 2
    assert await list_ids(client, metadata={"worker": "2"}) == set()


async def test_list_filters_by_state_template_and_start(client):
    sandbox = await client.AsyncSandbox.create(template="code-interpreter-v1")
    started_at = (await sandbox.get_info()).started_at
    assert await list_ids(client, state=[SandboxState.RUNNING]) == {sandbox.sandbox_id}
    assert await list_ids(client, state=[SandboxState.PAUSED]) == set()
    assert await list_ids(client, template="base") == set()
    assert await list_ids(client, started_after=started_at) == set()


async def test_list_pages_through_all_sandboxes_in_order(client):
    made = [(await client.AsyncSandbox.create()).sandbox_id for _ in range(5)]
    paginator = client.AsyncSandbox.list(limit=2, order="asc")
    pages = []
    while paginator.has_next:
        pages.append([info.sandbox_id for info in await paginator.next_items()])
    assert pages == [made[:2], made[2:4], made[4:]]


async def test_timeout_can_be_moved_later_and_sooner(client, sandbox, eventually):
    await sandbox.set_timeout(600)
    assert (await sandbox.get_info()).end_at.timestamp() - datetime.now(UTC).timestamp() > 590
    await sandbox.set_timeout(0)
    await eventually(lambda: gone(client, sandbox))


async def test_sandbox_is_killed_when_its_time_is_over(client, eventually):
    sandbox = await client.AsyncSandbox.create(timeout=1)
    await eventually(lambda: gone(client, sandbox))
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_info()
    assert not await sandbox.is_running()


async def test_connect_extends_but_never_shortens(client, sandbox):
    connected = await client.AsyncSandbox.connect(sandbox.sandbox_id, timeout=900)
    extended = (await sandbox.get_info()).end_at
    await client.AsyncSandbox.connect(sandbox.sandbox_id, timeout=10)
    assert (await sandbox.get_info()).end_at == extended
    assert (await connected.commands.run("echo same")).stdout == "same\n"


async def test_kill_is_true_once_and_false_afterwards(client, sandbox):
    assert await sandbox.kill()
    assert not await sandbox.kill()
    assert await list_ids(client) == set()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.set_timeout(10)


async def test_same_idempotency_key_and_body_make_one_sandbox(client):
    arguments = {"metadata": {"worker": "1"}, "idempotency_key": "run-1-worker-1"}
    first = await client.AsyncSandbox.create(**arguments)
    second = await client.AsyncSandbox.create(**arguments)
    assert second.sandbox_id == first.sandbox_id
    assert await list_ids(client) == {first.sandbox_id}
    assert (await second.commands.run("true")).exit_code == 0


async def test_same_idempotency_key_with_another_body_is_a_conflict(client):
    await client.AsyncSandbox.create(metadata={"worker": "1"}, idempotency_key="run-1")
    with pytest.raises(SandboxException) as refusal:
        await client.AsyncSandbox.create(metadata={"worker": "2"}, idempotency_key="run-1")
    assert refusal.value.status_code == 409


async def test_concurrent_creates_with_one_key_make_one_sandbox(client):
    ids = set()

    async def create():
        ids.add((await client.AsyncSandbox.create(idempotency_key="at-once")).sandbox_id)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(create)
    assert len(ids) == 1


async def test_wrong_key_is_an_authentication_error(emulator, connect_to):
    with pytest.raises(AuthenticationException):
        await connect_to(emulator.url, "another key").AsyncSandbox.create()


async def test_unknown_template_is_named_with_those_that_exist(client):
    with pytest.raises(SandboxException, match="'nonsense' not found: this server knows base,") as refusal:
        await client.AsyncSandbox.create(template="nonsense")
    assert refusal.value.status_code == 404


async def test_more_sandboxes_than_allowed_are_a_rate_limit(connect_to):
    async with EmulatorServer("k", sandboxes_max=2) as server:
        client = connect_to(server.url, "k")
        first = await client.AsyncSandbox.create()
        await client.AsyncSandbox.create()
        with pytest.raises(RateLimitException, match="maximum number of concurrent"):
            await client.AsyncSandbox.create()
        await first.kill()
        assert await (await client.AsyncSandbox.create()).is_running()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"{", "Input data was truncated", id="no JSON"),
        pytest.param(b"{}", "missing required field `templateID`", id="no template"),
        pytest.param(b'{"templateID":"base","timeout":"soon"}', "`$.timeout`", id="wrong type"),
        pytest.param(b'{"templateID":"base","timeout":-1}', "`int` >= 0 - at `$.timeout`", id="negative timeout"),
    ],
)
async def test_malformed_create_is_refused_with_its_reason(emulator, body, message):
    headers = {"X-API-KEY": emulator.api_key}
    async with (
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
        session.post("/v2/sandboxes", data=body) as answer,
    ):
        assert answer.status == 400
        refusal = await answer.json()
    assert refusal["code"] == 400
    assert message in refusal["message"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "startedAfter=soon", "nextToken=-"])
async def test_malformed_list_is_refused(emulator, query):
    headers = {"X-API-KEY": emulator.api_key}
    async with (
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
        session.get(f"/v2/sandboxes?{query}") as answer,
    ):
        assert answer.status == 400


async def test_a_server_without_a_key_is_refused():
    with pytest.raises(EmulatorError, match="key is empty"):
        EmulatorServer("")


async def gone(client, sandbox):
    return sandbox.sandbox_id not in await list_ids(client)
