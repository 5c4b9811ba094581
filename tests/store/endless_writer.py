"""A process that writes events for ever and says each number that was acknowledged: `STATE SWARM COUNT`.

It ends when COUNT are written (0 means never), or when its lease is lost, which it says.
"""

import sys
from datetime import UTC, datetime

import anyio

from orchestrator.store import open_store
from orchestrator.store.changes import RecordEvent
from orchestrator.store.errors import LeaseLost


async def main(state: str, swarm: str, count: int) -> None:
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    async with open_store(state) as store:
        await store.found(swarm, {}, now=now)
        lease = await store.acquire(swarm, "writer", now=now, lease_s=10)
        written = 0
        while not count or written < count:
            try:
                written = await store.commit(lease, [RecordEvent(event="e", subject=f"{written + 1}")], now=now)
            except LeaseLost:
                print("lost", flush=True)
                return
            print(written, flush=True)


anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
