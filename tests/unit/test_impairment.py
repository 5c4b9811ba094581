"""Links made bad on purpose: what is lost, late or held back, and that all comes in the end and in order."""

import random
from contextlib import asynccontextmanager

import anyio
import pytest
from linked_ends import End, Line

from sandboxes.memory_network import DELAY_S_MAX, MemoryNetwork, MemoryPipe
from workers.impairment import ImpairmentKind, Impairments
from workers.network import Endpoint, PipeClosed, Unreachable


@asynccontextmanager
async def impaired_pipe():
    """Make a pipe of which one end goes over a way that can be impaired."""
    impairments = Impairments()
    here, there = MemoryPipe.pair(random.Random(1))
    async with anyio.create_task_group() as tasks:
        impairments.start(tasks, random.Random(2))
        yield impairments, impairments.over("b", here), there
        tasks.cancel_scope.cancel()


def test_healthy_way_changes_nothing(run_virtual):
    async def main():
        async with impaired_pipe() as (impairments, here, there):
            impairments.impair("c", ImpairmentKind.PARTITION, seconds=100.0, amount=0.0)
            await here.send(b"x")
            assert await there.receive() == b"x"
            await there.send(b"y")
            assert await here.receive() == b"y"
            assert anyio.current_time() <= 2 * DELAY_S_MAX

    run_virtual(main)


def test_delayed_frames_are_late_each_by_the_same_and_in_order(run_virtual):
    async def main():
        async with impaired_pipe() as (impairments, here, there):
            impairments.impair("b", ImpairmentKind.DELAY, seconds=0.25, amount=0.2)
            for number in range(10):
                await here.send(bytes([number]))
                await anyio.sleep(0.05)
            came = []
            for number in range(10):
                assert await there.receive() == bytes([number])
                came.append(anyio.current_time())
            assert came[0] == pytest.approx(0.5, abs=2 * DELAY_S_MAX)  # it had arrived before anybody looked

    run_virtual(main)


def test_partition_holds_everything_back_until_it_is_over(run_virtual):
    async def main():
        async with impaired_pipe() as (impairments, here, there):
            impairments.impair("b", ImpairmentKind.PARTITION, seconds=5.0, amount=0.0)
            await here.send(b"1")
            await anyio.sleep(4)
            await here.send(b"2")
            assert [await there.receive(), await there.receive()] == [b"1", b"2"]
            assert anyio.current_time() == pytest.approx(5.0, abs=2 * DELAY_S_MAX)

    run_virtual(main)


def test_lost_frame_breaks_the_pipe_at_both_ends(run_virtual):
    async def main():
        async with impaired_pipe() as (impairments, here, there):
            impairments.impair("b", ImpairmentKind.DROP, seconds=5.0, amount=1.0)
            with pytest.raises(PipeClosed):
                await here.send(b"x")
            with pytest.raises(PipeClosed):
                await there.receive()

    run_virtual(main)


def test_pipe_that_broke_with_frames_held_back_takes_no_more(run_virtual):
    async def main():
        async with impaired_pipe() as (impairments, here, there):
            impairments.impair("b", ImpairmentKind.PARTITION, seconds=1.0, amount=0.0)
            await here.send(b"x")
            await there.close()
            await anyio.sleep(2)
            with pytest.raises(PipeClosed):
                await here.send(b"y")

    run_virtual(main)


def test_nobody_is_dialled_over_a_way_cut_off(run_virtual):
    async def main():
        impairments = Impairments()
        async with anyio.create_task_group() as tasks:
            impairments.start(tasks, random.Random(2))
            impairments.impair("b", ImpairmentKind.PARTITION, seconds=5.0, amount=0.0)
            network = impairments.dialling("b", MemoryNetwork(random.Random(1)))
            with pytest.raises(Unreachable):
                await network.dial(Endpoint("memory://nowhere", {}), "/link", headers={})
            assert anyio.current_time() >= 5.0

    run_virtual(main)


@pytest.mark.parametrize("kind", list(ImpairmentKind))
@pytest.mark.parametrize("seed", range(3))
def test_link_over_a_bad_way_loses_nothing_and_repeats_nothing(run_virtual, kind, seed):
    async def main():
        a, b = End("a", "b"), End("b", "a")
        impairments = Impairments()
        async with anyio.create_task_group() as tasks:
            impairments.start(tasks, random.Random(seed))
            network = impairments.dialling("b", Line(b.link.attach, tasks))

            async def keep():
                await a.dialler.keep(network, headers={}, rng=random.Random(seed))

            tasks.start_soon(keep)
            for number in range(0, 100, 2):
                impairments.impair("b", kind, seconds=0.2, amount=0.3)
                a.post([number, number + 1])
                b.post([number, number + 1])
                await anyio.sleep(0.1)
            await a.changes.wait_until(lambda: len(a.heard) >= 100)
            await b.changes.wait_until(lambda: len(b.heard) >= 100)
            await anyio.sleep(10)
            assert a.rounds == b.rounds == list(range(100))
            tasks.cancel_scope.cancel()

    run_virtual(main)
