"""The rows of one swarm: what every statement on the tables that belong to a swarm has in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

import sqlalchemy as sa

from orchestrator.store.tables import swarms

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class SwarmRows:
    """Finds and changes rows of one swarm within the caller's transaction. A `key` names all other key columns."""

    connection: sa.Connection
    swarm: str

    def find(self, table: sa.Table, key: Mapping[str, object]) -> sa.RowMapping | None:
        chosen = sa.select(table).where(*self._match(table, key))
        return self.connection.execute(chosen).mappings().one_or_none()

    def insert(self, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        self.connection.execute(sa.insert(table), [{"swarm": self.swarm, **row} for row in rows])

    def update(self, table: sa.Table, key: Mapping[str, object], *, values: Mapping[str, object]) -> None:
        self.connection.execute(sa.update(table).where(*self._match(table, key)).values(**values))

    def update_swarm(self, values: Mapping[str, object]) -> None:
        self.connection.execute(sa.update(swarms).where(swarms.c.name == self.swarm).values(**values))

    def count(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
        chosen = sa.select(sa.func.count()).select_from(table).where(table.c.swarm == self.swarm, condition)
        count: int = self.connection.execute(chosen).scalar_one()
        return count

    def records(
        self, kind: type[Record], table: sa.Table, *conditions: sa.ColumnElement[bool], limit: int | None = None
    ) -> tuple[Record, ...]:
        """Read rows as values, whose fields are named like columns, in the order of the table's key."""
        key = [column.name for column in table.primary_key if column.name != "swarm"]
        chosen = select_fields(kind, table).where(table.c.swarm == self.swarm, *conditions)
        chosen = chosen.order_by(*(table.c[name] for name in key)).limit(limit)
        rows = self.connection.execute(chosen).mappings()
        # Sorted again: a server orders text as its language does, SQLite as Python does.
        return tuple(kind(**row) for row in sorted(rows, key=lambda row: [row[name] for name in key]))

    def _match(self, table: sa.Table, key: Mapping[str, object]) -> Sequence[sa.ColumnElement[bool]]:
        return [table.c.swarm == self.swarm, *(table.c[name] == value for name, value in key.items())]


def select_fields(kind: type[object], table: sa.Table) -> sa.Select[*tuple[object, ...]]:
    """Select the columns that a record has fields for."""
    assert is_dataclass(kind)
    return sa.select(*(table.c[field.name] for field in fields(kind)))
