"""Real processes on one store: what was acknowledged survives a kill, and nobody writes over another."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store import open_store

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

WRITER = Path(__file__).with_name("endless_writer.py")
DEADLINE_S = 60


@pytest.fixture
def start_writer(state):
    """Return a way to start a writer; those that still run are killed at the end."""
    started = []

    def start(swarm, count=0):
        command = [sys.executable, WRITER, state, swarm, str(count)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
async def test_what_was_acknowledged_survives_a_kill(state, start_writer, acknowledged):
    writer = start_writer("s")
    for _ in range(acknowledged):
        last = int(writer.stdout.readline())
    writer.kill()
    rest, _ = writer.communicate(timeout=DEADLINE_S)
    said = [int(line) for line in rest.split("\n") if line]
    async with open_store(state) as store:
        found = await store.events("s")
    assert len(found) >= max([last, *said])
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    assert [event.subject for event in found] == [str(event.sequence) for event in found]


async def test_two_processes_write_side_by_side(state, start_writer):
    writers = [start_writer(swarm, 30) for swarm in ("s", "t")]
    for writer in writers:
        output, _ = writer.communicate(timeout=DEADLINE_S)
        assert writer.returncode == 0
        assert output.split() == [str(number) for number in range(1, 31)]
    async with open_store(state) as store:
        for swarm in ("s", "t"):
            assert len(await store.events(swarm)) == 30


async def test_coordinator_whose_lease_was_taken_writes_nothing_more(state, start_writer, at):
    writer = start_writer("s")
    writer.stdout.readline()
    async with open_store(state) as store:
        lease = await store.acquire("s", "successor", now=at(60), lease_s=10)
        before = (await store.read("s")).events_last
        output, _ = writer.communicate(timeout=DEADLINE_S)
        assert output.split()[-1] == "lost"
        assert lease.token == 2
        assert (await store.read("s")).events_last == before
        assert {event.token for event in await store.events("s")} == {1}
