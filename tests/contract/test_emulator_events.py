"""What the server tells of sandboxes' lives, to those who ask."""

from datetime import datetime

import aiohttp
import pytest

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


@pytest.fixture
def read_events(api):
    async def read(sandbox_id="", query="orderAsc=true&limit=100"):
        path = f"/events/sandboxes/{sandbox_id}" if sandbox_id else "/events/sandboxes"
        async with api.get(f"{path}?{query}") as answer:
            assert answer.status == 200
            return await answer.json()

    return read


def actions(events):
    return [event["type"].removeprefix("sandbox.lifecycle.") for event in events]


async def test_every_step_of_a_life_is_told(client, read_events):
    sandbox = await client.AsyncSandbox.create(timeout=60, metadata={"worker": "1"})
    await sandbox.set_timeout(120)
    await sandbox.create_snapshot(name="state")
    await sandbox.pause()
    await client.AsyncSandbox.connect(sandbox.sandbox_id)
    await sandbox.kill()
    events = await read_events(sandbox.sandbox_id)
    assert actions(events) == ["created", "updated", "checkpointed", "paused", "resumed", "killed"]
    assert all(event["eventData"]["sandbox_metadata"] == {"worker": "1"} for event in events)
    assert datetime.fromisoformat(events[1]["eventData"]["set_timeout"])
    assert events[5]["eventData"]["kill_reason"] == "request"
    assert events[5]["eventData"]["execution"]["vcpu_count"] == 2
    assert events[5]["eventData"]["execution"]["execution_time"] >= 0
    assert events[0]["sandboxExecutionId"] == events[3]["sandboxExecutionId"] != events[4]["sandboxExecutionId"]


async def test_event_has_the_fields_of_e2bs(sandbox, read_events):
    [event] = await read_events(sandbox.sandbox_id)
    assert set(event) == {
        "version",
        "id",
        "type",
        "eventData",
        "sandboxBuildId",
        "sandboxExecutionId",
        "sandboxId",
        "sandboxTeamId",
        "sandboxTemplateId",
        "timestamp",
    }
    assert event["version"] == "v2"
    assert event["sandboxId"] == sandbox.sandbox_id
    assert event["sandboxTemplateId"] == "base"


async def test_end_by_timeout_says_so(client, read_events, eventually):
    sandbox = await client.AsyncSandbox.create(timeout=1)

    async def is_told():
        return actions(await read_events(sandbox.sandbox_id))[-1] == "killed"

    await eventually(is_told)
    assert (await read_events(sandbox.sandbox_id))[-1]["eventData"]["kill_reason"] == "timeout"


async def test_events_of_all_sandboxes_come_the_last_first_and_ten_at_a_time(client, read_events):
    made = [(await client.AsyncSandbox.create()).sandbox_id for _ in range(12)]
    assert [event["sandboxId"] for event in await read_events(query="")] == made[:1:-1]
    assert [event["sandboxId"] for event in await read_events(query="offset=10")] == made[1::-1]
    assert [event["sandboxId"] for event in await read_events(query="orderAsc=true&limit=2&offset=1")] == made[1:3]


@pytest.mark.parametrize(
    "query",
    [
        "types=sandbox.lifecycle.paused&types=sandbox.lifecycle.killed",
        "types=sandbox.lifecycle.paused,sandbox.lifecycle.killed",
    ],
    ids=["repeated", "with a comma"],
)
async def test_events_are_chosen_by_type(sandbox, read_events, query):
    await sandbox.pause()
    await sandbox.kill()
    assert actions(await read_events(query=query)) == ["killed", "paused"]


async def test_fork_is_told_of_both(sandbox, read_events):
    [fork] = await sandbox.fork()
    assert actions(await read_events(sandbox.sandbox_id)) == ["created", "checkpointed"]
    assert actions(await read_events(fork.sandbox_id)) == ["created"]


async def test_sandbox_that_never_was_has_no_events(read_events):
    assert await read_events("inobody") == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=ten", "offset=-1", "orderAsc=maybe", "types=sandbox.lifecycle.born"],
    ids=lambda text: text,
)
async def test_malformed_question_is_refused_with_its_reason(api, query):
    async with api.get(f"/events/sandboxes?{query}") as answer:
        assert answer.status == 400
        assert query.partition("=")[0] in (await answer.json())["message"]
