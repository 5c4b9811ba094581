"""The logs of sandboxes, read through the SDK's generated client."""

import json

import aiohttp
import pytest
from e2b.api.client.api.sandboxes import get_sandboxes_sandbox_id_logs, get_v_2_sandboxes_sandbox_id_logs
from e2b.api.client.models import LogLevel, LogsDirection
from e2b.api.client_async import get_api_client
from e2b.connection_config import ConnectionConfig

from sandboxes.emulator.fleet.sandbox_journal import Journals, SandboxJournal

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
def generated(emulator):
    return get_api_client(ConnectionConfig(api_key=emulator.api_key, api_url=emulator.url))


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


@pytest.fixture
def read_page(generated, sandbox):
    async def read(**query):
        answer = await get_v_2_sandboxes_sandbox_id_logs.asyncio_detailed(sandbox.sandbox_id, client=generated, **query)
        return answer.parsed.logs

    return read


async def test_log_tells_what_happened_also_after_the_end(sandbox, read_page):
    await sandbox.commands.run("true")
    await sandbox.pause()
    await sandbox.kill()
    entries = await read_page(direction=LogsDirection.FORWARD)
    assert [entry.message for entry in entries] == [
        "Sandbox created",
        "Process started",
        "Process ended: exit status 0",
        "Sandbox paused",
        "Sandbox killed",
    ]
    assert entries[1].fields.additional_properties["cmd"] == "/bin/bash -l -c true"
    assert entries[1].fields["pid"] == entries[2].fields["pid"]
    assert entries[4].fields["kill_reason"] == "request"


async def test_last_entries_come_first_unless_asked_otherwise(sandbox, read_page):
    await sandbox.commands.run("true")
    backward = [entry.message for entry in await read_page()]
    assert backward[-1] == "Sandbox created"
    assert [entry.message for entry in await read_page(direction=LogsDirection.FORWARD)] == backward[::-1]
    assert [entry.message for entry in await read_page(limit=1)] == backward[:1]


async def test_entries_are_chosen_by_cursor_level_and_text(sandbox, read_page):
    handle = await sandbox.commands.run("exit 3", background=True)
    with pytest.raises(Exception, match="3"):
        await handle.wait()
    [failure] = await read_page(level=LogLevel.WARN)
    assert failure.message == "Process ended: exit status 3"
    assert [entry.message for entry in await read_page(search="started")] == ["Process started"]
    assert await read_page(cursor=1) == []
    later = int(failure.timestamp.timestamp() * 1000) + 1000
    assert await read_page(cursor=later, direction=LogsDirection.FORWARD) == []
    assert len(await read_page(cursor=later)) == 3


async def test_first_generation_shows_lines_and_entries(sandbox, generated):
    answer = await get_sandboxes_sandbox_id_logs.asyncio_detailed(sandbox.sandbox_id, client=generated)
    assert json.loads(answer.parsed.logs[0].line)["message"] == "Sandbox created"
    assert answer.parsed.log_entries[0].message == "Sandbox created"
    assert answer.parsed.log_entries[0].level is LogLevel.INFO
    none = await get_sandboxes_sandbox_id_logs.asyncio_detailed(sandbox.sandbox_id, client=generated, limit=0)
    assert none.parsed.logs == []


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=1001", "cursor=x", "direction=sideways", "level=loud"], ids=lambda text: text
)
async def test_malformed_question_is_refused(api, sandbox, query):
    async with api.get(f"/v2/sandboxes/{sandbox.sandbox_id}/logs?{query}") as answer:
        assert answer.status == 400
        assert query.partition("=")[0] in (await answer.json())["message"]


async def test_sandbox_that_never_was_has_no_log(api):
    for version in ("", "/v2"):
        async with api.get(f"{version}/sandboxes/inobody/logs") as answer:
            assert answer.status == 404


def test_journal_forgets_its_oldest_entries():
    journal = SandboxJournal()
    for number in range(1500):
        journal.note(f"entry {number}", {})
    assert len(journal.entries) == 1000
    assert journal.entries[0].message == "entry 500"


def test_journals_of_the_ended_are_bounded():
    journals = Journals()
    for number in range(1100):
        journals.open(f"i{number}")
        journals.close(f"i{number}")
    assert journals.find("i0") is None
    assert journals.find("i1099") is not None
