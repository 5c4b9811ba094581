"""Who may write for a swarm: one coordinator at a time, told apart by a fencing token.

Time only decides when a lease may be taken over. Safety does not hang on it: every write checks the token in its own
transaction, so that a coordinator that slept through its lease is refused, whatever its clock says.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestrator.store.errors import LeaseHeld, LeaseLost, SwarmUnknown
from orchestrator.store.records import Lease
from orchestrator.store.schema import refuse_newer
from orchestrator.store.tables import about, leases, swarms


def lock_swarm(connection: sa.Connection, swarm: str) -> None:
    """Hold the swarm's row until the transaction ends: all writers of a swarm queue here. Raises SwarmUnknown."""
    held = sa.select(swarms.c.name).where(swarms.c.name == swarm).with_for_update()
    if connection.execute(held).one_or_none() is None:
        raise unknown(swarm)


def unknown(swarm: str) -> SwarmUnknown:
    return SwarmUnknown(f"no swarm named {swarm} is recorded; check its name, and --state")


def read_lease(connection: sa.Connection, swarm: str) -> Lease | None:
    row = connection.execute(sa.select(leases).where(leases.c.swarm == swarm)).one_or_none()
    return None if row is None else Lease(**row._mapping)


def check_fence(connection: sa.Connection, lease: Lease, *, where: str) -> None:
    """Refuse an outdated coordinator, or one older than the schema. Raises LeaseLost, SwarmUnknown or StoreNewer."""
    lock_swarm(connection, lease.swarm)
    refuse_newer(connection.execute(sa.select(about.c.schema_version)).scalar_one(), where)
    present = read_lease(connection, lease.swarm)
    if present is None or present.token != lease.token:
        holder = "nobody" if present is None else f"{present.holder} with token {present.token}"
        raise LeaseLost(
            f"swarm {lease.swarm} is not {lease.holder}'s any more: it has token {lease.token}, the swarm belongs to "
            f"{holder}; this coordinator must stop"
        )


def acquire(connection: sa.Connection, wanted: Lease, *, now: datetime) -> Lease:
    """Take a swarm: `wanted` says for whom and until when. Raises LeaseHeld or SwarmUnknown."""
    lock_swarm(connection, wanted.swarm)
    present = read_lease(connection, wanted.swarm)
    if present is not None and present.expires_at > now and present.holder != wanted.holder:
        until = present.expires_at.isoformat(timespec="seconds")
        raise LeaseHeld(
            f"swarm {wanted.swarm} is run by {present.holder} until {until}; stop that one, or wait until then",
            holder=present.holder,
            until=present.expires_at,
        )
    values = {"holder": wanted.holder, "expires_at": wanted.expires_at}
    if present is None:
        token = 1
        connection.execute(sa.insert(leases).values(swarm=wanted.swarm, token=token, **values))
    else:
        token = present.token + 1
        connection.execute(sa.update(leases).where(leases.c.swarm == wanted.swarm).values(token=token, **values))
    return Lease(swarm=wanted.swarm, holder=wanted.holder, token=token, expires_at=wanted.expires_at)


def extend(connection: sa.Connection, lease: Lease, *, until: datetime) -> Lease:
    """Let a checked lease end at another time."""
    connection.execute(sa.update(leases).where(leases.c.swarm == lease.swarm).values(expires_at=until))
    return Lease(swarm=lease.swarm, holder=lease.holder, token=lease.token, expires_at=until)


def lease_wanted(swarm: str, holder: str, *, now: datetime, lease_s: float) -> Lease:
    """Describe a lease to acquire; its token is given by the store."""
    return Lease(swarm=swarm, holder=holder, token=0, expires_at=now + timedelta(seconds=lease_s))
