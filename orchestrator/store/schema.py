"""The versions of the store's schema, and the way from each to the next.

A new store is made by taking all steps, an old one by taking those it lacks, in one transaction: so both come out the
same. A step that was released is never edited; a change of the schema is a new step. The SQL is what SQLite and
PostgreSQL have in common.

What is found is looked at before anything is written: a store that is newer, or not ours, is left alone.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from orchestrator.store.errors import StoreForeign, StoreNewer
from orchestrator.store.tables import about

APPLICATION = "e2b-swarm"
MIGRATION_LOCK = 0x453242  # PostgreSQL's advisory lock has a number for a name
_OWNED = "swarm TEXT NOT NULL REFERENCES swarms (name)"

STEPS: Sequence[Sequence[str]] = (
    (  # 1: swarms, what belongs to them, and who may write
        "CREATE TABLE store_about (application TEXT NOT NULL PRIMARY KEY, schema_version INTEGER NOT NULL)",
        "CREATE TABLE swarms (name TEXT NOT NULL PRIMARY KEY, run INTEGER NOT NULL, phase VARCHAR(32) NOT NULL,"
        " spec JSON NOT NULL, founded_at TIMESTAMPTZ NOT NULL, changed_at TIMESTAMPTZ NOT NULL,"
        " events_last BIGINT NOT NULL)",
        f"CREATE TABLE leases ({_OWNED} PRIMARY KEY, holder TEXT NOT NULL, token BIGINT NOT NULL,"
        " expires_at TIMESTAMPTZ NOT NULL)",
        f"CREATE TABLE agents ({_OWNED}, name TEXT NOT NULL, generation INTEGER NOT NULL, state VARCHAR(32) NOT NULL,"
        " sandbox TEXT NOT NULL, revision TEXT NOT NULL, PRIMARY KEY (swarm, name))",
        f"CREATE TABLE sandboxes ({_OWNED}, id TEXT NOT NULL, agent TEXT NOT NULL, generation INTEGER NOT NULL,"
        " state VARCHAR(32) NOT NULL, started_at TIMESTAMPTZ NOT NULL, lease_until TIMESTAMPTZ NOT NULL,"
        " PRIMARY KEY (swarm, id))",
        f"CREATE TABLE intents ({_OWNED}, key TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,"
        " facts JSON NOT NULL, token BIGINT NOT NULL, opened_at TIMESTAMPTZ NOT NULL, outcome VARCHAR(32),"
        " closed_at TIMESTAMPTZ, PRIMARY KEY (swarm, key))",
        "CREATE INDEX intents_open ON intents (swarm) WHERE outcome IS NULL",
        f"CREATE TABLE orders ({_OWNED}, key TEXT NOT NULL, symbol TEXT NOT NULL, state VARCHAR(32) NOT NULL,"
        " facts JSON NOT NULL, PRIMARY KEY (swarm, key))",
        f"CREATE TABLE events ({_OWNED}, sequence BIGINT NOT NULL, at TIMESTAMPTZ NOT NULL, event TEXT NOT NULL,"
        " subject TEXT NOT NULL, facts JSON NOT NULL, token BIGINT NOT NULL, PRIMARY KEY (swarm, sequence))",
    ),
    (  # 2: what coordinators share when they share an account
        "CREATE TABLE accounts (name TEXT NOT NULL PRIMARY KEY, create_due TIMESTAMPTZ)",
        f"CREATE TABLE slots (account TEXT NOT NULL REFERENCES accounts (name), {_OWNED}, key TEXT NOT NULL,"
        " until TIMESTAMPTZ NOT NULL, PRIMARY KEY (account, swarm, key))",
    ),
)
SCHEMA_VERSION = len(STEPS)


def read_version(connection: sa.Connection, where: str) -> int:
    """Return the version of the schema found, 0 for an empty database. Raises StoreForeign or StoreNewer."""
    found = sa.inspect(connection).get_table_names()
    if not found:
        return 0
    if about.name not in found:
        raise StoreForeign(
            f"{where} is a database of something else (its tables: {_first(found)}); "
            "name another place for the state with --state"
        )
    rows = connection.execute(sa.select(about.c.application, about.c.schema_version)).all()
    if len(rows) != 1 or rows[0].application != APPLICATION:
        raise StoreForeign(f"{where} says it is not a store of {APPLICATION}; name another place with --state")
    version = int(rows[0].schema_version)
    refuse_newer(version, where)
    return version


def refuse_newer(version: int, where: str) -> None:
    """Raise StoreNewer when a store's version is above what this program knows."""
    if version > SCHEMA_VERSION:
        raise StoreNewer(
            f"{where} has schema version {version}, this {APPLICATION} knows versions up to {SCHEMA_VERSION}; "
            f"upgrade {APPLICATION}, or name another place for the state with --state"
        )


def migrate(connection: sa.Connection, where: str) -> None:
    """Bring a store to the present version, within the caller's transaction. Raises StoreForeign or StoreNewer."""
    if connection.dialect.name == "postgresql":  # SQLite's transaction has the whole file already
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    version = read_version(connection, where)
    if version == SCHEMA_VERSION:
        return
    for step in STEPS[version:]:
        for statement in step:
            connection.exec_driver_sql(statement)
    if version == 0:
        connection.execute(sa.insert(about).values(application=APPLICATION, schema_version=SCHEMA_VERSION))
    else:
        connection.execute(sa.update(about).values(schema_version=SCHEMA_VERSION))


def _first(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown}, ..."
