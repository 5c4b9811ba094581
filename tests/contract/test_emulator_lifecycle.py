"""Pausing, resuming and waking, against the unmodified SDK."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import (
    RateLimitException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxQuery,
    SandboxState,
)

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

# Writes its beats to a file, and so does a child that has left its session.
BEATING = """
echo $$ > leader
(setsid bash -c 'echo $$ > child; while true; do echo beat >> child-beats; sleep 0.02; done' &)
while true; do echo beat >> beats; sleep 0.02; done
"""


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


def process_state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def list_ids(client, *states):
    query = SandboxQuery(state=list(states)) if states else None
    return {info.sandbox_id for info in await client.AsyncSandbox.list(query=query).next_items()}


async def start_beating(sandbox, eventually, find_pid):
    """Start the command; return its process, and a child's that is no longer in its session."""
    await sandbox.commands.run(BEATING, background=True, timeout=0, retain_output=False)

    async def is_started():
        return all([await sandbox.files.exists(name) for name in ("leader", "child", "beats", "child-beats")])

    await eventually(is_started)
    return [find_pid(sandbox, int(await sandbox.files.read(name))) for name in ("leader", "child")]


async def is_paused(sandbox):
    return (await sandbox.get_info()).state is SandboxState.PAUSED


async def test_pause_stops_every_process_and_connect_lets_it_go_on(client, sandbox, eventually, find_pid):
    pids = await start_beating(sandbox, eventually, find_pid)
    assert await sandbox.pause()
    assert [process_state(pid) for pid in pids] == ["T", "T"]
    assert (await sandbox.get_info()).state is SandboxState.PAUSED
    resumed = await client.AsyncSandbox.connect(sandbox.sandbox_id, timeout=60)
    before = await resumed.files.read("child-beats")

    async def beats_on():
        return len(await resumed.files.read("child-beats")) > len(before)

    await eventually(beats_on)
    assert (await resumed.get_info()).state is SandboxState.RUNNING


async def test_pausing_twice_is_false(sandbox):
    assert await sandbox.pause()
    assert not await sandbox.pause()


async def test_paused_sandbox_is_listed_by_its_state(client, sandbox):
    running = await client.AsyncSandbox.create()
    await sandbox.pause()
    assert await list_ids(client) == {sandbox.sandbox_id, running.sandbox_id}
    assert await list_ids(client, SandboxState.PAUSED) == {sandbox.sandbox_id}
    assert await list_ids(client, SandboxState.RUNNING) == {running.sandbox_id}


async def test_nobody_reaches_a_paused_sandbox(sandbox):
    await sandbox.pause()
    with pytest.raises(SandboxNotRunningException):
        await sandbox.commands.run("true")
    with pytest.raises(SandboxNotRunningException):
        await sandbox.files.read(".profile")
    assert not await sandbox.is_running()


async def test_pause_cuts_the_streams_of_commands(sandbox, eventually):
    handle = await sandbox.commands.run("echo up; sleep 600", background=True, timeout=0)
    await eventually(lambda: handle.stdout == "up\n")
    await sandbox.pause()
    with pytest.raises(SandboxNotRunningException):
        await handle.wait()


async def test_command_is_followed_again_after_resume(client, sandbox, eventually):
    handle = await sandbox.commands.run("read line; echo got $line", background=True, stdin=True, timeout=0)
    await sandbox.pause()
    resumed = await client.AsyncSandbox.connect(sandbox.sandbox_id)
    followed = await resumed.commands.connect(handle.pid, timeout=0)
    await resumed.commands.send_stdin(handle.pid, "it\n")
    assert (await followed.wait()).stdout == "got it\n"


async def test_paused_sandbox_outlives_its_timeout(client, eventually):
    sandbox = await client.AsyncSandbox.create(timeout=1)
    witness = await client.AsyncSandbox.create(timeout=1)
    await sandbox.pause()

    async def is_over():
        return witness.sandbox_id not in await list_ids(client)

    await eventually(is_over)
    assert await is_paused(sandbox)


async def test_timeout_and_network_of_a_paused_sandbox_cannot_be_changed(sandbox):
    await sandbox.pause()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.set_timeout(60)
    with pytest.raises(SandboxNotFoundException):
        await sandbox.update_network({})


async def test_resume_starts_a_new_lease_and_connect_extends_a_running_one(api, sandbox):
    async def connect(timeout):
        async with api.post(f"/v2/sandboxes/{sandbox.sandbox_id}/connect", json={"timeout": timeout}) as answer:
            return answer.status

    async def lease_s():
        info = await sandbox.get_info()
        return (info.end_at - datetime.now(UTC)).total_seconds()

    await sandbox.pause()
    assert await connect(20) == 201
    assert 15 < await lease_s() <= 20
    assert await connect(10) == 200
    assert 15 < await lease_s() <= 20
    assert await connect(90) == 200
    assert 85 < await lease_s() <= 90


async def test_resume_restarts_the_clock_of_the_sandbox(client, sandbox):
    started_at = (await sandbox.get_info()).started_at
    await sandbox.pause()
    await client.AsyncSandbox.connect(sandbox.sandbox_id)
    assert (await sandbox.get_info()).started_at > started_at


async def test_reboot_kills_processes_and_keeps_files(client, sandbox, eventually, is_alive, find_pid):
    pids = await start_beating(sandbox, eventually, find_pid)
    await sandbox.pause()
    rebooted = await client.AsyncSandbox.connect(sandbox.sandbox_id, on_resume="reboot")
    assert not any(is_alive(pid) for pid in pids)
    assert await rebooted.files.exists("beats")
    assert await rebooted.commands.list() == []
    assert (await rebooted.commands.run("echo again")).stdout == "again\n"


async def test_filesystem_pause_kills_processes_and_keeps_files(api, client, sandbox, eventually, is_alive, find_pid):
    pids = await start_beating(sandbox, eventually, find_pid)
    assert await sandbox.pause(mode="filesystem")
    assert not any(is_alive(pid) for pid in pids)
    async with api.get(f"/sandboxes/{sandbox.sandbox_id}") as answer:
        assert (await answer.json())["pauseMode"] == "filesystem"
    resumed = await client.AsyncSandbox.connect(sandbox.sandbox_id)
    assert await resumed.files.exists("beats")
    assert (await resumed.commands.run("echo again")).stdout == "again\n"


async def test_paused_sandbox_is_killed_with_its_processes(client, sandbox, eventually, is_alive, find_pid):
    pids = await start_beating(sandbox, eventually, find_pid)
    await sandbox.pause()
    assert await sandbox.kill()
    assert not any(is_alive(pid) for pid in pids)
    assert await list_ids(client) == set()


async def test_stopped_server_leaves_nothing_of_a_paused_sandbox(connect_to, eventually, is_alive, find_pid):
    async with EmulatorServer("k") as server:
        sandbox = await connect_to(server.url, "k").AsyncSandbox.create()
        pids = await start_beating(sandbox, eventually, find_pid)
        await sandbox.pause()
    assert not any(is_alive(pid) for pid in pids)


async def test_paused_sandboxes_do_not_count_against_the_limit(connect_to):
    async with EmulatorServer("k", sandboxes_max=1) as server:
        client = connect_to(server.url, "k")
        first = await client.AsyncSandbox.create()
        await first.pause()
        second = await client.AsyncSandbox.create()
        with pytest.raises(RateLimitException, match="maximum number of concurrent"):
            await client.AsyncSandbox.connect(first.sandbox_id)
        assert await is_paused(first)
        await second.kill()
        assert await (await client.AsyncSandbox.connect(first.sandbox_id)).is_running()


@pytest.mark.parametrize("mode", ["full", "filesystem"])
async def test_sandbox_pauses_on_timeout_when_asked_to(client, eventually, mode, api):
    sandbox = await client.AsyncSandbox.create(timeout=1, lifecycle={"on_timeout": {"action": "pause", "mode": mode}})
    await sandbox.files.write("kept", "kept")
    assert (await sandbox.get_info()).lifecycle == {"on_timeout": "pause", "auto_resume": False}
    await eventually(lambda: is_paused(sandbox))
    async with api.get(f"/sandboxes/{sandbox.sandbox_id}") as answer:
        assert (await answer.json())["pauseMode"] == mode
    resumed = await client.AsyncSandbox.connect(sandbox.sandbox_id)
    assert await resumed.files.read("kept") == "kept"


async def test_sdk_call_wakes_a_sandbox_that_resumes_on_traffic(client):
    sandbox = await client.AsyncSandbox.create(timeout=60, lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sandbox.pause()
    assert (await sandbox.commands.run("echo awake")).stdout == "awake\n"
    info = await sandbox.get_info()
    assert info.state is SandboxState.RUNNING
    assert info.end_at - info.started_at > timedelta(seconds=290)


async def test_http_request_wakes_a_sandbox_that_resumes_on_traffic(emulator, client):
    sandbox = await client.AsyncSandbox.create(
        lifecycle={"on_timeout": "pause", "auto_resume": True}, network={"allow_public_traffic": False}
    )
    await sandbox.pause()
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}
    async with aiohttp.ClientSession(emulator.url) as session:
        async with session.get("/", headers=headers) as answer:
            assert answer.status == 403
        assert await is_paused(sandbox)
        headers["e2b-traffic-access-token"] = sandbox.traffic_access_token
        async with session.get("/", headers=headers) as answer:
            assert (await answer.json())["message"] == "The sandbox is running but port is not open"


async def test_many_requests_wake_a_sandbox_once(client, api):
    sandbox = await client.AsyncSandbox.create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sandbox.pause()
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(sandbox.commands.run, "true")
    async with api.get(f"/events/sandboxes/{sandbox.sandbox_id}?types=sandbox.lifecycle.resumed") as answer:
        assert len(await answer.json()) == 1


async def test_filesystem_pause_is_not_woken_by_traffic(client):
    sandbox = await client.AsyncSandbox.create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await sandbox.pause(mode="filesystem")
    with pytest.raises(SandboxNotRunningException):
        await sandbox.commands.run("true")


async def test_pause_and_connect_of_an_unknown_sandbox_are_not_found(client):
    with pytest.raises(SandboxNotFoundException):
        await client.AsyncSandbox.pause("inobody")
    with pytest.raises(SandboxNotFoundException):
        await client.AsyncSandbox.connect("inobody")


async def test_concurrent_pauses_and_kills_end_in_one_state(client, sandbox):
    outcomes = []

    async def pause():
        try:
            outcomes.append(await sandbox.pause())
        except SandboxNotFoundException:
            outcomes.append(None)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(pause)
        tasks.start_soon(sandbox.kill)
    assert outcomes.count(True) <= 1
    assert await list_ids(client) == set()


async def test_resume_is_a_conflict_for_a_running_sandbox_and_takes_auto_pause(api, sandbox):
    where = f"/sandboxes/{sandbox.sandbox_id}/resume"
    async with api.post(where, json={"timeout": 60}) as answer:
        assert answer.status == 409
    await sandbox.pause()
    async with api.post(where, json={"timeout": 60, "autoPause": True}) as answer:
        assert answer.status == 201
        assert (await answer.json())["sandboxID"] == sandbox.sandbox_id
    assert (await sandbox.get_info()).lifecycle["on_timeout"] == "pause"


async def test_refresh_only_extends(api, sandbox):
    before = (await sandbox.get_info()).end_at
    async with api.post(f"/sandboxes/{sandbox.sandbox_id}/refreshes", json={"duration": 5}) as answer:
        assert answer.status == 204
    assert (await sandbox.get_info()).end_at == before
    async with api.post(f"/sandboxes/{sandbox.sandbox_id}/refreshes", json={"duration": 500}) as answer:
        assert answer.status == 204
    assert (await sandbox.get_info()).end_at > before


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        pytest.param("pause", {"memory": "no"}, "`$.memory`", id="pause"),
        pytest.param("connect", {"timeout": -1}, "`int` >= 0 - at `$.timeout`", id="connect"),
        pytest.param("connect", {"timeout": 10**12}, "`int` <= 31536000", id="connect beyond the calendar"),
        pytest.param("resume", {"timeout": "x"}, "`$.timeout`", id="resume"),
        pytest.param("timeout", {}, "missing required field `timeout`", id="timeout"),
        pytest.param("refreshes", {"duration": -5}, "`int` >= 0 - at `$.duration`", id="refresh"),
    ],
)
async def test_malformed_change_is_refused_with_its_reason(api, sandbox, path, body, reason):
    async with api.post(f"/sandboxes/{sandbox.sandbox_id}/{path}", json=body) as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["message"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"autoResume": {"enabled": True}}, "without autoPause", id="resume without pause"),
        pytest.param(
            {"autoPause": True, "autoPauseMemory": False, "autoResume": {"enabled": True}},
            "cannot be combined",
            id="resume without memory",
        ),
    ],
)
async def test_lifecycle_that_makes_no_sense_is_refused(api, body, reason):
    async with api.post("/v2/sandboxes", json={"templateID": "base", **body}) as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["message"]


@pytest.mark.parametrize("field", ["mcp", "iam", "volumeMounts"])
async def test_what_is_not_implemented_is_named(api, field):
    async with api.post("/v2/sandboxes", json={"templateID": "base", field: {}}) as answer:
        assert answer.status == 501
        assert f"cannot keep {field}" in (await answer.json())["message"]


async def test_key_is_also_taken_as_a_bearer_token(emulator):
    async with aiohttp.ClientSession(emulator.url) as session:
        for key, status in ((emulator.api_key, 200), ("another", 401)):
            async with session.get("/v2/sandboxes", headers={"Authorization": f"Bearer {key}"}) as answer:
                assert answer.status == status


async def test_first_generation_lists_running_sandboxes_only(api, client, sandbox):
    await (await client.AsyncSandbox.create()).pause()
    async with api.get("/sandboxes") as answer:
        assert [row["sandboxID"] for row in await answer.json()] == [sandbox.sandbox_id]
    async with api.get("/v2/sandboxes?state=asleep") as answer:
        assert answer.status == 400


async def test_synchronous_sdk_pauses_and_resumes(client, sandbox):
    def drive():
        same = client.Sandbox.connect(sandbox.sandbox_id)
        assert same.pause()
        assert not same.is_running()
        assert client.Sandbox.connect(sandbox.sandbox_id).commands.run("echo on").stdout == "on\n"

    await anyio.to_thread.run_sync(drive)


async def test_pause_of_strict_kind_is_accepted(sandbox):
    assert await sandbox.pause(strict=True)


async def test_unknown_path_is_named(api):
    async with api.get("/v2/nothing") as answer:
        assert answer.status == 501
        assert "GET /v2/nothing is not implemented" in (await answer.json())["message"]
