"""The state store on each thing it can be kept in: memory, an SQLite file, and a real PostgreSQL server of our own.

The server is a throw-away cluster on a Unix socket, run by an ordinary user; its text is ordered as in English, so
that nothing rests on the server ordering as Python does.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.store import open_store

SERVER_USER = "postgres"
START_DEADLINE_S = 60
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def at():
    """Return the moment so many seconds after noon."""
    return lambda seconds=0.0: NOON + timedelta(seconds=seconds)


def find_server_programs():
    """Return the directory with the newest initdb and pg_ctl, or None."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def ordinary_user():
    """Return what makes a child run as an ordinary user, or None where that cannot be."""
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(SERVER_USER)
    except KeyError:
        return None
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres_server():
    """Start a cluster and return the directory of its socket."""
    programs, identity = find_server_programs(), ordinary_user()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)")
    if identity is None:
        pytest.skip(f"PostgreSQL does not run as root, and there is no user {SERVER_USER}")
    with tempfile.TemporaryDirectory(prefix="e2b-swarm-postgres-") as home:
        if identity:
            os.chown(home, identity["user"], identity["group"])

        def run(program, *arguments):
            command = [programs / program, "-D", f"{home}/data", *arguments]
            subprocess.run(
                command, check=True, cwd=home, timeout=START_DEADLINE_S, stdout=subprocess.DEVNULL, **identity
            )

        english = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US")
        run("initdb", "--auth=trust", "--no-sync", f"--username={SERVER_USER}", *english)
        settings = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
        run("pg_ctl", "start", "-w", "-l", f"{home}/log", "-o", settings)
        try:
            yield home
        finally:
            run("pg_ctl", "stop", "-m", "immediate")


_numbers = itertools.count(1)


@pytest.fixture
def postgres_url(postgres_server):
    """Return the URL of a new, empty database."""
    name = f"test_{next(_numbers)}"
    createdb = [find_server_programs() / "createdb", f"--host={postgres_server}", f"--username={SERVER_USER}", name]
    subprocess.run(createdb, check=True, timeout=START_DEADLINE_S)
    return f"postgresql://{SERVER_USER}@/{name}?host={postgres_server}"


POSTGRES = pytest.param("postgres", marks=pytest.mark.processes)


@pytest.fixture(params=["sqlite", POSTGRES])
def state(request, tmp_path):
    """Return where a store can be opened, also more than once."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else str(tmp_path / "state.db")


@pytest.fixture(params=["memory", "sqlite", POSTGRES])
def any_state(request, tmp_path):
    """Return where a store can be opened once."""
    match request.param:
        case "memory":
            return ":memory:"
        case "sqlite":
            return str(tmp_path / "state.db")
        case _:
            return request.getfixturevalue("postgres_url")


@pytest.fixture
async def store(any_state, anyio_backend):
    """Return an empty store."""
    async with open_store(any_state) as opened:
        yield opened
