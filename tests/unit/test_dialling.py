"""Who is dialled, how long and how often; and processes that come and go while the link stays."""

from contextlib import asynccontextmanager

import anyio
import pytest
from linked_ends import HELLO, End, Line, greet, keep, linked

from topologies.messages import Ballot, Join, Leave
from workers.codec import PROTOCOL_VERSION, Beat, Hello, Ping, encode
from workers.dialling import BACKOFF_S_MAX, PASSING_REFUSALS, LinkLost
from workers.network import Refused, Unreachable


@pytest.mark.parametrize(
    "error",
    [Unreachable("nobody"), *(Refused(status, "not yet") for status in PASSING_REFUSALS)],
    ids=["nobody there", *map(str, PASSING_REFUSALS)],
)
def test_neighbour_that_may_come_is_dialled_for_ever_and_reached_within_the_longest_wait(run_virtual, error):
    async def main():
        a, b = End("a", "b"), End("b", "a")
        async with anyio.create_task_group() as tasks:
            line = Line(b.link.attach, tasks)
            line.keep_out = error
            tasks.start_soon(keep, a, line)
            await anyio.sleep(1800)
            assert 1800 <= line.dials <= 6000  # after the first few, once in up to BACKOFF_S_MAX
            line.keep_out = None
            with anyio.fail_after(BACKOFF_S_MAX + 0.1):
                await a.changes.wait_until(lambda: a.link.is_up)
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_neighbour_that_has_moved_is_dialled_at_once(run_virtual):
    async def main():
        a, b = End("a", "b"), End("b", "a")
        async with anyio.create_task_group() as tasks:
            line = Line(b.link.attach, tasks)
            line.keep_out = Unreachable("nobody")
            tasks.start_soon(keep, a, line)
            await anyio.sleep(60)
            line.keep_out = None
            a.dialler.hurry()
            with anyio.fail_after(0.01):
                await a.changes.wait_until(lambda: a.link.is_up)
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_pipe_to_a_former_process_that_never_hangs_up_is_given_up_for_the_new_one(run_virtual):
    async def main():
        async with linked() as (a, _, line):
            successor = End("b", "a", generation=2)
            line.answer = successor.link.attach
            a.dialler.hurry()
            with anyio.fail_after(0.01):
                await successor.changes.wait_until(lambda: successor.link.is_up)
            assert line.dials == 2

    run_virtual(main)


@pytest.mark.parametrize("status", [400, 401, 426])
def test_neighbour_that_refuses_for_good_is_lost_at_once(run_virtual, status):
    async def main():
        a = End("a", "b")
        line = Line(None, None)
        line.keep_out = Refused(status, "who are you")
        with pytest.raises(LinkLost, match=f"b refused with status {status}: who are you"):
            await keep(a, line)
        assert line.dials == 1

    run_virtual(main)


def test_neighbour_that_never_greets_properly_is_dialled_ever_less_often(run_virtual):
    async def answer(pipe):
        await pipe.send(encode(Hello(PROTOCOL_VERSION + 1, "b", 1, 0)))

    async def main():
        a = End("a", "b")
        async with anyio.create_task_group() as tasks:
            line = Line(answer, tasks)
            with anyio.move_on_after(60):
                await keep(a, line)
            assert line.dials < 300

    run_virtual(main)


def test_every_frame_is_a_sign_of_life_and_a_cut_is_told(run_virtual):
    async def main():
        async with linked() as (a, b, line):
            await anyio.sleep(1)
            before = len(b.signs)
            a.link.beat()
            await anyio.sleep(0.01)
            assert b.signs[before:] == [("a", 1)]
            assert (a.cuts, b.cuts) == (0, 0)
            await line.cut()
            await anyio.sleep(0.001)
            assert (a.cuts, b.cuts) == (1, 1)

    run_virtual(main)


def test_sign_of_life_wants_no_answer_and_waits_behind_nothing(run_virtual):
    async def main():
        said, _ = await greet(HELLO, *[Beat()] * 5, b"")
        assert [type(frame) for frame in said] == [Hello, Ping]

    run_virtual(main)


# ---- processes come and go, the link stays


@asynccontextmanager
async def succeeded(generation=2):
    """Link a to b, let a say five things, and put another process in b's place."""
    async with linked() as (a, b, line):
        a.post(range(5))
        await b.changes.wait_until(lambda: len(b.heard) == 5)
        await a.changes.wait_until(lambda: a.link.is_quiet)
        successor = End("b", "a", generation=generation)
        line.answer = successor.link.attach
        await line.cut()
        await anyio.sleep(0.1)
        yield a, successor, line


def test_next_process_of_a_neighbour_is_greeted_first_and_told_nothing_of_before(run_virtual):
    async def main():
        async with succeeded() as (a, successor, _):
            a.post([5])
            await successor.changes.wait_until(lambda: len(successor.heard) == 2)
            assert successor.heard == [Join("a", "peer", ""), Ballot(5, ())]
            assert a.signs[-1] == ("b", 2)

    run_virtual(main)


def test_what_was_not_acknowledged_by_the_dead_is_not_told_to_its_successor(run_virtual):
    async def main():
        async with linked() as (a, _, line):
            line.keep_out = Unreachable("nobody")
            await line.cut()
            await anyio.sleep(0.1)
            a.post(range(3))
            successor = End("b", "a", generation=2)
            line.answer, line.keep_out = successor.link.attach, None
            a.dialler.hurry()
            await successor.changes.wait_until(lambda: successor.link.is_up)
            await anyio.sleep(0.1)
            assert successor.heard == [Join("a", "peer", "")]

    run_virtual(main)


def test_successor_may_say_everything_from_the_beginning(run_virtual):
    async def main():
        async with succeeded() as (a, successor, _):
            successor.post(range(3))
            await a.changes.wait_until(lambda: len(a.heard) == 3)
            assert a.rounds == [0, 1, 2]

    run_virtual(main)


def test_process_that_has_been_replaced_is_not_spoken_to_any_more(run_virtual):
    async def main():
        async with succeeded() as (a, successor, line):
            former = End("b", "a", generation=1)
            former.post([7])
            line.answer = former.link.attach
            await line.cut()
            await anyio.sleep(1)
            assert not a.link.is_up
            assert a.heard == []
            line.answer = successor.link.attach
            with anyio.fail_after(2 * BACKOFF_S_MAX):
                await a.changes.wait_until(lambda: a.link.is_up)

    run_virtual(main)


def test_goodbye_of_the_dead_is_none_of_its_successor_s(run_virtual):
    async def main():
        async with linked() as (a, b, line):
            b.link.post(Leave("b", 1))
            await a.changes.wait_until(lambda: a.link.has_left)
            successor = End("b", "a", generation=2)
            line.answer = successor.link.attach
            await line.cut()
            await successor.changes.wait_until(lambda: successor.link.is_up)
            assert not a.link.has_left

    run_virtual(main)
