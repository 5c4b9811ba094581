"""What the control plane says sandboxes use."""

from datetime import UTC, datetime, timedelta

import aiohttp
import anyio
import pytest
from e2b import SandboxNotFoundException

from sandboxes.emulator.fleet.usage import Usage
from sandboxes.emulator.fleet.usage_sampler import SampleRing

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

MEBIBYTE = 1024 * 1024


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


async def test_first_question_is_answered_at_once(sandbox):
    metrics = await sandbox.get_metrics()
    assert len(metrics) == 1
    assert metrics[0].cpu_count == 2
    assert metrics[0].mem_total == 512 * MEBIBYTE
    assert metrics[0].disk_total > metrics[0].disk_used > 0
    assert abs(metrics[0].timestamp - datetime.now(UTC)) < timedelta(seconds=5)


async def test_use_of_processes_and_files_is_seen(sandbox, eventually):
    await sandbox.commands.run("head -c 30000000 /dev/urandom > large; touch written")
    program = "import time; kept = bytearray(b'x') * 60_000_000; open('ready', 'w')\nwhile True: pass"
    await sandbox.files.write("program.py", program)
    await sandbox.commands.run("exec python program.py", background=True, timeout=0)
    await eventually(lambda: sandbox.files.exists("ready"))
    await sandbox.commands.run("timeout 1 cat /dev/zero > /dev/null || true")
    [metric] = await sandbox.get_metrics()
    assert metric.disk_used >= 30_000_000
    assert metric.mem_used >= 60_000_000
    assert metric.cpu_used_pct > 1


async def test_idle_sandbox_uses_no_processor(sandbox):
    [metric] = await sandbox.get_metrics()
    assert metric.cpu_used_pct == 0
    assert metric.mem_used == 0


async def test_samples_are_chosen_by_their_time(sandbox):
    now = datetime.now(UTC)
    assert len(await sandbox.get_metrics(start=now - timedelta(minutes=1), end=now + timedelta(minutes=1))) == 1
    assert await sandbox.get_metrics(start=now + timedelta(minutes=1)) == []
    assert await sandbox.get_metrics(end=now - timedelta(minutes=1)) == []


async def test_paused_sandbox_is_not_measured_but_remembered(sandbox):
    await sandbox.get_metrics()
    await sandbox.pause()
    assert len(await sandbox.get_metrics()) == 1


async def test_metrics_of_several_sandboxes_come_together(api, client, sandbox):
    other = await client.AsyncSandbox.create()
    ids = f"{sandbox.sandbox_id},{other.sandbox_id},inobody"
    async with api.get(f"/sandboxes/metrics?sandbox_ids={ids}") as answer:
        found = (await answer.json())["sandboxes"]
    assert set(found) == {sandbox.sandbox_id, other.sandbox_id}
    assert found[other.sandbox_id]["cpuCount"] == 2


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("start=x", "start is 'x'", id="start"),
        pytest.param("end=-1", "end is -1", id="end"),
        pytest.param("start=10&end=5", "start must not be after end", id="order"),
    ],
)
async def test_malformed_question_is_refused_with_its_reason(api, sandbox, query, reason):
    async with api.get(f"/sandboxes/{sandbox.sandbox_id}/metrics?{query}") as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["message"]


@pytest.mark.parametrize("ids", ["", ",".join(f"i{number}" for number in range(101))], ids=["none", "too many"])
async def test_malformed_question_for_several_is_refused(api, ids):
    async with api.get(f"/sandboxes/metrics?sandbox_ids={ids}") as answer:
        assert answer.status == 400


async def test_metrics_of_a_dead_sandbox_are_not_found(sandbox):
    await sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_metrics()


async def test_synchronous_sdk_reads_metrics(client, sandbox):
    def drive():
        assert len(client.Sandbox.connect(sandbox.sandbox_id).get_metrics()) == 1

    await anyio.to_thread.run_sync(drive)


def make_usage(at, cpu_s):
    return Usage(at=at, cpu_s=cpu_s, memory_bytes=0, disk_bytes=0)


@pytest.mark.parametrize(
    ("cpu_s", "expected"),
    [
        pytest.param([0.0, 5.0], [0.0, 50.0], id="one of two processors"),
        pytest.param([10.0, 10.0], [100.0, 0.0], id="all since the start, then nothing"),
        pytest.param([5.0, 2.0], [50.0, 0.0], id="a process ended"),
        pytest.param([0.0, 50.0], [0.0, 100.0], id="more than there is"),
    ],
)
async def test_processor_use_is_the_share_since_the_sample_before(cpu_s, expected):
    started_at = datetime.now(UTC)
    ring = SampleRing()
    for number, used in enumerate(cpu_s, start=1):
        ring.add(make_usage(started_at + number * timedelta(seconds=5), used), started_at=started_at, cpu_count=2)
    assert [sample.cpu_used_pct for sample in ring.samples] == expected


async def test_ring_keeps_an_hour():
    ring = SampleRing()
    started_at = datetime.now(UTC)
    for number in range(1000):
        ring.add(make_usage(started_at + number * timedelta(seconds=5), 0), started_at=started_at, cpu_count=2)
    assert len(ring.samples) == 720
