"""Deadlines of rounds, and two small things that wait: a queue and a condition."""

import anyio
import pytest

from workers.changes import Changes
from workers.codec import Connected
from workers.outbox import WAITING_MAX, Outbox, OutboxFull
from workers.timers import Timers


def run_timers(run_virtual, use):
    """Let `use` set timers while they run; return (round, time) of each that fired within a minute."""
    fired = []

    async def main():
        timers = Timers(lambda round, _: fired.append((round, round_s(anyio.current_time()))))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(timers.run)
            await use(timers)
            await anyio.sleep(60)
            tasks.cancel_scope.cancel()

    run_virtual(main)
    return fired


def round_s(seconds):
    return round(seconds, 6)


def test_timers_fire_once_each_in_the_order_of_their_deadlines(run_virtual):
    async def use(timers):
        for round, after_s in [(1, 5.0), (2, 1.0), (3, 3.0)]:
            timers.set(round, after_s)

    assert run_timers(run_virtual, use) == [(2, 1.0), (3, 3.0), (1, 5.0)]


def test_equal_deadlines_fire_in_the_order_of_rounds(run_virtual):
    async def use(timers):
        for round in (3, 1, 2):
            timers.set(round, 1.0)

    assert run_timers(run_virtual, use) == [(1, 1.0), (2, 1.0), (3, 1.0)]


def test_each_office_has_deadlines_of_its_own(run_virtual):
    fired = []

    async def main():
        timers = Timers(lambda round, office: fired.append((round, office)))
        timers.set(1, 2.0, office="hub")
        timers.set(1, 1.0, office="leader of c..d")
        timers.set(1, 3.0)
        with anyio.move_on_after(60):
            await timers.run()

    run_virtual(main)
    assert fired == [(1, "leader of c..d"), (1, "hub"), (1, "")]


def test_earlier_deadline_set_later_is_not_missed(run_virtual):
    async def use(timers):
        timers.set(1, 10.0)
        await anyio.sleep(2)
        timers.set(2, 1.0)
        await anyio.sleep(2)
        timers.set(3, 0.0)

    assert run_timers(run_virtual, use) == [(2, 3.0), (3, 4.0), (1, 10.0)]


def test_timer_may_set_another(run_virtual):
    fired = []

    async def main():
        def on_timer(round, _):
            fired.append(round)
            if round < 5:
                timers.set(round + 1, 1.0)

        timers = Timers(on_timer)
        timers.set(1, 1.0)
        with anyio.move_on_after(60):
            await timers.run()

    run_virtual(main)
    assert fired == [1, 2, 3, 4, 5]


def test_outbox_gives_accounts_in_order_to_whoever_waits(run_virtual):
    async def main():
        outbox, taken = Outbox(), []

        async def take():
            while True:
                taken.append((await outbox.wait_next()).agent)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            for name in "abc":
                outbox.post(Connected(name))
                outbox.post(Connected(name.upper()))
                await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        return taken

    assert run_virtual(main) == ["a", "A", "b", "B", "c", "C"]


def test_outbox_is_bounded():
    outbox = Outbox()
    for _ in range(WAITING_MAX):
        outbox.post(Connected("a"))
    with pytest.raises(OutboxFull, match=f"{WAITING_MAX} accounts wait"):
        outbox.post(Connected("a"))


def test_all_who_wait_for_a_change_look_again(run_virtual):
    async def main():
        changes, facts, seen = Changes(), set(), []

        async def wait_for(fact):
            await changes.wait_until(lambda: fact in facts)
            seen.append((fact, anyio.current_time()))

        async with anyio.create_task_group() as tasks:
            for fact in (1, 2, 3):
                tasks.start_soon(wait_for, fact)
            for fact in (3, 9, 1, 2):
                await anyio.sleep(1)
                facts.add(fact)
                changes.note()
        return seen

    assert run_virtual(main) == [(3, 1.0), (1, 3.0), (2, 4.0)]


def test_condition_that_holds_is_not_waited_for(run_virtual):
    async def main():
        await Changes().wait_until(lambda: True)
        return anyio.current_time()

    assert run_virtual(main) == 0.0
