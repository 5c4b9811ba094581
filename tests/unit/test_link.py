"""A link over pipes in memory: greeted, cut and resumed, in virtual time."""

import random

import anyio
import pytest
from linked_ends import HELLO, End, greet, linked

from sandboxes.memory_network import MemoryPipe
from topologies.messages import Ballot, Leave
from workers.codec import PROTOCOL_VERSION, Ack, Batch, Hello, Ping, Pong, decode_frame, encode
from workers.link import HELLO_DEADLINE_S
from workers.network import Unreachable
from workers.session import UNACKED_MAX, LinkFull


def test_messages_go_both_ways_in_order(run_virtual):
    async def main():
        async with linked() as (a, b, _):
            a.post(range(200))
            b.post(range(100))
            await b.changes.wait_until(lambda: len(b.heard) == 200)
            await a.changes.wait_until(lambda: len(a.heard) == 100)
            assert (a.rounds, b.rounds) == (list(range(100)), list(range(200)))
            assert (a.link.messages_out, a.link.messages_in) == (200, 100)

    run_virtual(main)


@pytest.mark.parametrize("seed", range(5))
def test_cuts_midway_lose_nothing_and_repeat_nothing(run_virtual, seed):
    async def main():
        rng = random.Random(seed)
        async with linked() as (a, b, line):
            for start in range(0, 1000, 50):
                await a.changes.wait_until(lambda: a.link.is_up)
                await b.changes.wait_until(lambda: b.link.is_up)
                a.post(range(start, start + 50))
                b.post(range(start, start + 50))
                await anyio.sleep(rng.uniform(0.0, 0.002))
                await line.cut()
                await anyio.sleep(0.002)  # until both have seen it
            await b.changes.wait_until(lambda: len(b.heard) >= 1000)
            await a.changes.wait_until(lambda: len(a.heard) >= 1000)
            await anyio.sleep(10)
            assert a.rounds == b.rounds == list(range(1000))
            assert line.dials == 21

    run_virtual(main)


def test_what_is_posted_while_cut_off_arrives_afterwards(run_virtual):
    async def main():
        async with linked() as (a, b, line):
            line.keep_out = Unreachable("nobody")
            await line.cut()
            await anyio.sleep(1)
            assert not a.link.is_up
            a.post(range(300))
            line.keep_out = None
            await b.changes.wait_until(lambda: len(b.heard) == 300)
            assert b.rounds == list(range(300))

    run_virtual(main)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([Hello(PROTOCOL_VERSION + 1, "b", 1, 0)], id="another protocol"),
        pytest.param([Hello(PROTOCOL_VERSION, "c", 1, 0)], id="another agent"),
        pytest.param([Ping(0.0)], id="no Hello"),
        pytest.param([b"GET / HTTP/1.1"], id="no frame"),
    ],
)
def test_wrong_greeting_ends_the_pipe(run_virtual, frames):
    async def main():
        said, a = await greet(*frames)
        assert said == [Hello(PROTOCOL_VERSION, "a", 1, 0)]
        assert not a.link.is_up

    run_virtual(main)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(HELLO, id="a second Hello"),
        pytest.param(b"\xc1", id="no frame"),
        pytest.param(Batch(7, 0, (Ballot(7, ()),)), id="a gap"),
    ],
)
def test_wrong_frame_ends_the_pipe_and_not_the_agent(run_virtual, frame):
    async def main():
        _, a = await greet(HELLO, frame)
        assert not a.link.is_up
        assert a.heard == []

    run_virtual(main)


def test_silence_ends_the_pipe_at_the_deadline(run_virtual):
    async def main():
        await greet()
        return anyio.current_time()

    assert run_virtual(main) == pytest.approx(HELLO_DEADLINE_S, abs=0.1)


def test_heartbeat_is_answered_and_gives_the_round_trip_time(run_virtual):
    async def main():
        async with linked() as (a, _, _line):
            for _ in range(5):
                a.link.ping()
                await anyio.sleep(1)
            samples = a.link.rtt_ms
            assert len(samples) == 6  # one came with the greeting
            assert all(2 * 0.2 <= sample <= 2 * 0.8 for sample in samples)

    run_virtual(main)


def test_heartbeat_brings_the_acknowledgement_that_is_owed(run_virtual):
    async def main():
        async with linked() as (a, b, _):
            a.post([1])  # acknowledged at once: b still owes that for the heartbeat of the greeting
            await a.changes.wait_until(lambda: a.link.is_quiet)
            a.post([2])
            await anyio.sleep(1)
            assert not a.link.is_quiet
            a.link.ping()
            await a.changes.wait_until(lambda: a.link.is_quiet)
            assert b.link.is_quiet

    run_virtual(main)


def test_heartbeat_of_a_link_that_is_down_is_not_sent_later(run_virtual):
    async def main():
        a = End("a", "b")
        a.link.ping()
        here, there = MemoryPipe.pair(random.Random(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a.link.attach, here)
            await there.send(encode(HELLO))
            said = [decode_frame(await there.receive()) for _ in range(2)]
            await there.close()
        assert [type(frame) for frame in said] == [Hello, Ping]
        assert said[1].sent_s > 0.0

    run_virtual(main)


def test_ping_is_returned_as_it_came(run_virtual):
    async def main():
        a = End("a", "b")
        here, there = MemoryPipe.pair(random.Random(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a.link.attach, here)
            await there.send(encode(HELLO))
            await there.send(encode(Ping(123.5)))
            while (frame := decode_frame(await there.receive())) != Pong(123.5):
                assert isinstance(frame, Hello | Ping)
            await there.close()

    run_virtual(main)


def test_goodbye_on_both_sides_finishes_the_link(run_virtual):
    async def main():
        async with linked() as (a, b, line):
            a.post([1])
            a.link.post(Leave("a", 1))
            await b.changes.wait_until(lambda: b.link.has_left)
            assert not b.link.is_finished
            b.link.post(Leave("b", 1))
            await a.changes.wait_until(lambda: a.link.is_finished)
            await b.changes.wait_until(lambda: b.link.is_finished)
            await line.cut()
            await anyio.sleep(60)
            assert line.dials == 1

    run_virtual(main)


def test_new_pipe_replaces_one_that_is_still_open(run_virtual):
    async def main():
        async with linked() as (a, b, _):
            b.post(range(10))
            here, there = MemoryPipe.pair(random.Random(3))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(b.link.attach, there)
                tasks.start_soon(a.link.attach, here)
                await a.changes.wait_until(lambda: len(a.heard) == 10)
                a.post(range(10))
                await b.changes.wait_until(lambda: len(b.heard) == 10)
                tasks.cancel_scope.cancel()
            assert a.rounds == b.rounds == list(range(10))

    run_virtual(main)


def test_acknowledgement_lets_go_of_messages(run_virtual):
    async def main():
        a = End("a", "b")
        a.post(range(UNACKED_MAX))
        with pytest.raises(LinkFull):
            a.post([0])
        here, there = MemoryPipe.pair(random.Random(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a.link.attach, here)
            await there.send(encode(HELLO))
            await there.send(encode(Ack(1)))
            await anyio.sleep(1)
            a.post([0])
            await there.close()

    run_virtual(main)
