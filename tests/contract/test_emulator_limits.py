"""The limits of E2B's plans: how many sandboxes at once, how many per second, for how long."""

import re
from datetime import timedelta

import anyio
import e2b
import httpx
import pytest

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.control.limits import HOBBY, PRO, UNLIMITED, CreationBucket, RateLimited, Tier, clamp_length
from sandboxes.emulator.errors import ApiError

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
def serve(connect_to):
    """Return a function that starts a server with a tier and gives the SDK for it, with no retries."""

    class Served:
        def __init__(self, tier, **options):
            self._server = EmulatorServer("k", tier=tier, **options)

        async def __aenter__(self):
            server = await self._server.__aenter__()
            return connect_to(server.url, "k"), server

        async def __aexit__(self, *reason):
            await self._server.__aexit__(*reason)

    return Served


async def test_hobby_runs_twenty_sandboxes_at_once(serve):
    tier = Tier(sandboxes_max=HOBBY.sandboxes_max)
    async with serve(tier) as (client, _server):
        sandboxes = [await client.AsyncSandbox.create() for _ in range(20)]
        reached = re.escape("maximum number of concurrent E2B sandboxes (20)")
        with pytest.raises(e2b.RateLimitException, match=reached) as caught:
            await client.AsyncSandbox.create()
        assert caught.value.status_code == 429
        await sandboxes[0].kill()
        await client.AsyncSandbox.create()


async def test_paused_sandbox_gives_its_place_away_and_cannot_come_back(serve):
    async with serve(Tier(sandboxes_max=1)) as (client, _server):
        sandbox = await client.AsyncSandbox.create()
        await sandbox.pause()
        await client.AsyncSandbox.create()
        with pytest.raises(e2b.RateLimitException):
            await sandbox.connect()


async def test_lower_of_tier_and_sandboxes_max_holds(serve):
    async with serve(PRO, sandboxes_max=1) as (client, _server):
        await client.AsyncSandbox.create()
        with pytest.raises(e2b.RateLimitException, match=re.escape("sandboxes (1)")):
            await client.AsyncSandbox.create()


async def test_creating_too_fast_is_refused_with_the_time_to_wait(serve):
    async with serve(HOBBY) as (client, server), httpx.AsyncClient(headers={"X-API-KEY": "k"}) as http:
        await client.AsyncSandbox.create()
        answer = await http.post(f"{server.url}/v2/sandboxes", json={"templateID": "base"})
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["RateLimit-Limit"] == "1"
        assert answer.json()["code"] == 429


async def test_sdk_waits_as_told_and_gets_its_sandbox(serve):
    async with serve(HOBBY) as (_client, server):
        retrying = e2b.E2B(api_key="k", api_url=server.url, sandbox_url=server.url)
        started = anyio.current_time()
        for _ in range(2):
            await retrying.AsyncSandbox.create()
        assert anyio.current_time() - started >= 1.0


async def test_answer_that_is_repeated_for_its_key_takes_no_token(serve):
    async with serve(HOBBY) as (client, _server):
        first, second = [await client.AsyncSandbox.create(idempotency_key="once") for _ in range(2)]
        assert first.sandbox_id == second.sandbox_id


async def test_timeouts_are_clamped_silently_to_the_longest_run(serve):
    async with serve(Tier(length_max_s=100)) as (client, _server):
        sandbox = await client.AsyncSandbox.create(timeout=1000)
        created = await sandbox.get_info()
        assert created.end_at - created.started_at <= timedelta(seconds=101)
        await sandbox.set_timeout(1000)
        renewed = await sandbox.get_info()
        assert renewed.end_at - renewed.started_at <= timedelta(seconds=101)
        await sandbox.set_timeout(10)
        assert (await sandbox.get_info()).end_at < renewed.end_at


async def test_sandbox_ends_at_its_longest_run(serve, eventually):
    async with serve(Tier(length_max_s=0.3)) as (client, _server):
        sandbox = await client.AsyncSandbox.create(timeout=1000)
        assert await sandbox.is_running()

        async def is_over():
            return not await sandbox.is_running()

        await eventually(is_over)


async def test_pause_and_resume_restart_the_clock(serve):
    async with serve(Tier(length_max_s=100)) as (client, _server):
        sandbox = await client.AsyncSandbox.create(timeout=1000)
        before = await sandbox.get_info()
        await sandbox.pause()
        await anyio.sleep(0.2)
        await sandbox.connect(timeout=1000)
        after = await sandbox.get_info()
        assert after.started_at > before.started_at
        assert after.end_at - before.end_at >= timedelta(seconds=0.2)
        assert after.end_at - after.started_at <= timedelta(seconds=101)


async def test_renewal_after_the_longest_run_is_refused(serve):
    async with serve(Tier(length_max_s=100)) as (client, server), httpx.AsyncClient(headers={"X-API-KEY": "k"}) as http:
        sandbox = await client.AsyncSandbox.create(timeout=50)
        [found] = server._parts.registry.list_living()
        found.started_at -= timedelta(seconds=101)  # as if its timer were late
        answer = await http.post(f"{server.url}/sandboxes/{sandbox.sandbox_id}/timeout", json={"timeout": 10})
        assert (answer.status_code, answer.json()["message"]) == (400, "Max instance length exceeded")


def test_bucket_holds_a_second_worth_and_fills_at_its_rate():
    bucket = CreationBucket(PRO)
    for _ in range(5):
        bucket.take(10.0)
    with pytest.raises(RateLimited):
        bucket.take(10.0)
    bucket.take(10.2)
    with pytest.raises(RateLimited) as caught:
        bucket.take(10.3)
    assert caught.value.headers()["Retry-After"] == "1"


def test_bucket_without_a_rate_is_bottomless():
    bucket = CreationBucket(UNLIMITED)
    for _ in range(10_000):
        bucket.take(0.0)


@pytest.mark.parametrize(
    ("timeout_s", "ran_s", "left_s"), [(10, 0, 10), (100, 0, 100), (101, 0, 100), (50, 70, 30), (10, 99.5, 0.5)]
)
def test_length_is_what_is_left_of_the_longest(timeout_s, ran_s, left_s):
    assert clamp_length(timeout_s, ran_s=ran_s, tier=Tier(length_max_s=100)) == left_s


@pytest.mark.parametrize("ran_s", [100, 101])
def test_nothing_is_left_after_the_longest(ran_s):
    with pytest.raises(ApiError, match=r"^Max instance length exceeded$"):
        clamp_length(10, ran_s=ran_s, tier=Tier(length_max_s=100))
