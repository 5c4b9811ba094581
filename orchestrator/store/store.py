"""The state store: what a coordinator must remember to be killed at any instruction and started again.

Intents are written before they are carried out, outcomes after. Only the coordinator that holds a swarm's lease
writes for it; whoever wants to know reads.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestrator.store import leases
from orchestrator.store.accounts import AccountBook
from orchestrator.store.changes import Change
from orchestrator.store.database import Database
from orchestrator.store.errors import SwarmExists
from orchestrator.store.records import (
    ORDER_STATES_FINAL,
    AgentRecord,
    BrokerOrder,
    EventRecord,
    Intent,
    Lease,
    SandboxRecord,
    SwarmPhase,
    SwarmRecord,
    SwarmState,
)
from orchestrator.store.rows import SwarmRows, select_fields
from orchestrator.store.tables import agents, events, intents, orders, sandboxes, swarms
from orchestrator.store.writing import Writer

EVENTS_READ_MAX = 10_000


class Store:
    """Every call is one transaction: it is done and durable, or raises StoreError and changed nothing."""

    def __init__(self, database: Database, where: str) -> None:
        self.database = database
        self.where = where

    async def found(self, name: str, spec: Mapping[str, object], *, now: datetime) -> SwarmRecord:
        """Record a new swarm, or a new run of one that was stopped. Raises SwarmExists."""
        return await self.database.write(lambda connection: _found(SwarmRows(connection, name), spec, now=now))

    async def acquire(self, swarm: str, holder: str, *, now: datetime, lease_s: float) -> Lease:
        """Become the swarm's coordinator; the former one is fenced off. Raises LeaseHeld or SwarmUnknown."""
        wanted = leases.lease_wanted(swarm, holder, now=now, lease_s=lease_s)
        return await self.database.write(lambda connection: leases.acquire(connection, wanted, now=now))

    async def renew(self, lease: Lease, *, now: datetime, lease_s: float) -> Lease:
        """Hold a lease for longer; also one that has run out, while nobody has taken it. Raises LeaseLost."""
        return await self._extend(lease, now + timedelta(seconds=lease_s))

    async def release(self, lease: Lease, *, now: datetime) -> None:
        """Let the swarm be taken over at once. Raises LeaseLost."""
        await self._extend(lease, now)

    async def commit(self, lease: Lease, changes: Sequence[Change], *, now: datetime) -> int:
        """Write changes, all or none; return the sequence number of the swarm's last event.

        Raises LeaseLost when the lease was taken over, StoreConflict when a change contradicts what is recorded.
        """

        def write(connection: sa.Connection) -> int:
            leases.check_fence(connection, lease, where=self.where)
            return Writer(SwarmRows(connection, lease.swarm), lease.token, now).write(changes)

        return await self.database.write(write)

    def account(self, name: str) -> AccountBook:
        """Return what coordinators share of an account. `name` is stored and shown: not the API key."""
        return AccountBook(self.database, where=self.where, name=name)

    async def swarms(self) -> Sequence[SwarmRecord]:
        """List all swarms, by name."""
        return await self.database.read(_swarms)

    async def read(self, swarm: str) -> SwarmState:
        """Read all that is known of a swarm, as of one moment. Raises SwarmUnknown."""
        return await self.database.read(lambda connection: _read(SwarmRows(connection, swarm)))

    async def events(self, swarm: str, *, after: int = 0, limit: int = 1000) -> Sequence[EventRecord]:
        """Read events in order, those behind a sequence number. `limit` is at most EVENTS_READ_MAX."""

        behind, most = events.c.sequence > after, min(limit, EVENTS_READ_MAX)
        return await self.database.read(
            lambda connection: SwarmRows(connection, swarm).records(EventRecord, events, behind, limit=most)
        )

    async def _extend(self, lease: Lease, until: datetime) -> Lease:
        def extend(connection: sa.Connection) -> Lease:
            leases.check_fence(connection, lease, where=self.where)
            return leases.extend(connection, lease, until=until)

        return await self.database.write(extend)


def _found(rows: SwarmRows, spec: Mapping[str, object], *, now: datetime) -> SwarmRecord:
    row = (
        rows.connection.execute(sa.select(swarms).where(swarms.c.name == rows.swarm).with_for_update())
        .mappings()
        .one_or_none()
    )
    if row is not None and row["phase"] is not SwarmPhase.STOPPED:
        raise SwarmExists(
            f"a swarm named {rows.swarm} exists (run {row['run']}, {row['phase']}); choose another name, or stop it"
        )
    run = 1 if row is None else row["run"] + 1
    values = {"run": run, "phase": SwarmPhase.LAUNCHING, "spec": dict(spec), "founded_at": now, "changed_at": now}
    if row is not None:
        rows.update_swarm(values)
    else:
        try:
            rows.connection.execute(sa.insert(swarms).values(name=rows.swarm, events_last=0, **values))
        except sa.exc.IntegrityError as error:  # founded elsewhere between the look and now
            raise SwarmExists(f"a swarm named {rows.swarm} was founded just now; choose another name") from error
    return SwarmRecord(name=rows.swarm, run=run, phase=SwarmPhase.LAUNCHING, spec=spec, founded_at=now, changed_at=now)


def _swarms(connection: sa.Connection) -> Sequence[SwarmRecord]:
    rows = connection.execute(select_fields(SwarmRecord, swarms)).mappings()
    return sorted((SwarmRecord(**row) for row in rows), key=lambda swarm: swarm.name)


def _read(rows: SwarmRows) -> SwarmState:
    is_it = swarms.c.name == rows.swarm
    row = rows.connection.execute(select_fields(SwarmRecord, swarms).where(is_it)).mappings().one_or_none()
    if row is None:
        raise leases.unknown(rows.swarm)
    return SwarmState(
        swarm=SwarmRecord(**row),
        lease=leases.read_lease(rows.connection, rows.swarm),
        agents=rows.records(AgentRecord, agents),
        sandboxes=rows.records(SandboxRecord, sandboxes),
        intents=rows.records(Intent, intents, intents.c.outcome.is_(None)),
        orders=rows.records(BrokerOrder, orders, orders.c.state.not_in(sorted(ORDER_STATES_FINAL))),
        events_last=rows.connection.execute(sa.select(swarms.c.events_last).where(is_it)).scalar_one(),
    )
