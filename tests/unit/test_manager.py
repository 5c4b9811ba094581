"""The manager of sandboxes against a provider that fails as told."""

from itertools import pairwise

import anyio
import pytest
from failing_provider import START_S, FakeProvider, launch, manager_of

from sandboxes.manager import (
    CREATE_ATTEMPTS_MAX,
    CapacityExceeded,
    first_sandbox_error,
)
from sandboxes.provider import (
    CredentialsRefused,
    PermanentSandboxError,
    SandboxError,
    TemporarySandboxError,
)


def busy(number, **more):
    return [TemporarySandboxError("busy", **more) for _ in range(number)]


def test_launch_gives_every_agent_a_sandbox(run_virtual):
    async def main():
        provider, seen = FakeProvider(), []
        manager = manager_of(provider)
        launched = await launch(manager, 3, seen.append)
        assert list(launched) == ["a00", "a01", "a02"]
        assert sorted(sandbox.agent for sandbox in seen) == list(launched)
        assert [key for _, key in provider.asked] == ["s-a00-1", "s-a01-1", "s-a02-1"]
        assert manager.counts.created == 3

    run_virtual(main)


@pytest.mark.parametrize("numbers", [[4], [2, 2]], ids=["at once", "in two"])
def test_more_than_the_capacity_is_refused_before_anything_starts(run_virtual, numbers):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider, sandboxes_max=3)
        *before, last = numbers
        for number in before:
            await launch(manager, number)
        with pytest.raises(CapacityExceeded, match="asked for 4 sandboxes, this account gives 3; ask for fewer"):
            await launch(manager, last)
        assert len(provider.asked) == sum(before)

    run_virtual(main)


def test_temporary_error_is_tried_again_with_the_same_key(run_virtual):
    async def main():
        provider = FakeProvider(create=busy(3))
        await launch(manager_of(provider), 1)
        times = [time for time, _ in provider.asked]
        assert [key for _, key in provider.asked] == ["s-a00-1"] * 4
        assert all(0.2 <= later - time <= 10.0 for time, later in pairwise(times))

    run_virtual(main)


def test_wait_that_was_asked_for_is_kept(run_virtual):
    async def main():
        provider = FakeProvider(create=busy(2, retry_after_s=7.0))
        await launch(manager_of(provider), 1)
        return [time for time, _ in provider.asked]

    assert run_virtual(main) == [0.0, 7.0, 14.0]


@pytest.mark.parametrize(
    ("troubles", "error", "attempts"),
    [
        pytest.param([PermanentSandboxError("gone")], PermanentSandboxError, 1, id="permanent"),
        pytest.param([CredentialsRefused("who")], CredentialsRefused, 1, id="credentials"),
        pytest.param([*busy(1), PermanentSandboxError("gone")], PermanentSandboxError, 2, id="permanent in the end"),
        pytest.param(busy(99), TemporarySandboxError, CREATE_ATTEMPTS_MAX, id="temporary for too long"),
    ],
)
def test_error_that_stays_is_raised_as_itself(run_virtual, troubles, error, attempts):
    async def main():
        provider = FakeProvider(create=troubles)
        with pytest.raises(SandboxError) as raised:
            await launch(manager_of(provider), 1)
        assert type(raised.value) is error
        assert len(provider.asked) == attempts

    run_virtual(main)


def test_worker_that_never_listens_is_given_up_at_the_deadline(run_virtual):
    async def main():
        manager = manager_of(FakeProvider(), create_deadline_s=0.5)
        with pytest.raises(TemporarySandboxError, match=r"the worker of a00 did not listen within 0\.5 s"):
            await launch(manager, 1)

    run_virtual(main)


def test_failed_launch_stops_the_others_and_close_finds_what_they_began(run_virtual):
    async def main():
        provider = FakeProvider(create=[PermanentSandboxError("no")])
        manager = manager_of(provider)
        with pytest.raises(PermanentSandboxError):
            await launch(manager, 5)
        assert len(provider.running) == 4  # asked for, answered by nobody
        await manager.close()
        assert (provider.running, manager.counts.killed, manager.counts.left) == ({}, 4, 0)

    run_virtual(main)


def test_requests_under_way_at_once_are_limited(run_virtual):
    async def main():
        provider = FakeProvider()
        await launch(manager_of(provider, concurrency=3), 10)
        assert provider.at_once_max == 3
        assert anyio.current_time() == pytest.approx(4 * START_S)

    run_virtual(main)


def test_requests_keep_the_pace_of_the_account(run_virtual):
    async def main():
        provider = FakeProvider()
        await launch(manager_of(provider, creates_per_s=2.0), 4)
        return [time for time, _ in provider.asked]

    assert run_virtual(main) == pytest.approx([0.0, 0.5, 1.0, 1.5])


async def keep_leased_for(manager, seconds):
    with anyio.move_on_after(seconds):
        await manager.keep_leased()


def test_leases_are_renewed_when_a_third_is_over(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider, lease_s=300)
        await launch(manager, 2)
        began = anyio.current_time()
        await keep_leased_for(manager, 250)
        return [(time - began, sandbox_id, lease) for time, sandbox_id, lease in provider.renewed]

    assert run_virtual(main) == [
        (100.0, "s-a00-1", 300),
        (100.0, "s-a01-1", 300),
        (200.0, "s-a00-1", 300),
        (200.0, "s-a01-1", 300),
    ]


def test_renewal_that_fails_for_now_waits_for_the_next_turn(run_virtual):
    async def main():
        provider = FakeProvider(renew=busy(1))
        manager = manager_of(provider)
        await launch(manager, 2)
        await keep_leased_for(manager, 250)
        return len(provider.renewed)

    assert run_virtual(main) == 4


def test_sandbox_that_is_gone_ends_the_renewals(run_virtual):
    async def main():
        manager = manager_of(FakeProvider(renew=[PermanentSandboxError("gone")]))
        await launch(manager, 2)
        with pytest.raises(PermanentSandboxError):
            await keep_leased_for(manager, 250)

    run_virtual(main)


def test_close_kills_what_is_listed_and_not_only_what_is_remembered(run_virtual):
    async def main():
        provider = FakeProvider()
        provider.running = {"left behind": "s", "of another swarm": "t"}
        manager = manager_of(provider)
        await launch(manager, 2)
        await anyio.sleep(9.0)
        await manager.close()
        assert provider.running == {"of another swarm": "t"}
        counts = manager.counts
        assert (counts.created, counts.killed, counts.left) == (2, 3, 0)
        assert counts.lifetime_s == pytest.approx(2 * 9.0, abs=0.1)

    run_virtual(main)


def test_close_kills_what_is_remembered_also_where_the_listing_lags(run_virtual):
    async def main():
        provider = FakeProvider()
        provider.unlisted = {"s-a01-1"}
        manager = manager_of(provider)
        await launch(manager, 2)
        await manager.close()
        assert (provider.running, manager.counts.killed) == ({}, 2)

    run_virtual(main)


def test_sandbox_that_ended_by_itself_was_not_killed(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider)
        await launch(manager, 2)
        del provider.running["s-a00-1"]
        await manager.close()
        assert (manager.counts.created, manager.counts.killed, manager.counts.left) == (2, 1, 0)

    run_virtual(main)


def test_kill_that_fails_for_now_is_tried_again(run_virtual):
    async def main():
        provider = FakeProvider(kill=busy(3))
        manager = manager_of(provider)
        await launch(manager, 2)
        await manager.close()
        assert (provider.running, manager.counts.killed, manager.counts.left) == ({}, 2, 0)

    run_virtual(main)


def test_what_cannot_be_killed_is_counted_as_left(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider)
        await launch(manager, 2)
        provider.kill_troubles_for["s-a00-1"] = TemporarySandboxError("busy for ever")
        await manager.close()
        assert (manager.counts.killed, manager.counts.left) == (1, 1)

    run_virtual(main)


def test_list_that_fails_for_now_does_not_keep_close_from_killing(run_virtual):
    async def main():
        provider = FakeProvider(list=busy(1))
        manager = manager_of(provider)
        await launch(manager, 2)
        await manager.close()
        assert provider.running == {}

    run_virtual(main)


def test_sandbox_that_cannot_be_killed_does_not_save_the_others(run_virtual):
    async def main():
        provider = FakeProvider()
        manager = manager_of(provider)
        await launch(manager, 3)
        provider.kill_troubles_for["s-a00-1"] = PermanentSandboxError("not yours")
        await manager.close()
        assert list(provider.running) == ["s-a00-1"]
        assert manager.counts.left == 1

    run_virtual(main)


def test_close_waits_as_long_as_it_was_asked_to(run_virtual):
    async def main():
        provider = FakeProvider(kill=busy(3, retry_after_s=1.0))
        manager = manager_of(provider)
        await launch(manager, 1)
        began = anyio.current_time()
        await manager.close()
        assert provider.running == {}
        assert anyio.current_time() - began >= 3.0

    run_virtual(main)


def group(*errors):
    return BaseExceptionGroup("several", errors)


OURS = PermanentSandboxError("ours")


@pytest.mark.parametrize(
    ("raised", "found"),
    [
        pytest.param(group(ValueError(), OURS), OURS, id="beside another"),
        pytest.param(group(group(KeyboardInterrupt()), group(group(OURS))), OURS, id="deep down"),
    ],
)
def test_error_of_a_sandbox_is_found_in_a_group(raised, found):
    assert first_sandbox_error(raised) is found


def test_group_without_one_of_ours_is_itself():
    nothing = group(ValueError())
    assert first_sandbox_error(nothing) is nothing
