"""What several coordinators share when they share an account: its slots, and the turns to create a sandbox.

A slot is taken before a sandbox is asked for, and held as long as the sandbox's lease: a coordinator that dies gives
its slots back when its sandboxes have ended by themselves. All slots asked for at once are given, or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestrator.store import leases
from orchestrator.store.database import Database
from orchestrator.store.errors import SlotsTaken
from orchestrator.store.records import Lease
from orchestrator.store.tables import accounts, slots
from sandboxes.rates import Rate, Turn, take_turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Slots asked for, by the key each sandbox is asked for with, and held `until` then unless claimed again."""

    keys: Sequence[str]
    until: datetime


class AccountBook:
    """One account; made by `Store.account`. `name` must not be the API key: it is stored and shown."""

    def __init__(self, database: Database, *, where: str, name: str) -> None:
        self._database = database
        self._where = where
        self._name = name

    async def reserve(self, lease: Lease, claim: Claim, *, slots_max: int, now: datetime) -> None:
        """Take slots, or hold longer what is held already. Raises SlotsTaken with nothing taken, or LeaseLost."""

        def reserve(connection: sa.Connection) -> None:
            leases.check_fence(connection, lease, where=self._where)
            self._lock(connection)
            connection.execute(sa.delete(slots).where(slots.c.account == self._name, slots.c.until <= now))
            held = self._held(connection)
            mine = {key for swarm, key in held if swarm == lease.swarm}
            wanted = sorted(set(claim.keys) - mine)
            if wanted and len(held) + len(wanted) > slots_max:
                raise SlotsTaken(self._refusal(held, asked=len(wanted), slots_max=slots_max))
            again = sorted(mine.intersection(claim.keys))
            is_again = (slots.c.account == self._name, slots.c.swarm == lease.swarm, slots.c.key.in_(again))
            connection.execute(sa.update(slots).where(*is_again).values(until=claim.until))
            if wanted:
                owned = {"account": self._name, "swarm": lease.swarm, "until": claim.until}
                connection.execute(sa.insert(slots), [{**owned, "key": key} for key in wanted])

        await self._database.write(reserve)

    async def release(self, lease: Lease, keys: Sequence[str]) -> None:
        """Give slots back, once their sandboxes are gone; those that are not held do not matter. Raises LeaseLost."""

        def release(connection: sa.Connection) -> None:
            leases.check_fence(connection, lease, where=self._where)
            is_it = (slots.c.account == self._name, slots.c.swarm == lease.swarm, slots.c.key.in_(sorted(keys)))
            connection.execute(sa.delete(slots).where(*is_it))

        await self._database.write(release)

    async def holders(self, *, now: datetime) -> Mapping[str, Sequence[str]]:
        """List the keys of the slots that are held, by swarm."""

        def read(connection: sa.Connection) -> Mapping[str, Sequence[str]]:
            found: dict[str, list[str]] = {}
            for swarm, key in sorted(self._held(connection, slots.c.until > now)):
                found.setdefault(swarm, []).append(key)
            return found

        return await self._database.read(read)

    async def take_turn(self, rate: Rate, *, now: datetime) -> Turn:
        """Take the account's next turn to create; whoever asks waits until it has come."""

        def take(connection: sa.Connection) -> Turn:
            self._lock(connection)
            is_it = accounts.c.name == self._name
            due = connection.execute(sa.select(accounts.c.create_due).where(is_it)).scalar_one()
            turn = take_turn(rate, due, now=now)
            connection.execute(sa.update(accounts).where(is_it).values(create_due=turn.due))
            return turn

        return await self._database.write(take)

    def _lock(self, connection: sa.Connection) -> None:
        """Hold the account's row, made on first use, until the transaction ends. After the swarm's, never before it."""
        connection.execute(
            sa.text("INSERT INTO accounts (name) VALUES (:name) ON CONFLICT (name) DO NOTHING"), {"name": self._name}
        )
        connection.execute(sa.select(accounts.c.name).where(accounts.c.name == self._name).with_for_update())

    def _held(self, connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> Sequence[tuple[str, str]]:
        chosen = sa.select(slots.c.swarm, slots.c.key).where(slots.c.account == self._name, *conditions)
        return [(row.swarm, row.key) for row in connection.execute(chosen)]

    def _refusal(self, held: Sequence[tuple[str, str]], *, asked: int, slots_max: int) -> str:
        swarms = sorted({swarm for swarm, _ in held})
        has = (
            ", ".join(f"{swarm} has {sum(owner == swarm for owner, _ in held)}" for swarm in swarms) or "nobody has any"
        )
        return (
            f"asked for {asked} more slots of account {self._name}, which has {max(0, slots_max - len(held))} of "
            f"{slots_max} free ({has}); ask for fewer agents, or stop another swarm"
        )
