"""Simulated sandboxes: what the manager relies on, where there is no server behind it."""

import random

import anyio
import pytest

from sandboxes.provider import PermanentSandboxError, SandboxSpec
from sandboxes.simulated import START_S_MAX, open_simulation
from workers.network import Refused, Unreachable


class Even(random.Random):
    """Everything takes the same time."""

    def uniform(self, a, b):
        return (a + b) / 2


@pytest.fixture
def run_simulation(run_virtual, tmp_path):
    def run(use, rng=None):
        async def main():
            async with open_simulation(rng or random.Random(1), tmp_path) as (provider, network):
                return await use(provider, network)

        return run_virtual(main)

    return run


def spec(agent="a", lease_s=300, **files):
    return SandboxSpec(swarm="s", agent=agent, generation=1, lease_s=lease_s, files=files)


async def answers(network, endpoint):
    """Whether a worker listens there: an anonymous one refuses links."""
    try:
        await network.dial(endpoint, "/link", headers={})
    except Refused:
        return True
    except Unreachable:
        return False


def test_sandbox_comes_with_a_worker_that_listens_and_its_files(run_simulation, tmp_path):
    async def use(provider, network):
        sandbox = await provider.create(spec(**{"swarm/mine.py": b"content"}))
        assert 0.0 < anyio.current_time() <= START_S_MAX
        assert await answers(network, sandbox.endpoint)
        assert (tmp_path / sandbox.id / "swarm/mine.py").read_bytes() == b"content"
        assert await provider.list("s") == [sandbox.id]
        assert await provider.list("another") == []

    run_simulation(use)


def test_same_key_gives_the_same_sandbox(run_simulation):
    async def use(provider, _):
        assert await provider.create(spec()) == await provider.create(spec())
        return len(await provider.list("s"))

    assert run_simulation(use) == 1


def test_killed_sandbox_answers_no_more(run_simulation):
    async def use(provider, network):
        sandbox = await provider.create(spec())
        assert await provider.kill(sandbox.id)
        assert not await provider.kill(sandbox.id)
        assert not await answers(network, sandbox.endpoint)
        assert await provider.list("s") == []
        with pytest.raises(PermanentSandboxError, match="which does not exist any more"):
            await provider.renew(sandbox.id, 300)

    run_simulation(use)


def test_sandbox_ends_with_its_lease_and_renewal_puts_that_off(run_simulation):
    async def use(provider, network):
        kept, left = await provider.create(spec("kept", 100)), await provider.create(spec("left", 100))
        await anyio.sleep(90)
        await provider.renew(kept.id, 100)
        await anyio.sleep(50)
        assert await provider.list("s") == [kept.id]
        assert [await answers(network, sandbox.endpoint) for sandbox in (kept, left)] == [True, False]
        await anyio.sleep(60)
        assert await provider.list("s") == []

    run_simulation(use)


async def create_at_once(provider, *specs):
    created = []

    async def create(wanted):
        created.append(await provider.create(wanted))

    async with anyio.create_task_group() as tasks:
        for wanted in specs:
            tasks.start_soon(create, wanted)
    return created


def test_sandboxes_that_start_at_the_same_instant_are_different(run_simulation):
    async def use(provider, _):
        created = await create_at_once(provider, spec("a"), spec("b"))
        return len({sandbox.id for sandbox in created})

    assert run_simulation(use, Even()) == 2
