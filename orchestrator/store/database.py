"""Transactions on SQLite or PostgreSQL: where SQLAlchemy's engines are made and foreign errors are translated.

An operation is a plain function of a connection; `write` and `read` run it in one transaction and either return what
it returned, durably written, or raise with nothing written. So the same operations run on a server, on a file, and
inline in virtual time. Imported only when a store is opened: SQLAlchemy takes as long as the whole command line.
"""

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Protocol, TypeVar, assert_never

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from orchestrator.store.errors import StoreCorrupted, StoreError, StoreForeign, StoreUnavailable, StoreUnusable
from orchestrator.store.location import FileLocation, Location, MemoryLocation, ServerLocation
from orchestrator.store.schema import SCHEMA_VERSION, migrate, read_version

T = TypeVar("T")
Operation = Callable[[sa.Connection], T]

BUSY_S = 5.0
"""How long a write waits for another process's write. One takes milliseconds."""
SERVER_ANSWER_S = 10.0
"""After this long without an answer a server counts as out of reach. Transactions are not cancelled midway, so that
nobody has to wonder whether a write took place; this bounds how long that can hold a cancellation up."""
SERVER_SCHEMA = "e2b_swarm"
"""PostgreSQL's schema of ours: a database may have other tenants."""
SQLITE_HEADER = b"SQLite format 3\x00"

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_TEMPORARY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
# PostgreSQL's classes of errors that say nothing about what was asked: connection, resources, operator, deadlock.
_TEMPORARY_STATES = ("08", "53", "57", "40", "55")


class Database(Protocol):
    """Runs operations in transactions. Raises StoreError."""

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation that writes; when this returns, what it wrote is on disk."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, on one consistent state."""


class _EngineDatabase:
    def __init__(self, engine: AsyncEngine, where: str) -> None:
        self._writing = engine
        self._reading = engine.execution_options(
            sqlite_begin="BEGIN DEFERRED",
            **({} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}),
        )
        self._where = where

    async def write(self, operation: Operation[T]) -> T:
        return await self._run(self._writing, operation)

    async def read(self, operation: Operation[T]) -> T:
        return await self._run(self._reading, operation)

    async def _run(self, engine: AsyncEngine, operation: Operation[T]) -> T:
        with anyio.CancelScope(shield=True), translated(self._where):
            async with engine.begin() as connection:
                result = await connection.run_sync(operation)
        return result


class _InlineDatabase:
    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where

    async def write(self, operation: Operation[T]) -> T:
        with translated(self._where), self._engine.begin() as connection:
            return operation(connection)

    async def read(self, operation: Operation[T]) -> T:
        return await self.write(operation)


@asynccontextmanager
async def open_database(location: Location) -> AsyncIterator[Database]:
    """Open what is there, or make it, in the present schema. Raises StoreError; what is not ours is left alone."""
    match location:
        case FileLocation():
            await anyio.to_thread.run_sync(_look_at_file, location)
            engine = _file_engine(location)
        case ServerLocation():
            engine = _server_engine(location)
        case MemoryLocation():
            with _memory_database(str(location)) as database:
                await database.write(partial(migrate, where=str(location)))
                yield database
            return
        case _:
            assert_never(location)
    try:
        database = _EngineDatabase(engine, str(location))
        if isinstance(location, ServerLocation):
            await database.write(_make_server_schema)
        if await database.read(partial(read_version, where=str(location))) < SCHEMA_VERSION:
            await database.write(partial(migrate, where=str(location)))
        yield database
    finally:
        with anyio.CancelScope(shield=True):
            await engine.dispose()


def _look_at_file(location: FileLocation) -> None:
    """Refuse a file that is not ours, newer or damaged, before anything is opened that may write."""
    path = location.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreUnusable(
            f"{location} cannot be opened ({error.strerror}); name another with --state, or make it readable"
        ) from error
    if not header:
        return
    if header != SQLITE_HEADER:
        raise StoreForeign(f"{location} is not an SQLite database; name another place with --state")
    engine = sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
    )
    try:
        with translated(str(location)), engine.connect() as connection:
            read_version(connection, str(location))
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    finally:
        engine.dispose()
    if found != "ok":
        raise _corrupted(str(location), _line(found))


def _file_engine(location: FileLocation) -> AsyncEngine:
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(location.path)),
        connect_args={"timeout": BUSY_S},
        json_serializer=_to_json,
    )
    _begin_explicitly(engine.sync_engine)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def be_durable(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # in WAL mode, NORMAL may lose the last writes when power fails
        cursor.close()

    return engine


def _server_engine(location: ServerLocation) -> AsyncEngine:
    with translated(str(location)):
        url = sa.make_url(location.url).set(drivername="postgresql+asyncpg")
        if "sslmode" in url.query:  # libpq's name; the driver knows its values as `ssl`
            url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
        try:
            return create_async_engine(
                url,
                connect_args={
                    "timeout": SERVER_ANSWER_S,
                    "command_timeout": SERVER_ANSWER_S,
                    "server_settings": {"search_path": SERVER_SCHEMA, "application_name": "e2b-swarm"},
                },
                json_serializer=_to_json,
                pool_pre_ping=True,
            )
        except ModuleNotFoundError as error:
            raise StoreUnusable(
                f"{location} needs the module {error.name}, which is not installed; "
                "install it with: pip install 'e2b-swarm[postgres]'"
            ) from error


@contextmanager
def _memory_database(where: str) -> Iterator[Database]:
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, json_serializer=_to_json)
    _begin_explicitly(engine)
    try:
        yield _InlineDatabase(engine, where)
    finally:
        engine.dispose()


def _begin_explicitly(engine: sa.Engine) -> None:
    """Begin SQLite's transactions ourselves: the driver's own way is to begin late, after what was read may be old."""

    @sa.event.listens_for(engine, "connect")
    def leave_it_to_us(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


def _make_server_schema(connection: sa.Connection) -> None:
    # Asked first: a user who may not create schemas can use one that was made for it.
    if SERVER_SCHEMA not in sa.inspect(connection).get_schema_names():
        connection.execute(sa.schema.CreateSchema(SERVER_SCHEMA, if_not_exists=True))


def _to_json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what drivers raise into what a caller can act on."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translate(where, error) from error
    except (sa.exc.ArgumentError, sa.exc.TimeoutError) as error:
        raise StoreUnusable(f"{where} cannot be used ({_line(error)}); check what --state says") from error
    except (OSError, TimeoutError) as error:  # asyncpg raises these bare while it connects
        raise StoreUnavailable(f"{where} does not answer ({_line(error)}); start it, or check --state") from error


def _translate(where: str, error: sa.exc.DBAPIError) -> StoreError:
    origin = error.orig or error
    said = _line(origin)
    code = getattr(origin, "sqlite_errorcode", None)
    if isinstance(code, int):
        if code & 0xFF in _CORRUPT:
            return _corrupted(where, said)
        if code & 0xFF in _TEMPORARY:
            return StoreUnavailable(f"{where} could not be used just now ({said}); see that it has room and try again")
    state = getattr(origin, "sqlstate", None)
    if error.connection_invalidated or (isinstance(state, str) and state.startswith(_TEMPORARY_STATES)):
        return StoreUnavailable(f"{where} could not be used just now ({said}); try again")
    return StoreUnusable(f"{where} refused what was asked ({said}); check --state and its permissions")


def _corrupted(where: str, said: str) -> StoreCorrupted:
    return StoreCorrupted(
        f"{where} is damaged ({said}); it was left as it is: restore a copy, or move it away and start with a new one"
    )


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
