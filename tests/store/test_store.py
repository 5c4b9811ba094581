"""What the state store promises, on whatever it is kept in."""

import anyio
import pytest

from orchestrator.store import open_store
from orchestrator.store.changes import (
    CloseIntent,
    OpenIntent,
    RecordEvent,
    SaveAgent,
    SaveOrder,
    SaveSandbox,
    SetPhase,
)
from orchestrator.store.errors import (
    LeaseHeld,
    LeaseLost,
    StoreConflict,
    SwarmExists,
    SwarmUnknown,
)
from orchestrator.store.records import (
    AgentRecord,
    BrokerOrder,
    OrderState,
    Outcome,
    SandboxRecord,
    SandboxState,
    SwarmPhase,
)
from workers.state import AgentState

pytestmark = pytest.mark.anyio

SPEC = {"topology": "mesh", "agents": 5, "symbols": ["A", "B"], "pace": 0.5, "data": None}


def agent(name="a", generation=1, sandbox=""):
    return AgentRecord(name=name, generation=generation, state=AgentState.INITIALIZING, sandbox=sandbox, revision="r1")


def sandbox(at, name="sb-1", state=SandboxState.RUNNING, generation=1):
    return SandboxRecord(id=name, agent="a", generation=generation, state=state, started_at=at(1), lease_until=at(300))


def order(state, key="s/1/A", symbol="A"):
    return BrokerOrder(key=key, symbol=symbol, state=state, facts={"quantity": "1.5"})


CREATE = OpenIntent(key="create/a/1", kind="create", subject="a", facts={"generation": 1})
DONE = CloseIntent(key="create/a/1", outcome=Outcome.DONE)


@pytest.fixture
async def lease(store, at):
    await store.found("s", SPEC, now=at())
    return await store.acquire("s", "one", now=at(), lease_s=10)


async def test_founded_swarm_is_read_back_as_it_was_said(store, at):
    founded = await store.found("s", SPEC, now=at(0.123456))
    state = await store.read("s")
    assert state.swarm == founded
    assert (founded.run, founded.phase, founded.spec) == (1, SwarmPhase.LAUNCHING, SPEC)
    assert founded.founded_at == at(0.123456)
    assert (state.lease, state.agents, state.intents, state.events_last) == (None, (), (), 0)


async def test_swarms_are_listed_by_name_as_python_orders(store, at):
    for name in ("b-1", "a", "b", "B"):
        await store.found(name, SPEC, now=at())
    assert [swarm.name for swarm in await store.swarms()] == ["B", "a", "b", "b-1"]


async def test_name_of_a_swarm_that_is_not_stopped_is_refused(store, at):
    await store.found("s", SPEC, now=at())
    with pytest.raises(SwarmExists, match=r"a swarm named s exists \(run 1, LAUNCHING\); choose another name"):
        await store.found("s", SPEC, now=at())


async def test_name_of_a_stopped_swarm_can_be_used_again(store, lease, at):
    await store.commit(lease, [SaveAgent(agent(generation=3)), SetPhase(phase=SwarmPhase.STOPPED)], now=at(1))
    again = await store.found("s", {"topology": "ring"}, now=at(2))
    assert (again.run, again.phase, again.spec) == (2, SwarmPhase.LAUNCHING, {"topology": "ring"})
    assert (await store.read("s")).agents[0].generation == 3


async def test_unknown_swarm_is_said_to_be_unknown(store, at):
    with pytest.raises(SwarmUnknown, match="no swarm named x"):
        await store.read("x")
    with pytest.raises(SwarmUnknown):
        await store.acquire("x", "one", now=at(), lease_s=10)


async def test_second_coordinator_must_wait_until_the_lease_is_over(store, lease, at):
    with pytest.raises(LeaseHeld, match="swarm s is run by one until 2026-11-20T12:00:10") as refused:
        await store.acquire("s", "two", now=at(9.9), lease_s=10)
    assert (refused.value.holder, refused.value.until) == ("one", at(10))
    taken = await store.acquire("s", "two", now=at(10), lease_s=10)
    assert taken.token == lease.token + 1
    assert (await store.read("s")).lease == taken


async def test_coordinator_that_starts_again_fences_its_former_self(store, lease, at):
    again = await store.acquire("s", "one", now=at(1), lease_s=10)
    with pytest.raises(LeaseLost):
        await store.commit(lease, [CREATE], now=at(1))
    await store.commit(again, [CREATE], now=at(1))


async def test_renewed_lease_holds_longer(store, lease, at):
    renewed = await store.renew(lease, now=at(8), lease_s=10)
    assert (renewed.token, renewed.expires_at) == (lease.token, at(18))
    with pytest.raises(LeaseHeld):
        await store.acquire("s", "two", now=at(17), lease_s=10)


async def test_lease_that_ran_out_can_be_renewed_while_nobody_has_it(store, lease, at):
    assert (await store.renew(lease, now=at(60), lease_s=10)).expires_at == at(70)


async def test_released_lease_can_be_taken_at_once(store, lease, at):
    await store.release(lease, now=at(1))
    assert (await store.acquire("s", "two", now=at(1), lease_s=10)).token == 2


async def test_old_token_can_neither_write_nor_renew_nor_release(store, lease, at):
    await store.acquire("s", "two", now=at(10), lease_s=10)
    with pytest.raises(LeaseLost, match="it has token 1, the swarm belongs to two with token 2; this coordinator must"):
        await store.commit(lease, [CREATE, RecordEvent(event="e", subject="s")], now=at(11))
    with pytest.raises(LeaseLost):
        await store.renew(lease, now=at(11), lease_s=10)
    with pytest.raises(LeaseLost):
        await store.release(lease, now=at(11))
    state = await store.read("s")
    assert (state.intents, state.events_last, state.lease.holder) == ((), 0, "two")


async def test_intent_is_open_until_its_outcome_is_written(store, lease, at):
    await store.commit(lease, [SaveAgent(agent()), CREATE], now=at(1))
    (intent,) = (await store.read("s")).intents
    assert (intent.key, intent.kind, intent.subject, intent.facts) == ("create/a/1", "create", "a", {"generation": 1})
    assert (intent.token, intent.opened_at) == (lease.token, at(1))
    await store.commit(lease, [DONE, SaveSandbox(sandbox(at)), SaveAgent(agent(sandbox="sb-1"))], now=at(2))
    state = await store.read("s")
    assert state.intents == ()
    assert state.sandboxes == (sandbox(at),)
    assert state.agents == (agent(sandbox="sb-1"),)


async def test_commit_is_all_or_nothing(store, lease, at):
    with pytest.raises(StoreConflict, match="create/a/1 cannot be closed: it was never opened"):
        await store.commit(lease, [RecordEvent(event="e", subject="s"), SaveAgent(agent()), DONE], now=at(1))
    state = await store.read("s")
    assert (state.agents, state.events_last) == ((), 0)


async def test_changes_written_twice_are_written_once(store, lease, at):
    before = [SaveAgent(agent()), CREATE, SaveOrder(order(OrderState.INTENDED))]
    after = [DONE, SaveSandbox(sandbox(at)), SaveOrder(order(OrderState.ACCEPTED))]
    for changes in (before, before, after):
        await store.commit(lease, changes, now=at(1))
    once = await store.read("s")
    await store.commit(lease, after, now=at(2))
    assert await store.read("s") == once


@pytest.mark.parametrize(
    ("before", "then", "message"),
    [
        pytest.param(
            [CREATE],
            OpenIntent(key="create/a/1", kind="create", subject="b"),
            "intent create/a/1 has subject 'a', it cannot become 'b'",
            id="an intent says something else",
        ),
        pytest.param([CREATE, DONE], CREATE, "ended DONE already; a new attempt has a new key", id="an intent again"),
        pytest.param(
            [CREATE, DONE],
            CloseIntent(key="create/a/1", outcome=Outcome.FAILED),
            "ended DONE, it cannot end FAILED",
            id="another outcome",
        ),
        pytest.param(
            [SaveAgent(agent(generation=2))], SaveAgent(agent()), "cannot go back to 1", id="an older generation"
        ),
        pytest.param(
            [SaveOrder(order(OrderState.FILLED))],
            SaveOrder(order(OrderState.ACCEPTED)),
            "is FILLED, it cannot become ACCEPTED",
            id="an order after its end",
        ),
        pytest.param(
            [SaveOrder(order(OrderState.UNKNOWN))],
            SaveOrder(order(OrderState.INTENDED)),
            "cannot become INTENDED",
            id="an order before its start",
        ),
        pytest.param(
            [SaveOrder(order(OrderState.UNKNOWN))],
            SaveOrder(order(OrderState.UNKNOWN, symbol="B")),
            "has symbol 'A', it cannot become 'B'",
            id="another order under a key",
        ),
        pytest.param([CREATE], SetPhase(phase=SwarmPhase.STOPPED), "it has 1 open intents", id="a stop too early"),
    ],
)
async def test_what_contradicts_the_record_is_refused(store, lease, at, *, before, then, message):
    await store.commit(lease, before, now=at(1))
    recorded = await store.read("s")
    with pytest.raises(StoreConflict, match=message):
        await store.commit(lease, [then], now=at(2))
    assert await store.read("s") == recorded


async def test_sandbox_that_ended_stays_ended_and_keeps_its_owner(store, lease, at):
    await store.commit(lease, [SaveSandbox(sandbox(at))], now=at(1))
    with pytest.raises(StoreConflict, match="1 running sandboxes"):
        await store.commit(lease, [SetPhase(phase=SwarmPhase.STOPPED)], now=at(2))
    with pytest.raises(StoreConflict, match="has generation 1, it cannot become 2"):
        await store.commit(lease, [SaveSandbox(sandbox(at, generation=2))], now=at(2))
    ended = SaveSandbox(sandbox(at, state=SandboxState.ENDED))
    await store.commit(lease, [ended, SetPhase(phase=SwarmPhase.STOPPED)], now=at(2))
    with pytest.raises(StoreConflict, match="sb-1 has ended"):
        await store.commit(lease, [SaveSandbox(sandbox(at))], now=at(3))


async def test_final_orders_are_not_read_with_those_that_are_open(store, lease, at):
    states = {"k1": OrderState.INTENDED, "k2": OrderState.FILLED, "k3": OrderState.UNKNOWN, "k4": OrderState.EXPIRED}
    await store.commit(lease, [SaveOrder(order(state, key=key)) for key, state in states.items()], now=at(1))
    assert [found.key for found in (await store.read("s")).orders] == ["k1", "k3"]


async def test_events_are_numbered_without_gaps_and_read_from_anywhere(store, lease, at):
    facts = {"n": 1, "price": 0.1, "is_it": True, "none": None, "text": "ä\n\x00'\"; --"}
    assert await store.commit(lease, [RecordEvent(event="e", subject="s", facts=facts)] * 3, now=at(1)) == 3
    assert await store.commit(lease, [SetPhase(phase=SwarmPhase.TRADING)], now=at(2)) == 3
    assert await store.commit(lease, [RecordEvent(event="f", subject="s")], now=at(3)) == 4
    everything = await store.events("s")
    assert [event.sequence for event in everything] == [1, 2, 3, 4]
    assert (everything[0].facts, everything[0].at, everything[0].token) == (facts, at(1), lease.token)
    assert [event.sequence for event in await store.events("s", after=1, limit=2)] == [2, 3]


async def test_swarms_do_not_see_each_other(store, lease, at):
    await store.found("t", SPEC, now=at())
    other = await store.acquire("t", "two", now=at(), lease_s=10)
    await store.commit(lease, [SaveAgent(agent()), CREATE, RecordEvent(event="e", subject="s")], now=at(1))
    await store.commit(other, [SaveAgent(agent(generation=7)), CREATE], now=at(1))
    assert [found.generation for found in (await store.read("s")).agents] == [1]
    assert [found.generation for found in (await store.read("t")).agents] == [7]
    assert await store.events("t") == ()


async def test_moment_without_a_zone_is_refused(store, at):
    with pytest.raises(Exception, match="has no time zone"):
        await store.found("s", SPEC, now=at().replace(tzinfo=None))


async def test_number_that_json_lacks_is_refused(store, lease, at):
    with pytest.raises(Exception, match="not JSON compliant"):
        await store.commit(lease, [RecordEvent(event="e", subject="s", facts={"x": float("nan")})], now=at(1))


async def test_what_was_written_is_there_when_the_store_is_opened_again(state, at):
    async with open_store(state) as store:
        await store.found("s", SPEC, now=at())
        lease = await store.acquire("s", "one", now=at(), lease_s=10)
        await store.commit(lease, [SaveAgent(agent()), CREATE, RecordEvent(event="e", subject="s")], now=at(1))
        before = await store.read("s")
    async with open_store(state) as store:
        assert await store.read("s") == before
        assert len(await store.events("s")) == 1


async def test_many_writers_at_once_lose_nothing(state, at):
    async with open_store(state) as one, open_store(state) as two:
        await one.found("s", SPEC, now=at())
        lease = await one.acquire("s", "one", now=at(), lease_s=10)
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                change = RecordEvent(event="e", subject=f"{number}")
                tasks.start_soon(
                    lambda store, change: store.commit(lease, [change], now=at(1)), (one, two)[number % 2], change
                )
        found = await two.events("s")
    assert [event.sequence for event in found] == list(range(1, 21))
    assert {event.subject for event in found} == {f"{number}" for number in range(20)}


async def test_of_two_who_want_a_swarm_at_once_one_gets_it(state, at):
    winners, losers = [], []

    async def try_it(store, holder):
        try:
            winners.append(await store.acquire("s", holder, now=at(), lease_s=10))
        except LeaseHeld as held:
            losers.append(held)

    async with open_store(state) as one, open_store(state) as two:
        await one.found("s", SPEC, now=at())
        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(try_it, (one, two)[number % 2], f"holder-{number}")
    assert [lease.token for lease in winners] == [1]
    assert {held.holder for held in losers} == {winners[0].holder}


async def test_of_two_who_found_a_swarm_at_once_one_does(state, at):
    outcomes = []

    async def try_it(store):
        try:
            outcomes.append((await store.found("s", SPEC, now=at())).run)
        except SwarmExists:
            outcomes.append(None)

    async with open_store(state) as one, open_store(state) as two, anyio.create_task_group() as tasks:
        for store in (one, two, one, two):
            tasks.start_soon(try_it, store)
    assert sorted(outcomes, key=str) == [1, None, None, None]


async def test_cancelled_commit_is_either_done_or_not_begun(state, at):
    async with open_store(state) as store:
        await store.found("s", SPEC, now=at())
        lease = await store.acquire("s", "one", now=at(), lease_s=10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: store.commit(lease, [CREATE, RecordEvent(event="e", subject="s")], now=at(1)))
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        found = await store.read("s")
        assert (len(found.intents), found.events_last) in {(0, 0), (1, 1)}
        assert await store.commit(lease, [RecordEvent(event="e", subject="s")], now=at(2)) == found.events_last + 1
