"""Our provider against the embedded server when calls go wrong: asking again is safe, and nothing is started twice."""

from contextlib import asynccontextmanager

import pytest

from sandboxes.e2b import E2BAccount, open_e2b
from sandboxes.emulator.faults import Refusal, Reset
from sandboxes.provider import CredentialsRefused, SandboxSpec, TemporarySandboxError
from workers.http_network import open_http_network

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

SPEC = SandboxSpec(swarm="s", agent="agent-001", generation=1, lease_s=60, files={})


@asynccontextmanager
async def provider_of(server, api_key=None):
    account = E2BAccount(api_key=api_key or server.api_key, api_url=server.url, sandbox_url=server.url)
    async with open_http_network() as network, open_e2b(account, network) as provider:
        yield provider


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        pytest.param("create", Reset(after_work=True), id="created but not told"),
        pytest.param("run", Reset(), id="run closed"),
        pytest.param("run", Reset(is_hard=True), id="run reset"),
        pytest.param("run", Refusal(status=502), id="run behind a broken gateway"),
    ],
)
async def test_asking_again_after_a_failure_gives_one_sandbox_with_one_worker(emulator, where, fault):
    async with provider_of(emulator) as provider:
        emulator.faults.add(where, fault, times=1)
        with pytest.raises(TemporarySandboxError):
            await provider.create(SPEC)
        sandbox = await provider.create(SPEC)
        assert await provider.list("s") == [sandbox.id]
        assert (await provider.create(SPEC)).pid == sandbox.pid
        assert await provider.kill(sandbox.id)
        assert not await provider.kill(sandbox.id)


async def test_wrong_key_is_told_as_such(emulator):
    async with provider_of(emulator, api_key="e2b_wrong") as provider:
        with pytest.raises(CredentialsRefused, match="refused the API key"):
            await provider.list("s")
