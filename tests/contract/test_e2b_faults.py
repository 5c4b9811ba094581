"""Faults on purpose in real sandboxes: commands over the SDK, seen from outside in /proc."""

from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from sandboxes.e2b import E2BAccount, open_e2b
from sandboxes.injector import BurnCpu, GrowMemory, Kill, Stop, Vanish
from sandboxes.provider import PermanentSandboxError, SandboxGone, SandboxSpec
from workers.http_network import open_http_network

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

SPEC = SandboxSpec(swarm="s", agent="agent-001", generation=1, lease_s=60, files={})


@pytest.fixture
def victim(emulator, client, find_pid):
    """Return a context with a provider, a sandbox with a worker, and the machine's number of that worker."""

    @asynccontextmanager
    async def make():
        account = E2BAccount(api_key=emulator.api_key, api_url=emulator.url, sandbox_url=emulator.url)
        async with open_http_network() as network, open_e2b(account, network) as provider:
            sandbox = await provider.create(SPEC)
            yield provider, sandbox, find_pid(await client.AsyncSandbox.connect(sandbox.id), sandbox.pid)
            await provider.kill(sandbox.id)

    return make


def state_of(pid):
    """Return the letter of a process's state: T when it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def processes_with(word):
    """Find processes by a word of their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended while we looked
    return found


async def test_armed_fault_does_nothing_until_it_is_fired(victim, is_alive, eventually):
    async with victim() as (provider, sandbox, worker):
        fire = await provider.arm(sandbox, Kill())
        await anyio.sleep(0.2)
        assert is_alive(worker)
        await fire()
        await eventually(lambda: not is_alive(worker))


async def test_stopped_worker_stays_stopped_or_goes_on_after_its_time(victim, eventually):
    async with victim() as (provider, sandbox, worker):
        for seconds in (0.3, None):
            await (await provider.arm(sandbox, Stop(seconds)))()
            await eventually(lambda: state_of(worker) == "T")
            if seconds is not None:
                await eventually(lambda: state_of(worker) != "T")


async def test_stopped_worker_and_armed_faults_end_with_the_sandbox(victim, is_alive):
    async with victim() as (provider, sandbox, worker):
        await provider.arm(sandbox, Kill())
        await (await provider.arm(sandbox, Stop(None)))()
        assert await provider.kill(sandbox.id)
        assert not is_alive(worker)


async def test_cores_are_burned_for_a_time_and_the_worker_lives(victim, is_alive, eventually):
    async with victim() as (provider, sandbox, worker):
        mark = "timeout 0.7 sh"
        await (await provider.arm(sandbox, BurnCpu(0.7)))()
        await eventually(lambda: any(state_of(pid) == "R" for pid in processes_with("while :; do :; done")))
        await eventually(lambda: not processes_with(mark.replace(" ", "\0")))
        assert is_alive(worker)


async def test_memory_grows_to_its_size(victim, eventually):
    async with victim() as (provider, sandbox, _):
        await (await provider.arm(sandbox, GrowMemory(77, None)))()

        def has_grown():
            sizes = []
            for pid in processes_with("range(77)"):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                sizes += [int(line.split()[1]) for line in lines if line.startswith("VmRSS")]
            return any(size > 75_000 for size in sizes)

        await eventually(has_grown)


async def test_vanished_sandbox_is_not_listed(victim, is_alive):
    async with victim() as (provider, sandbox, worker):
        await (await provider.arm(sandbox, Vanish()))()
        assert await provider.list("s") == []
        assert not is_alive(worker)
        with pytest.raises(SandboxGone):
            await provider.arm(sandbox, Kill())


async def test_worker_whose_process_nobody_knows_cannot_be_met(victim):
    async with victim() as (provider, sandbox, _):
        with pytest.raises(PermanentSandboxError, match="nobody knows the worker's process"):
            await provider.arm(msgspec.structs.replace(sandbox, pid=None), Kill())
