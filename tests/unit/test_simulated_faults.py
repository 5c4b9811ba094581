"""What mock mode can suffer: processes killed, stopped and lost, ways that are bad, an API that fails."""

import random
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from sandboxes.injector import BurnCpu, GrowMemory, Kill, Stop, Vanish
from sandboxes.link_weather import CutOff, LinkWeather
from sandboxes.memory_network import DELAY_S_MAX, MemoryPipe
from sandboxes.provider import PermanentSandboxError, SandboxGone, SandboxSpec, TemporarySandboxError
from sandboxes.simulated import open_simulation
from sandboxes.simulated_faults import ApiError, SimulatedFaults, UnreliableProvider
from sandboxes.simulated_process import SimulatedProcess
from workers.network import PipeClosed, Refused


@asynccontextmanager
async def simulated(tmp_path):
    """Open a provider with one sandbox, its faults, and the coordinator's pipe to its worker."""
    weather = LinkWeather(random.Random(2))
    async with (
        open_simulation(random.Random(1), tmp_path, weather=weather) as (provider, network),
        anyio.create_task_group() as tasks,
    ):
        api = UnreliableProvider(provider, random.Random(3))
        faults = SimulatedFaults(provider, api=api, weather=weather, tasks=tasks)
        sandbox = await api.create(SandboxSpec(swarm="s", agent="a", generation=1, lease_s=10_000, files={}))
        pipe = await network.dial(sandbox.endpoint, "/control", headers={})
        yield api, faults, sandbox, network, pipe
        tasks.cancel_scope.cancel()


@pytest.fixture
def run_faults(run_virtual, tmp_path):
    def run(use):
        async def main():
            async with simulated(tmp_path) as parts:
                await use(*parts)

        run_virtual(main)

    return run


async def strike(faults, sandbox, fault):
    fire = await faults.arm(sandbox, fault)
    await fire()


def test_killed_process_breaks_its_pipes_at_once_and_its_sandbox_is_still_listed(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, Kill())
        with anyio.fail_after(2 * DELAY_S_MAX), pytest.raises(PipeClosed):
            await pipe.receive()
        assert await api.list("s") == [sandbox.id]
        assert await api.kill(sandbox.id)

    run_faults(use)


def test_stopped_process_answers_nobody_until_it_goes_on(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, Stop(5.0))
        with anyio.move_on_after(4.9) as waited:
            await network.dial(sandbox.endpoint, "/link", headers={})
        assert waited.cancelled_caught
        with anyio.fail_after(0.2), pytest.raises(Refused):
            await network.dial(sandbox.endpoint, "/link", headers={})

    run_faults(use)


@pytest.mark.parametrize("fault", [Stop(None), Vanish()], ids=["stopped", "vanished"])
def test_process_that_stops_for_good_hangs_up_on_nobody(run_faults, fault):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, fault)
        with anyio.move_on_after(1000) as waited:
            await pipe.receive()
        assert waited.cancelled_caught

    run_faults(use)


def test_stopped_process_can_be_killed_with_its_sandbox(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, Stop(None))
        assert await api.kill(sandbox.id)
        with pytest.raises(PipeClosed):
            await pipe.receive()
        assert await api.list("s") == []

    run_faults(use)


def test_vanished_sandbox_is_gone_for_whoever_asks(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, Vanish())
        assert await api.list("s") == []
        assert not await api.kill(sandbox.id)
        for ask in (api.renew(sandbox.id, 300), strike(faults, sandbox, Kill())):
            with pytest.raises(SandboxGone):
                await ask

    run_faults(use)


def test_shared_core_makes_a_process_late_and_no_more(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        await strike(faults, sandbox, BurnCpu(1.0))
        took = []
        while anyio.current_time() < 3.0:
            begun_s = anyio.current_time()
            with pytest.raises(Refused):
                await network.dial(sandbox.endpoint, "/link", headers={})
            took.append(anyio.current_time() - begun_s)
        assert 0.005 < max(took) < 0.02
        assert max(took[-100:]) < 0.005

    run_faults(use)


def test_memory_cannot_grow_where_there_is_none(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        with pytest.raises(PermanentSandboxError, match="no memory of its own"):
            await faults.arm(sandbox, GrowMemory(100, None))

    run_faults(use)


def test_api_fails_in_every_way_until_it_recovers(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        faults.refuse_calls(1000.0)
        said = []
        for _ in range(50):
            with pytest.raises(TemporarySandboxError) as failure:
                await api.list("s")
            said.append(str(failure.value))
        assert all(any(str(kind) in one for one in said) for kind in ApiError)
        await anyio.sleep(1000)
        assert await api.list("s") == [sandbox.id]

    run_faults(use)


def test_sandbox_made_by_a_call_without_an_answer_is_found_when_asked_again(run_faults):
    async def use(api, faults, sandbox, network, pipe):
        faults.refuse_calls(1000.0)
        wanted = SandboxSpec(swarm="s", agent="b", generation=1, lease_s=10_000, files={})
        for _ in range(50):
            with pytest.raises(TemporarySandboxError):
                await api.create(wanted)
        faults.clear_up()
        assert (await api.create(wanted)).id in await api.list("s")
        assert len(await api.list("s")) == 2

    run_faults(use)


# ---- the ways between agents


def pipe_between(weather):
    return MemoryPipe.pair(random.Random(1), (SimulatedProcess("a"), SimulatedProcess("b")), weather=weather)


def test_lost_frame_breaks_the_pipe_at_both_ends(run_virtual):
    async def main():
        here, there = pipe_between(LinkWeather(random.Random(1), drop=0.5))
        sent = heard = 0
        with suppress(PipeClosed):
            while sent < 1000:
                await here.send(b"x")
                sent += 1
        with suppress(PipeClosed):
            while heard < 1000:
                await there.receive()
                heard += 1
        assert sent == heard < 1000

    run_virtual(main)


@pytest.mark.parametrize(
    ("is_one_way", "took_s"), [pytest.param(False, [5, 5], id="both ways"), pytest.param(True, [5, 0], id="one way")]
)
def test_what_is_sent_over_a_way_cut_off_arrives_when_it_is_open(run_virtual, is_one_way, took_s):
    async def main():
        weather = LinkWeather(random.Random(1))
        here, there = pipe_between(weather)
        weather.cut_off(CutOff({"a"}, is_one_way, 5.0))
        await here.send(b"from a")
        await there.send(b"from b")
        assert await here.receive() == b"from b"
        from_b_s = anyio.current_time()
        assert await there.receive() == b"from a"
        assert [round(anyio.current_time()), round(from_b_s)] == took_s

    run_virtual(main)


def test_weather_clears_up(run_virtual):
    async def main():
        weather = LinkWeather(random.Random(1), drop=1.0, delay_s=100.0)
        weather.cut_off(CutOff({"a"}, False, 500.0))
        weather.clear_up()
        here, there = pipe_between(weather)
        await here.send(b"x")
        assert await there.receive() == b"x"
        assert anyio.current_time() <= DELAY_S_MAX

    run_virtual(main)
