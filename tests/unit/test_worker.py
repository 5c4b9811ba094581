"""A worker from its first caller to its last account, over a network in memory."""

import random
from contextlib import suppress

import anyio
import pytest
from worker_yard import BAR, HUB, POST, SHOWING, SPOKE, TOKEN, a_yard, assignment, link_as, mesh_seat, neighbour

from topologies.messages import Ballot, Join, Leave, Tick
from workers.agent import GOODBYE_DEADLINE_S, Agent
from workers.codec import (
    PROTOCOL_VERSION,
    Assigned,
    Batch,
    Connect,
    Connected,
    Decided,
    Failed,
    FinalAccount,
    Start,
    Stop,
    StrategyRef,
    encode,
    encode_bar,
)
from workers.host import Host
from workers.network import PipeClosed, Refused
from workers.outbox import WAITING_MAX, Outbox
from workers.revision import code_revision
from workers.state import AgentState
from workers.worker import Worker


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/control", None, id="a coordinator"),
        pytest.param("/link", 409, id="a neighbour"),
        pytest.param("/health/", 404, id="elsewhere"),
        pytest.param("/", 404, id="the root"),
    ],
)
def test_anonymous_worker_lets_in_a_coordinator_only(tmp_path, path, status):
    refusal = Worker(None, Host(home=tmp_path)).admit(path, {})
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/control", {}, 401, id="coordinator without token"),
        pytest.param("/control", {"authorization": "Bearer wrong"}, 401, id="coordinator with a wrong token"),
        pytest.param("/control", {"authorization": TOKEN}, 401, id="coordinator with a bare token"),
        pytest.param("/control", SHOWING, None, id="coordinator with the token"),
        pytest.param("/link", {"x-swarm-agent": "spoke"}, 401, id="neighbour without token"),
        pytest.param(
            "/link", {"authorization": "Bearer wrong", "x-swarm-agent": "spoke"}, 401, id="neighbour with a wrong token"
        ),
        pytest.param("/link", SHOWING | {"x-swarm-agent": "stranger"}, 403, id="stranger"),
        pytest.param("/link", SHOWING | {"x-swarm-agent": "hub"}, 403, id="itself"),
        pytest.param("/link", SHOWING, 403, id="nobody"),
        pytest.param("/link", SHOWING | {"x-swarm-agent": "spoke"}, None, id="neighbour"),
        pytest.param("/elsewhere", SHOWING, 404, id="elsewhere"),
    ],
)
def test_assigned_worker_lets_in_who_shows_the_token(run_worker, path, headers, status):
    async def use(worker, control, *_):
        await control.tell(assignment())
        await control.hear()
        await control.hang_up()
        refusal = worker.admit(path, headers)
        assert (refusal and refusal.status) == status

    run_worker(use)


def test_worker_has_one_coordinator_at_a_time(run_worker):
    async def use(_worker, control, endpoint, yard):
        await anyio.sleep(0.01)
        with pytest.raises(Refused, match="409: this worker has a coordinator"):
            await yard.control(endpoint)
        await control.hang_up()
        await yard.control(endpoint)

    run_worker(use)


def test_of_two_coordinators_that_dial_at_once_one_is_served(run_virtual, tmp_path):
    class Even(random.Random):
        def uniform(self, a, b):
            return a

    async def main():
        async with a_yard(tmp_path, Even(1)) as yard:
            _, endpoint, _ = yard.start("hub")
            turned_away = []

            async def call(name):
                try:
                    await (await yard.control(endpoint)).hear()
                except (Refused, PipeClosed):
                    turned_away.append(name)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, "one")
                tasks.start_soon(call, "two")
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()
            assert len(turned_away) == 1

    run_virtual(main)


def test_token_that_is_not_ascii_is_wrong(run_worker):
    async def use(worker, control, *_):
        await control.tell(assignment())
        await control.hear()
        return worker.admit("/link", {"authorization": "Bearer schlüssel"}).status

    assert run_worker(use) == 401


def test_health_tells_who_is_here_and_no_secret(run_worker):
    async def use(worker, control, *_):
        before = worker.health()
        await control.tell(assignment())
        await control.hear()
        return before, worker.health()

    assert run_worker(use) == (
        {"state": "anonymous", "protocol": "2"},
        {"state": "INITIALIZING", "agent": "hub", "protocol": "2"},
    )


def test_assignment_is_answered_with_the_revision_of_the_code(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment())
        return await control.hear()

    assert run_worker(use) == Assigned("hub", code_revision())


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        pytest.param(2, 1, "this worker is hub in generation 2", id="lower"),
        pytest.param(2, 2, "this worker is hub in generation 2", id="the same"),
        pytest.param(2, 3, "", id="higher"),
    ],
)
def test_second_assignment_needs_a_higher_generation(run_worker, first, second, reason):
    async def use(worker, control, *_):
        await control.tell(assignment(generation=first))
        await control.hear()
        await control.tell(assignment(SPOKE, neighbour("hub"), generation=second))
        return await control.hear(), worker.health()["agent"]

    refused = (Failed("spoke", reason), "hub")
    assert run_worker(use) == (refused if reason else (Assigned("spoke", code_revision()), "spoke"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param(
            {"version": PROTOCOL_VERSION + 1}, "the coordinator speaks protocol 3, this worker 2", id="protocol"
        ),
        pytest.param({"strategies": (StrategyRef("unheard"),)}, "there is no strategy 'unheard'", id="strategy"),
        pytest.param(
            {"strategies": (StrategyRef("mine", "mine.py", "0" * 64),)}, "mine.py: expected sha256 0000", id="hash"
        ),
    ],
)
def test_assignment_that_cannot_be_taken_leaves_the_worker_anonymous(run_worker, tmp_path, changes, reason):
    (tmp_path / "mine.py").write_text("another file")

    async def use(worker, control, *_):
        await control.tell(assignment(**changes))
        failed = await control.hear()
        assert isinstance(failed, Failed)
        assert failed.reason.startswith(reason)
        assert worker.health()["state"] == "anonymous"
        await control.tell(assignment())
        assert isinstance(await control.hear(), Assigned)

    run_worker(use)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        pytest.param(Connect(), "an order came before an assignment", id="connect"),
        pytest.param(Start(Tick(1, "day", {})), "an order came before an assignment", id="tick"),
        pytest.param(Stop(), "an order came before an assignment", id="stop"),
        pytest.param(b"\xc1", "not an order of protocol 2", id="no order"),
    ],
)
def test_order_out_of_place_fails_and_ends_the_connection(run_worker, order, reason):
    async def use(worker, control, *_):
        await control.tell(order)
        failed = await control.hear()
        assert isinstance(failed, Failed)
        assert failed.reason.startswith(reason)
        with pytest.raises(PipeClosed):
            await control.hear()
        assert worker.admit("/control", {}) is None

    run_worker(use)


def test_two_workers_play_a_star(run_virtual, tmp_path):
    async def main():
        async with a_yard(tmp_path) as yard:
            (_, hub_at, hub_ended), (_, spoke_at, spoke_ended) = yard.start("hub"), yard.start("spoke")
            hub, spoke = await yard.control(hub_at), await yard.control(spoke_at)
            await hub.tell(assignment(HUB, neighbour("spoke", spoke_at, dials=True)))
            await spoke.tell(assignment(SPOKE, neighbour("hub", hub_at)))
            assert [type(await side.hear()) for side in (hub, spoke)] == [Assigned] * 2
            await hub.tell(Connect())
            await spoke.tell(Connect())
            assert [await side.hear() for side in (hub, spoke)] == [Connected("hub"), Connected("spoke")]
            await hub.tell(Start(Tick(1, "day", {"X": encode_bar(BAR)})))
            decided = await hub.hear()
            assert isinstance(decided, Decided)
            assert [(one.key, len(one.votes)) for one in decided.decisions] == [("1/X", 1)]
            await hub.tell(Stop())
            await spoke.tell(Stop())
            accounts = [await side.hear() for side in (hub, spoke)]
            assert [(account.agent, account.tasks, account.rss_mb) for account in accounts] == [
                ("hub", 0, 12.5),
                ("spoke", 1, 12.5),
            ]
            assert [account.edges[0].messages for account in accounts] == [3, 3]  # Join, one of the round, Leave
            assert [account.heard for account in accounts] == [{"spoke": 3}, {"hub": 3}]
            await hub_ended.wait()
            await spoke_ended.wait()

    run_virtual(main)


def test_agent_reports_how_it_stands(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment(), Connect())
        assert isinstance(await control.hear(also_progress=True), Assigned)
        return [await control.hear(also_progress=True) for _ in range(3)]

    for progress in run_worker(use):
        assert (progress.agent, progress.state, progress.round, progress.messages_out) == ("hub", "INITIALIZING", 0, 1)


def test_goodbye_to_a_neighbour_that_never_came_has_a_deadline(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment(), Stop())
        await control.hear()
        began = anyio.current_time()
        assert isinstance(await control.hear(), FinalAccount)
        return anyio.current_time() - began

    assert run_worker(use) == pytest.approx(GOODBYE_DEADLINE_S, abs=0.1)


def test_message_off_an_edge_fails_the_agent(run_worker):
    async def use(_worker, control, endpoint, yard):
        await control.tell(assignment(HUB, neighbour("spoke", hears=False)))
        await control.hear()
        await link_as(yard, endpoint, "spoke", Join("spoke", "spoke", ""))
        return await control.hear()

    assert run_worker(use) == Failed("hub", "hub got a Join from spoke, from whom no edge leads here")


def test_rule_that_sends_off_an_edge_fails_the_agent(run_worker):
    seat = mesh_seat("a", "b")

    async def use(_worker, control, *_):
        await control.tell(assignment(seat, neighbour("b", sends=False)))
        await control.hear()
        await control.tell(Start(Tick(1, "day", {"X": encode_bar(BAR)})))
        return await control.hear()

    assert run_worker(use) == Failed("a", "a failed in round 1: there is no edge to b for a Ballot")


def test_deadline_of_a_round_is_kept(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment(), Connect())
        await control.hear()
        began = anyio.current_time()
        await control.tell(Start(Tick(1, "day", {"X": encode_bar(BAR)})))
        decided = await control.hear()
        assert (decided.round, decided.decisions, decided.office, decided.token) == (1, (), "hub", 1)
        return anyio.current_time() - began

    assert run_worker(use) == pytest.approx(POST.deadline_s, abs=0.01)


def test_neighbour_that_says_goodbye_before_time_is_no_failure(run_worker):
    async def use(worker, control, endpoint, yard):
        await control.tell(assignment(), Connect())
        await control.hear()
        await link_as(yard, endpoint, "spoke", Join("spoke", "spoke", ""), Leave("spoke", 0))
        assert isinstance(await control.hear(), Connected)
        await anyio.sleep(1)
        return worker.health()["state"]

    assert run_worker(use) == "READY"


def test_reassignment_ends_the_links_of_the_former_agent(run_worker):
    seat = mesh_seat("b", "a")

    async def use(_worker, control, endpoint, yard):
        await control.tell(assignment(seat, neighbour("b")), Connect())
        await control.hear()
        pipe = await link_as(yard, endpoint, "b", Join("b", "peer", ""))
        assert isinstance(await control.hear(), Connected)
        await control.tell(assignment(seat, neighbour("b"), generation=2))
        assert isinstance(await control.hear(), Assigned)
        with anyio.fail_after(60), suppress(PipeClosed):
            await pipe.send(encode(Batch(2, 0, (Ballot(1, ()),))))
            while await pipe.receive():
                pass

    run_worker(use)


def test_former_agent_says_nothing_after_a_reassignment(run_worker):
    async def use(_worker, control, *_):
        await control.tell(assignment(), Connect())
        await control.hear()
        await control.tell(assignment(SPOKE, neighbour("hub"), generation=2))
        await control.hear()
        with anyio.move_on_after(30):
            return await control.hear(also_progress=True)
        return "silence"

    assert run_worker(use) == "silence"


def test_agent_whose_coordinator_takes_nothing_fails_quietly(run_virtual, tmp_path):
    async def main():
        outbox = Outbox()
        seat = mesh_seat("a")
        agent = Agent(assignment(seat, neighbour("b")), host=Host(home=tmp_path), outbox=outbox)
        for _ in range(WAITING_MAX):
            outbox.post(Connected("a"))
        agent.player.on_tick(Tick(1, "day", {"X": encode_bar(BAR)}))
        return agent.player.state

    assert run_virtual(main) is AgentState.ERROR
