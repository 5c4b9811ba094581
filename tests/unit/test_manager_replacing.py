"""One sandbox for another: the old one is gone before the new one comes, and what fails is said to pass or not."""

import anyio
import pytest
from failing_provider import FakeProvider, launch, manager_of

from sandboxes.manager import (
    CapacityExceeded,
)
from sandboxes.provider import (
    TemporarySandboxError,
)


async def replace_first(manager):
    """Launch two, and put another in place of the first."""
    first, _ = (await launch(manager, 2)).values()
    return await manager.replace(first, generation=2)


def test_sandbox_is_replaced_by_one_of_a_later_generation_and_is_gone_before(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider, sandboxes_max=2)
        made = await replace_first(manager)
        assert (made.id, made.agent) == ("s-a00-2", "a00")
        assert set(provider.running) == {"s-a01-1", "s-a00-2"}
        assert (manager.counts.created, manager.counts.killed) == (3, 1)
        with pytest.raises(CapacityExceeded):
            manager.check_capacity(1)

    run_virtual(main)


def test_replacing_one_that_is_gone_already_is_no_trouble(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider)
        first, _ = (await launch(manager, 2)).values()
        provider.running.pop(first.id)
        await manager.replace(first, generation=2)
        assert (set(provider.running), manager.counts.killed) == ({"s-a01-1", "s-a00-2"}, 0)

    run_virtual(main)


def test_sandbox_that_cannot_be_killed_is_not_replaced(run_virtual):
    async def main():
        provider = FakeProvider(kill=[TemporarySandboxError("not now")])
        manager = manager_of(provider)
        with pytest.raises(TemporarySandboxError, match="not now"):
            await replace_first(manager)
        assert set(provider.running) == {"s-a00-1", "s-a01-1"}

    run_virtual(main)


def test_kill_that_hangs_is_a_trouble_that_passes(run_virtual):
    class Hanging(FakeProvider):
        async def kill(self, sandbox_id):
            await anyio.sleep_forever()

    async def main():
        with pytest.raises(TemporarySandboxError, match="the sandbox of a00 was not killed within"):
            await replace_first(manager_of(Hanging()))

    run_virtual(main)
