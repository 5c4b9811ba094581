"""What coordinators share: no burst of theirs goes over the account's slots or its rate of creation."""

from itertools import pairwise

import anyio
import pytest

from orchestrator.store import open_store
from orchestrator.store.accounts import Claim
from orchestrator.store.errors import LeaseLost, SlotsTaken
from sandboxes.rates import Rate
from sandboxes.tiers import LIMITS, Tier

pytestmark = pytest.mark.anyio


async def coordinate(store, swarm, *, now):
    await store.found(swarm, {}, now=now)
    return await store.acquire(swarm, f"of {swarm}", now=now, lease_s=60)


def claim(at, *keys, until=300):
    return Claim(keys=keys, until=at(until))


async def test_slots_are_given_all_or_none(store, at):
    one, two = [await coordinate(store, swarm, now=at()) for swarm in ("s", "t")]
    book = store.account("a")
    await book.reserve(one, claim(at, "a-1", "a-2"), slots_max=4, now=at())
    message = r"asked for 3 more slots of account a, which has 2 of 4 free \(s has 2\); ask for fewer agents"
    with pytest.raises(SlotsTaken, match=message):
        await book.reserve(two, claim(at, "a-1", "a-2", "a-3"), slots_max=4, now=at())
    await book.reserve(two, claim(at, "a-1", "a-2"), slots_max=4, now=at())
    assert await book.holders(now=at()) == {"s": ["a-1", "a-2"], "t": ["a-1", "a-2"]}


async def test_slot_asked_for_again_is_the_same_slot(store, at):
    lease = await coordinate(store, "s", now=at())
    book = store.account("a")
    await book.reserve(lease, claim(at, "a-1", until=10), slots_max=1, now=at())
    await book.reserve(lease, claim(at, "a-1", until=20), slots_max=1, now=at(5))
    assert await book.holders(now=at(15)) == {"s": ["a-1"]}


async def test_slot_is_free_when_given_back_or_when_its_time_is_over(store, at):
    one, two = [await coordinate(store, swarm, now=at()) for swarm in ("s", "t")]
    book = store.account("a")
    await book.reserve(one, claim(at, "x", "y", until=10), slots_max=2, now=at())
    await book.release(one, ["x", "never held"])
    await book.reserve(two, claim(at, "z"), slots_max=2, now=at(9))
    with pytest.raises(SlotsTaken):
        await book.reserve(two, claim(at, "w"), slots_max=2, now=at(9))
    await book.reserve(two, claim(at, "w"), slots_max=2, now=at(10))
    assert await book.holders(now=at(10)) == {"t": ["w", "z"]}


async def test_slots_held_are_kept_when_the_account_shrinks(store, at):
    lease = await coordinate(store, "s", now=at())
    book = store.account("a")
    await book.reserve(lease, claim(at, "x", "y"), slots_max=2, now=at())
    await book.reserve(lease, claim(at, "x", "y", until=400), slots_max=1, now=at(1))
    assert await book.holders(now=at(350)) == {"s": ["x", "y"]}


async def test_accounts_have_slots_of_their_own(store, at):
    lease = await coordinate(store, "s", now=at())
    for name in ("a", "b"):
        await store.account(name).reserve(lease, claim(at, "x"), slots_max=1, now=at())
    assert await store.account("b").holders(now=at()) == {"s": ["x"]}


async def test_coordinator_that_lost_its_lease_neither_takes_nor_gives_back_slots(store, at):
    former = await coordinate(store, "s", now=at())
    book = store.account("a")
    await book.reserve(former, claim(at, "x"), slots_max=2, now=at())
    await store.acquire("s", "successor", now=at(60), lease_s=60)
    with pytest.raises(LeaseLost):
        await book.reserve(former, claim(at, "y"), slots_max=2, now=at(61))
    with pytest.raises(LeaseLost):
        await book.release(former, ["x"])
    assert await book.holders(now=at(61)) == {"s": ["x"]}


async def test_coordinators_at_once_never_take_more_than_there_is(state, at):
    most, refused = 7, []

    async def take(book, lease, number):
        try:
            await book.reserve(lease, claim(at, f"{number}-a", f"{number}-b"), slots_max=most, now=at())
        except SlotsTaken:
            refused.append(number)

    async with open_store(state) as one, open_store(state) as two:
        takers = [
            (store.account("a"), await coordinate(store, name, now=at())) for name, store in (("s", one), ("t", two))
        ]
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(take, *takers[number % 2], number)
        held = await one.account("a").holders(now=at())
    assert sum(len(keys) for keys in held.values()) == 6
    assert len(refused) == 7


async def test_coordinators_at_once_keep_the_rate_of_the_account(state, at):
    rate, turns = LIMITS[Tier.PRO].creates, []

    async def take(book):
        turns.append((await book.take_turn(rate, now=at())).at)

    async with open_store(state) as one, open_store(state) as two, anyio.create_task_group() as tasks:
        for store in (one, two) * 6:
            tasks.start_soon(take, store.account("a"))
    turns.sort()
    assert turns[0] == at()
    assert all((late - early).total_seconds() >= 1 / rate.per_s for early, late in pairwise(turns))


async def test_turns_that_nobody_took_are_not_saved_up(store, at):
    book = store.account("a")
    await book.take_turn(Rate(per_s=1), now=at())
    assert [(await book.take_turn(Rate(per_s=1), now=at(100))).at for _ in range(2)] == [at(100), at(101)]
