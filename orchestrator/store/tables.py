"""The tables as statements use them. `schema.py` creates them, step by step; a test holds the two together."""

from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from orchestrator.store.records import OrderState, Outcome, SandboxState, SwarmPhase
from workers.state import AgentState


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment with a zone. SQLite keeps no zone: there it is UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; the state store takes moments with a zone only")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _choice(kind: type[StrEnum]) -> sa.Enum:
    """Keep a choice by its value, as text: a new member needs no migration."""
    return sa.Enum(
        kind, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members]
    )


metadata = sa.MetaData()

about = sa.Table(
    "store_about",
    metadata,
    sa.Column("application", sa.Text, primary_key=True),
    sa.Column("schema_version", sa.Integer, nullable=False),
)

swarms = sa.Table(
    "swarms",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("phase", _choice(SwarmPhase), nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("founded_at", Moment, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.Column("events_last", sa.BigInteger, nullable=False),
)


def _swarm_key() -> "sa.Column[str]":
    return sa.Column("swarm", sa.Text, sa.ForeignKey("swarms.name"), primary_key=True)


leases = sa.Table(
    "leases",
    metadata,
    _swarm_key(),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)

agents = sa.Table(
    "agents",
    metadata,
    _swarm_key(),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", _choice(AgentState), nullable=False),
    sa.Column("sandbox", sa.Text, nullable=False),
    sa.Column("revision", sa.Text, nullable=False),
)

sandboxes = sa.Table(
    "sandboxes",
    metadata,
    _swarm_key(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", _choice(SandboxState), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("lease_until", Moment, nullable=False),
)

intents = sa.Table(
    "intents",
    metadata,
    _swarm_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("outcome", _choice(Outcome)),
    sa.Column("closed_at", Moment),
)

orders = sa.Table(
    "orders",
    metadata,
    _swarm_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("state", _choice(OrderState), nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    _swarm_key(),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("token", sa.BigInteger, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("create_due", Moment),
)

slots = sa.Table(
    "slots",
    metadata,
    sa.Column("account", sa.Text, sa.ForeignKey("accounts.name"), primary_key=True),
    _swarm_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("until", Moment, nullable=False),
)
