"""Coroutines as a process: stopped they run nothing, and ended they are seen by nobody."""

from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from sandboxes.simulated_process import SimulatedProcess


@asynccontextmanager
async def running(main):
    """Run `main` as a process."""
    process = SimulatedProcess("a")

    async def begin(task_status):
        task_status.started()
        await main()

    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(process.run, begin))
        yield process
        process.end()


async def tick(seen):
    while True:
        await anyio.sleep(1)
        seen.append(anyio.current_time())


def test_stopped_process_runs_nothing_and_finds_the_clock_moved_on(run_virtual):
    async def main():
        seen = []
        async with running(partial(tick, seen)) as process:
            await anyio.sleep(2.5)
            process.stop()
            await anyio.sleep(10)
            assert seen == [1, 2]
            process.go_on()
            await anyio.sleep(2)
            assert seen == [1, 2, 12.5, 13.5]

    run_virtual(main)


def test_children_and_deadlines_stop_with_the_process(run_virtual):
    async def main():
        seen = []

        async def give_up():
            with anyio.move_on_after(3):
                await anyio.sleep_forever()
            seen.append(anyio.current_time())

        async def family():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(give_up)
                tasks.start_soon(tick, seen)

        async with running(family) as process:
            await anyio.sleep(0.5)
            process.stop()
            await anyio.sleep(20)
            assert seen == []
            process.go_on()
            await anyio.sleep(0.1)
            assert seen == [20.5, 20.5]

    run_virtual(main)


def test_what_wakes_a_stopped_process_comes_in_order_when_it_goes_on(run_virtual):
    async def main():
        heard = []
        send, receive = anyio.create_memory_object_stream[int](10)

        async def listen():
            async with receive:
                async for number in receive:
                    heard.append(number)

        async with running(listen) as process, send:
            await anyio.sleep(1)
            process.stop()
            for number in range(5):
                await send.send(number)
            await anyio.sleep(5)
            assert heard == []
            process.go_on()
            await anyio.sleep(0.1)
            assert heard == list(range(5))

    run_virtual(main)


def test_timer_that_was_cancelled_while_stopped_never_rings(run_virtual):
    async def main():
        rung = []

        async def wait(done):
            with anyio.move_on_after(1) as scope:
                await done.wait()
            rung.append(scope.cancelled_caught)

        done = anyio.Event()
        async with running(partial(wait, done)) as process:
            await anyio.sleep(0.5)
            done.set()  # before the deadline: the deadline does not count
            process.stop()
            await anyio.sleep(10)
            process.go_on()
            await anyio.sleep(0.1)
            assert rung == [False]

    run_virtual(main)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_end_breaks_what_the_process_holds_in_the_order_it_was_opened(run_virtual, is_stopped):
    async def main():
        broken = []

        class Held:
            def __init__(self, name):
                self.name = name

            def sever(self):
                broken.append(self.name)

        async with running(anyio.sleep_forever) as process:
            kept = [Held(name) for name in "cab"]
            for held in kept:
                process.hold(held)
            process.drop(kept[1])
            if is_stopped:
                process.stop()
            process.end()
            assert broken == ["c", "b"]
            process.hold(Held("late"))
            assert broken == ["c", "b", "late"]

    run_virtual(main)


def test_others_run_on_while_one_process_is_stopped(run_virtual):
    async def main():
        here, there = [], []
        async with running(partial(tick, here)) as one, running(partial(tick, there)):
            one.stop()
            await anyio.sleep(3.5)
            assert (here, there) == ([], [1, 2, 3])

    run_virtual(main)
