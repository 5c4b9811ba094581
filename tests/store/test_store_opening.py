"""What happens at the door of the state store: a new one is made, ours is used, anything else is refused untouched."""

import sqlite3
import stat
import subprocess
import sys

import pytest
import sqlalchemy as sa

from orchestrator.store import database, open_store
from orchestrator.store.changes import RecordEvent
from orchestrator.store.errors import (
    StoreCorrupted,
    StoreForeign,
    StoreNewer,
    StoreUnavailable,
    StoreUnusable,
)
from orchestrator.store.location import FileLocation, MemoryLocation, ServerLocation, locate
from orchestrator.store.schema import SCHEMA_VERSION, STEPS, migrate
from orchestrator.store.tables import about, metadata

pytestmark = pytest.mark.anyio


async def fill(state, at, *, events=200):
    async with open_store(state) as store:
        await store.found("s", {}, now=at())
        lease = await store.acquire("s", "one", now=at(), lease_s=10)
        changes = [RecordEvent(event="e", subject="x" * 500) for _ in range(events)]
        await store.commit(lease, changes, now=at())


async def refusal(state, kind):
    with pytest.raises(kind) as refused:
        async with open_store(state):
            pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("said", "location"),
    [
        pytest.param("/a/b.db", FileLocation("/a/b.db"), id="a path"),
        pytest.param("sqlite:///b.db", FileLocation("b.db"), id="a relative path as URL"),
        pytest.param("sqlite:////a/b.db", FileLocation("/a/b.db"), id="a path as URL"),
        pytest.param(":memory:", MemoryLocation(), id="memory"),
        pytest.param(
            "postgresql://me:secret@host:1/db?password=secret",
            ServerLocation("postgresql://me:secret@host:1/db?password=secret", "postgresql://me@host:1/db"),
            id="a server",
        ),
        pytest.param("postgres://host/db", ServerLocation("postgresql://host/db", "postgresql://host/db"), id="short"),
    ],
)
def test_state_is_read_as_path_or_url(said, location):
    assert str(locate(said)) == str(location)
    assert type(locate(said)) is type(location)


def test_user_s_own_state_is_where_the_system_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert locate(None) == FileLocation(tmp_path / "e2b-swarm" / "state.db")


@pytest.mark.parametrize("said", ["mysql://me:secret@host/db", "sqlite://b.db", "sqlite:///"])
def test_unknown_kind_of_state_is_refused_without_showing_a_password(said):
    with pytest.raises(StoreUnusable, match="give a path, sqlite:///PATH, or postgresql://") as refused:
        locate(said)
    assert "secret" not in str(refused.value)


async def test_file_is_made_with_its_directory_for_its_user_alone(tmp_path, at):
    path = tmp_path / "deep" / "state.db"
    await fill(path, at)
    assert path.exists()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_file_is_durable(tmp_path):
    async with open_store(tmp_path / "state.db") as store:
        pragmas = [
            await store.database.read(
                lambda connection, name=name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            )
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


async def test_tables_are_as_statements_use_them(any_state):
    def describe(connection):
        inspector = sa.inspect(connection)
        return {
            table: (
                {column["name"]: column["nullable"] for column in inspector.get_columns(table)},
                inspector.get_pk_constraint(table)["constrained_columns"],
                {key["referred_table"] for key in inspector.get_foreign_keys(table)},
            )
            for table in inspector.get_table_names()
        }

    async with open_store(any_state) as store:
        found = await store.database.read(describe)
    assert found == {
        table.name: (
            {column.name: column.nullable for column in table.c},
            [column.name for column in table.primary_key],
            {key.column.table.name for key in table.foreign_keys},
        )
        for table in metadata.sorted_tables
    }


async def test_newer_store_is_refused_and_left_alone(state, at):
    await fill(state, at)

    def age(connection):
        connection.execute(sa.update(about).values(schema_version=99))

    async with open_store(state) as store:
        lease = await store.acquire("s", "one", now=at(), lease_s=10)
        await store.database.write(age)
        with pytest.raises(StoreNewer):  # also by a coordinator that runs while another version migrates
            await store.commit(lease, [], now=at())
    message = await refusal(state, StoreNewer)
    assert f"has schema version 99, this e2b-swarm knows versions up to {SCHEMA_VERSION}; upgrade e2b-swarm" in message


async def test_database_of_another_application_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE songs (name TEXT)")
    other.commit()
    other.close()
    before = path.read_bytes()
    assert "is a database of something else (its tables: songs); name another place" in await refusal(
        path, StoreForeign
    )
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["other.db"]


async def test_store_of_another_application_with_our_table_is_refused(state, at):
    await fill(state, at)
    async with open_store(state) as store:
        await store.database.write(lambda connection: connection.execute(sa.update(about).values(application="x")))
    assert "it is not a store of e2b-swarm" in await refusal(state, StoreForeign)


async def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 100)
    assert "is not an SQLite database" in await refusal(path, StoreForeign)
    assert path.read_text() == "buy milk\n" * 100


def overwrite(content, share):
    place = int(len(content) * share) // 4096 * 4096
    return content[:place] + b"\xa5" * 4096 + content[place + 4096 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: overwrite(content, 0.1), id="near its start"),
        pytest.param(lambda content: overwrite(content, 0.5), id="in its middle"),
        pytest.param(lambda content: overwrite(content, 0.95), id="near its end"),
        pytest.param(lambda content: content[: len(content) // 2], id="cut in two"),
        pytest.param(lambda content: content[:16] + b"\xff" * 100 + content[116:], id="in its header"),
    ],
)
async def test_damaged_file_is_refused_and_left_alone(tmp_path, at, damage):
    path = tmp_path / "state.db"
    await fill(path, at)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    assert "is damaged" in await refusal(path, StoreCorrupted)
    assert path.read_bytes() == before


async def test_directory_in_place_of_the_file_is_refused(tmp_path):
    assert "cannot be opened" in await refusal(tmp_path, StoreUnusable)


async def test_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be opened" in await refusal(tmp_path / "file" / "state.db", StoreUnusable)


async def test_store_that_another_process_holds_is_unavailable_not_broken(tmp_path, at, monkeypatch):
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    path = tmp_path / "state.db"
    await fill(path, at)
    holder = sqlite3.connect(path)
    async with open_store(path) as store:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="could not be used just now"):
            await store.found("t", {}, now=at())
        assert (await store.read("s")).events_last == 200  # readers do not wait for a writer
        holder.rollback()
        await store.found("t", {}, now=at())
    holder.close()


async def test_server_that_does_not_answer_is_unavailable(tmp_path):
    message = await refusal(f"postgresql://me:secret@/db?host={tmp_path}", StoreUnavailable)
    assert "the state database postgresql://me@/db does not answer" in message
    assert "secret" not in message


@pytest.mark.processes
async def test_database_that_does_not_exist_is_refused(postgres_url):
    assert "does not exist" in await refusal(postgres_url.replace("/test_", "/missing_"), StoreUnusable)


@pytest.mark.processes
async def test_other_tenants_of_a_database_do_not_matter(postgres_url, at):
    async with open_store(postgres_url) as store:
        await store.database.write(lambda connection: connection.exec_driver_sql("CREATE TABLE public.songs (n TEXT)"))
        await store.found("s", {}, now=at())
    async with open_store(postgres_url) as store:
        assert [swarm.name for swarm in await store.swarms()] == ["s"]


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
async def test_store_of_an_older_version_is_brought_up_to_date(tmp_path, at, monkeypatch, version):
    path = tmp_path / "state.db"
    with monkeypatch.context() as older:
        older.setattr("orchestrator.store.schema.STEPS", STEPS[:version])
        older.setattr("orchestrator.store.schema.SCHEMA_VERSION", version)
        older.setattr(database, "SCHEMA_VERSION", version)
        await fill(path, at)
        assert stored_version(path) == version
    async with open_store(path) as store:
        assert (await store.read("s")).events_last == 200
        assert len(await store.events("s")) == 200
    assert stored_version(path) == SCHEMA_VERSION


def stored_version(path):
    connection = sqlite3.connect(path)
    (version,) = connection.execute("SELECT schema_version FROM store_about").fetchone()
    connection.close()
    return version


def test_migration_that_fails_midway_changes_nothing(monkeypatch):
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    database._begin_explicitly(engine)
    with engine.begin() as connection:
        migrate(connection, "it")
    monkeypatch.setattr("orchestrator.store.schema.STEPS", (*STEPS, ("CREATE TABLE new (n TEXT)", "NONSENSE")))
    monkeypatch.setattr("orchestrator.store.schema.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(sa.exc.OperationalError), engine.begin() as connection:
        migrate(connection, "it")
    with engine.begin() as connection:
        assert connection.execute(sa.select(about.c.schema_version)).scalar_one() == SCHEMA_VERSION
        assert "new" not in sa.inspect(connection).get_table_names()
    engine.dispose()


def test_command_line_and_workers_start_without_the_database():
    code = (
        "import sys, orchestrator.cli, orchestrator.store, orchestrator.store.changes, workers.__main__\n"
        "print([name for name in ('sqlalchemy', 'aiosqlite', 'asyncpg') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
