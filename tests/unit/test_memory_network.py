"""Links in memory: in order, after a delay, and refused where a real worker would refuse."""

import random

import anyio
import pytest

from sandboxes.memory_network import DELAY_S_MAX, DELAY_S_MIN, MemoryNetwork, MemoryPipe
from workers.network import Endpoint, PipeClosed, Refusal, Refused, Unreachable


class Echo:
    """Lets in who knows the word, and says everything back."""

    def __init__(self):
        self.asked = []

    def admit(self, path, headers):
        self.asked.append((path, dict(headers)))
        return None if headers.get("word") == "sesame" else Refusal(401, "the word is wrong")

    async def serve(self, path, headers, *, pipe):
        try:
            while True:
                await pipe.send(await pipe.receive())
        except PipeClosed:
            return


@pytest.fixture
def run_echo(run_virtual):
    """Run an async function with a network and the endpoint of an echo on it."""

    def run(use):
        async def main():
            network = MemoryNetwork(random.Random(1))
            async with anyio.create_task_group() as tasks:
                echo = Echo()
                result = await use(network, network.listen("echo", echo, tasks=tasks), echo)
                tasks.cancel_scope.cancel()
            return result

        return run_virtual(main)

    return run


def test_what_is_sent_arrives_in_order(run_echo):
    async def use(network, endpoint, _):
        pipe = await network.dial(endpoint, "/link", headers={"word": "sesame"})
        sent = [bytes([number]) for number in range(50)]
        for data in sent:
            await pipe.send(data)
        assert [await pipe.receive() for _ in sent] == sent

    run_echo(use)


def test_each_way_takes_the_delay_of_a_loopback(run_virtual):
    async def main():
        here, there = MemoryPipe.pair(random.Random(1))
        await here.send(b"x")
        await there.receive()
        return anyio.current_time()

    assert DELAY_S_MIN <= run_virtual(main) <= DELAY_S_MAX


def test_header_names_are_lower_case_and_those_of_the_endpoint_come_along(run_echo):
    async def use(network, endpoint, echo):
        await network.dial(Endpoint(endpoint.url, {"Route": "r"}), "/link", headers={"Word": "sesame"})
        return echo.asked

    assert run_echo(use) == [("/link", {"route": "r", "word": "sesame"})]


def test_refusal_reaches_the_caller(run_echo):
    async def use(network, endpoint, _):
        with pytest.raises(Refused, match="refused with status 401: the word is wrong") as refused:
            await network.dial(endpoint, "/link", headers={})
        return refused.value.status

    assert run_echo(use) == 401


def test_nobody_answers_where_nobody_listens(run_echo):
    async def use(network, endpoint, _):
        with pytest.raises(Unreachable, match="memory://nowhere"):
            await network.dial(Endpoint("memory://nowhere", {}), "/link", headers={})
        network.forget(endpoint)
        with pytest.raises(Unreachable, match="memory://echo"):
            await network.dial(endpoint, "/link", headers={"word": "sesame"})

    run_echo(use)


def test_what_was_sent_before_closing_still_arrives(run_virtual):
    async def main():
        here, there = MemoryPipe.pair(random.Random(1))
        await here.send(b"last words")
        await here.close()
        assert await there.receive() == b"last words"
        with pytest.raises(PipeClosed):
            await there.receive()
        with pytest.raises(PipeClosed):
            await there.send(b"too late")

    run_virtual(main)


@pytest.mark.parametrize("doing", ["send", "receive"])
def test_closed_end_neither_sends_nor_receives(run_virtual, doing):
    async def main():
        here, _ = MemoryPipe.pair(random.Random(1))
        await here.close()
        await here.close()
        with pytest.raises(PipeClosed):
            await (here.send(b"x") if doing == "send" else here.receive())

    run_virtual(main)


def test_closed_end_receives_nothing_that_was_under_way(run_virtual):
    async def main():
        here, there = MemoryPipe.pair(random.Random(1))
        await here.send(b"too late")
        await there.close()
        await anyio.sleep(1)
        with pytest.raises(PipeClosed):
            await there.receive()

    run_virtual(main)


def test_waiting_receiver_sees_the_end(run_virtual):
    async def main():
        here, there = MemoryPipe.pair(random.Random(1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.close)
            with pytest.raises(PipeClosed):
                await there.receive()

    run_virtual(main)


def test_pipe_ends_when_whoever_served_it_is_done(run_virtual):
    class Curt(Echo):
        async def serve(self, path, headers, *, pipe):
            await pipe.receive()

    async def main():
        network = MemoryNetwork(random.Random(1))
        async with anyio.create_task_group() as tasks:
            endpoint = network.listen("curt", Curt(), tasks=tasks)
            pipe = await network.dial(endpoint, "/link", headers={"word": "sesame"})
            await pipe.send(b"x")
            with pytest.raises(PipeClosed):
                await pipe.receive()

    run_virtual(main)


def test_delays_of_one_pipe_are_its_own(run_virtual):
    """In which order a cancelled process closes its pipes is chance; no other pipe is to show it."""

    async def arrivals(disturb):
        rng = random.Random(1)
        (here, there), (other, _) = MemoryPipe.pair(rng), MemoryPipe.pair(rng)
        times = []
        for _ in range(20):
            for _ in range(disturb):
                await other.send(b"more")
            await here.send(b"data")
            await there.receive()
            times.append(anyio.current_time())
        return times

    assert run_virtual(arrivals, 0) == run_virtual(arrivals, 3)
