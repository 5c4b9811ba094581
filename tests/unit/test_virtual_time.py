"""A loop whose clock moves when nothing else does."""

import signal
import time

import anyio
import pytest

from sandboxes.virtual_time import VirtualDeadlock, VirtualTimeLoop


def test_sleeping_an_hour_takes_no_time_and_passes_an_hour(run_virtual):
    async def main():
        await anyio.sleep(3599)
        return anyio.current_time()

    began = time.perf_counter()
    assert run_virtual(main) == pytest.approx(3599.0)
    assert time.perf_counter() - began < 1.0


def test_clock_starts_at_zero_and_stands_still_while_there_is_work(run_virtual):
    async def main():
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
        return anyio.current_time()

    assert run_virtual(main) == 0.0


def test_sleepers_wake_in_the_order_of_their_deadlines(run_virtual):
    async def main():
        woken = []

        async def sleep(seconds):
            await anyio.sleep(seconds)
            woken.append((seconds, anyio.current_time()))

        async with anyio.create_task_group() as tasks:
            for seconds in (30, 0.001, 86_400 * 30, 2):
                tasks.start_soon(sleep, seconds)
        return woken

    woken = anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})
    assert [seconds for seconds, _ in woken] == [0.001, 2, 30, 86_400 * 30]
    assert [at for _, at in woken] == pytest.approx([0.001, 2, 30, 86_400 * 30])


def test_equal_deadlines_come_in_the_same_order_each_time(run_virtual):
    async def main():
        woken = []

        async def sleep(name):
            await anyio.sleep(1)
            woken.append(name)

        async with anyio.create_task_group() as tasks:
            for name in range(20):
                tasks.start_soon(sleep, name)
        return woken

    first, second = run_virtual(main), run_virtual(main)
    assert first == second
    assert sorted(first) == list(range(20))


def test_deadlines_of_scopes_are_virtual_too(run_virtual):
    async def main():
        with anyio.move_on_after(1800) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught, anyio.current_time()

    assert run_virtual(main) == (True, pytest.approx(1800))


def test_waiting_for_what_can_never_happen_is_an_error():
    async def main():
        await anyio.Event().wait()

    with pytest.raises(VirtualDeadlock, match="everything waits and no timer is set"):
        anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})


def test_signals_are_seen_while_time_passes(run_virtual):
    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_time)
            with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
                signal.raise_signal(signal.SIGUSR1)
                number = await anext(signals)
            tasks.cancel_scope.cancel()
        return number

    async def pass_time():
        for _ in range(3000):
            await anyio.sleep(1)

    assert run_virtual(main) == signal.SIGUSR1
