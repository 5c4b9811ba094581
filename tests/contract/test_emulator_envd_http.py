"""envd's plain HTTP calls: health, metrics, environment, and what is not for everybody."""

import os

import aiohttp
import pytest

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
async def http(emulator, sandbox):
    async with aiohttp.ClientSession(emulator.url, headers=sandbox.connection_config.sandbox_headers) as session:
        yield session


async def fetch(http, path):
    async with http.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_health_needs_no_token(emulator, sandbox):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session, session.get("/health") as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    assert await sandbox.is_running()


async def test_metrics_have_envds_fields_and_this_machines_totals(http):
    found = await fetch(http, "/metrics")
    names = {"ts", "cpu_count", "cpu_used_pct", "mem_total", "mem_used", "mem_cache", "disk_used", "disk_total"}
    assert set(found) == names
    assert found["cpu_count"] == os.cpu_count()
    assert found["mem_total"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found["disk_used"] < found["disk_total"]
    assert (found["mem_used"], found["cpu_used_pct"]) == (0, 0)  # nothing runs yet


async def test_metrics_tell_what_the_sandbox_uses(http, sandbox, eventually):
    before = await fetch(http, "/metrics")
    script = "b = bytearray(50_000_000); open('f', 'wb').write(bytes(10_000_000))"
    await sandbox.commands.run(f'python -c "{script}\nwhile True: pass"', background=True, timeout=0)
    found = {}

    async def is_busy():
        found.update(await fetch(http, "/metrics"))
        return (
            found["cpu_used_pct"] > 0
            and found["mem_used"] > 50_000_000
            and found["disk_used"] >= before["disk_used"] + 10_000_000
        )

    await eventually(is_busy)
    assert found["cpu_used_pct"] <= 100
    assert found["mem_cache"] > 0


async def test_metrics_are_the_sandboxs_own(client, http, sandbox):
    other = await client.AsyncSandbox.create(timeout=60)
    await other.commands.run("python -c 'import time; b = bytearray(50_000_000); time.sleep(60)'", background=True)
    assert (await fetch(http, "/metrics"))["mem_used"] < 50_000_000


async def test_environment_is_what_commands_find(client, emulator):
    sandbox = await client.AsyncSandbox.create(timeout=60, envs={"A": "1"})
    async with aiohttp.ClientSession(emulator.url, headers=sandbox.connection_config.sandbox_headers) as session:
        found = await fetch(session, "/envs")
    assert found["A"] == "1"
    assert (found["E2B_SANDBOX"], found["E2B_SANDBOX_ID"]) == ("true", sandbox.sandbox_id)
    seen = (await sandbox.commands.run("env")).stdout
    assert all(f"{name}={value}" in seen for name, value in found.items())


@pytest.mark.parametrize("path", ["/metrics", "/envs", "/files/compose", "/process.Process/List"])
async def test_other_calls_need_the_token(emulator, sandbox, path):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id}
    method = "GET" if path in {"/metrics", "/envs"} else "POST"
    async with (
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
        session.request(method, f"{path}?signature=v1_x") as answer,
    ):
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/init", "/freeze", "/unfreeze", "/collapse", "/upgrade", "/fsfreeze", "/fsthaw"])
async def test_internal_calls_are_refused_also_with_the_token(http, path):
    async with http.post(path) as answer:
        assert answer.status == 404
        assert "reserved for the E2B control plane" in (await answer.json())["message"]
