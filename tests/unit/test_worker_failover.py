"""A worker whose neighbours die and come back: what it says, whom it waits for, whom it dials."""

import anyio
import msgspec
import pytest
from worker_yard import BAR, DETECTOR, HUB, OFFICE, SPOKE, assignment, link_as, mesh_seat, neighbour

from topologies.detector import PeerState
from topologies.messages import Claim, Join, Tick
from workers.codec import (
    PROTOCOL_VERSION,
    Batch,
    Beat,
    Bury,
    Connect,
    Connected,
    Failed,
    FinalAccount,
    Hello,
    PeerNoticed,
    Progress,
    Rewire,
    Start,
    Stop,
    decode_frame,
    encode,
    encode_bar,
)
from workers.network import PipeClosed


def tick(round):
    return Tick(round, f"day {round}", {"X": encode_bar(BAR)})


async def connect_hub(control, yard, endpoint, *, seat=HUB):
    """Bring a hub up with its one spoke, which is us; return our end of the link."""
    await control.tell(assignment(seat), Connect())
    await control.hear()
    pipe = await link_as(yard, endpoint, "spoke", Join("spoke", "spoke", ""))
    assert isinstance(await control.hear(), Connected)
    return pipe


async def read(pipe, into):
    """Note all frames that come, until the pipe is closed."""
    try:
        while True:
            into.append(decode_frame(await pipe.receive()))
    except PipeClosed:
        return


async def beat(pipe):
    """Give signs of life until cancelled."""
    while True:
        await pipe.send(encode(Beat()))
        await anyio.sleep(DETECTOR.heartbeat_s)


def messages_in(frames):
    return [message for frame in frames if isinstance(frame, Batch) for message in frame.messages]


def test_neighbour_that_falls_silent_is_noticed_in_time(run_worker):
    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat, pipe)
            with anyio.move_on_after(60):
                raise AssertionError(f"{await control.hear()} of one who gives signs of life")
            tasks.cancel_scope.cancel()
        began = anyio.current_time()
        assert await control.hear() == PeerNoticed("hub", "spoke", 1, PeerState.DEAD)
        return anyio.current_time() - began

    assert DETECTOR.dead_s_min / 2 <= run_worker(use) <= DETECTOR.dead_s_max + DETECTOR.check_s + 0.01


def test_worker_gives_signs_of_life_to_who_watches_it(run_worker):
    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint)
        frames = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pipe, frames)
            tasks.start_soon(beat, pipe)
            await anyio.sleep(60)
            tasks.cancel_scope.cancel()
        return frames.count(Beat())

    assert run_worker(use) == pytest.approx(60 / DETECTOR.heartbeat_s, rel=0.05)


def test_neighbour_whose_link_breaks_is_noticed_sooner(run_worker):
    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint)
        await anyio.sleep(DETECTOR.heartbeat_s)
        began = anyio.current_time()
        await pipe.close()
        assert await control.hear() == PeerNoticed("hub", "spoke", 1, PeerState.DEAD)
        return anyio.current_time() - began

    assert run_worker(use) <= DETECTOR.cut_s + 2 * DETECTOR.check_s + 0.01


def test_neighbour_that_comes_back_is_noticed_as_well(run_worker):
    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint)
        await pipe.close()
        assert (await control.hear()).state is PeerState.DEAD
        await link_as(yard, endpoint, "spoke")
        return await control.hear()

    assert run_worker(use) == PeerNoticed("hub", "spoke", 1, PeerState.ALIVE)


def test_coordinator_s_word_of_a_death_is_acted_on(run_worker):
    """The owner of the other voice is dead: its vote is cast here, at once."""

    async def use(_worker, control, endpoint, yard):
        await control.tell(assignment(mesh_seat("a", "b"), neighbour("b")), Connect())
        await control.hear()
        pipe = await link_as(yard, endpoint, "b", Join("b", "peer", ""))
        assert isinstance(await control.hear(), Connected)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat, pipe)
            await control.tell(Start(tick(1)), Bury("b", 1))
            noticed, decided = await control.hear(), await control.hear()
            tasks.cancel_scope.cancel()
        assert noticed == PeerNoticed("a", "b", 1, PeerState.DEAD)
        return [vote.task for decision in decided.decisions for vote in decision.votes]

    assert run_worker(use) == ["1/X/momentum#0", "1/X/momentum#1"]


def test_agent_that_comes_while_a_neighbour_is_dead_does_not_wait_for_it(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment(generation=2), Bury("spoke", 1), Connect())
        await control.hear()
        return [await control.hear(), await control.hear()]

    noticed, connected = run_worker(use)
    assert (noticed, connected) == (PeerNoticed("hub", "spoke", 0, PeerState.DEAD), Connected("hub"))


def test_agent_that_leaves_does_not_wait_for_a_dead_neighbour(run_worker):
    async def use(_worker, control, endpoint, yard):
        await connect_hub(control, yard, endpoint)
        await control.tell(Bury("spoke", 1), Stop())
        assert isinstance(await control.hear(), PeerNoticed)
        began = anyio.current_time()
        assert isinstance(await control.hear(), FinalAccount)
        return anyio.current_time() - began

    assert run_worker(use) < 0.1


def test_neighbour_that_lives_elsewhere_now_is_dialled_there(run_worker):
    async def use(_worker, control, _endpoint, yard):
        here = neighbour("hub", dials=True)  # where nobody listens
        await control.tell(assignment(SPOKE, here, generation=1), Connect())
        await control.hear()
        await anyio.sleep(30)
        _, endpoint, _ = yard.start("hub, second process")
        other = await yard.control(endpoint)
        await other.tell(assignment(HUB, neighbour("spoke"), generation=2), Connect())
        await other.hear()
        await control.tell(Rewire(neighbour("hub", endpoint, dials=True)))
        with anyio.fail_after(0.1):
            return [await control.hear(), await other.hear()]

    assert run_worker(use) == [Connected("spoke"), Connected("hub")]


def test_hub_appointed_anew_claims_its_office_when_its_links_are_up(run_worker):
    post = msgspec.structs.replace(HUB.posts[0], office=msgspec.structs.replace(OFFICE, token=3))
    seat = msgspec.structs.replace(HUB, member_of=post.office, posts=(post,))

    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint, seat=seat)
        frames = []
        with anyio.move_on_after(1):
            await read(pipe, frames)
        assert frames[0] == Hello(PROTOCOL_VERSION, "hub", 1, 0)
        return messages_in(frames)

    messages = run_worker(use)
    assert [type(message) for message in messages] == [Join, Claim]
    assert messages[1] == Claim("hub", 3)


def test_agent_that_begins_later_takes_the_next_round_and_no_other(run_worker):
    async def use(_worker, control, endpoint, yard):
        await control.tell(assignment(mesh_seat("a"), neighbour("b"), rounds_over=7), Connect())
        await control.hear()
        await link_as(yard, endpoint, "b", Join("b", "peer", ""))
        assert isinstance(await control.hear(), Connected)
        await control.tell(Start(tick(8)), Start(tick(10)))
        return [await control.hear(), await control.hear()]

    decided, failed = run_worker(use)
    assert decided.round == 8
    assert failed == Failed("a", "a failed in round 10: a has seen round 8, and the next it is told of is 10")


def test_agent_that_has_failed_says_no_more_of_its_neighbours(run_worker):
    async def use(_worker, control, endpoint, yard):
        pipe = await connect_hub(control, yard, endpoint)
        await control.tell(Start(tick(5)))
        assert isinstance(await control.hear(), Failed)
        await pipe.close()
        with anyio.move_on_after(60):
            return await control.hear()

    assert run_worker(use) is None


def test_progress_tells_that_an_agent_has_failed(run_worker):
    async def use(_worker, control, endpoint, yard):
        await connect_hub(control, yard, endpoint)
        await control.tell(Start(tick(5)))
        while not isinstance(await control.hear(), Failed):
            pass
        account = await control.hear(also_progress=True)
        assert isinstance(account, Progress)
        return account.state

    assert run_worker(use) == "ERROR"
