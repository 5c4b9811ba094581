"""The command as a user runs it: a process of its own, watched from outside."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "orchestrator.main"]
SERVER_PARTS = ("emulator/processes/zygote", "emulator/processes/process_tree", "emulator/isolation/namespace_init")
MARKS = ("-m workers", "sandboxes.emulator", *SERVER_PARTS)


def swarm_processes() -> set[int]:
    """Find the processes that only a swarm of this very installation starts, whoever's child they are by now."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                is_ours = sys.prefix in words or os.fsencode(sys.prefix) in (entry / "environ").read_bytes()
            except OSError:
                continue  # it ended while we looked
            if is_ours and any(mark in words for mark in MARKS):
                found.add(int(entry.name))
    return found


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start `e2b-swarm` and end it with the block if the test did not."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("E2B_")}
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**clean, **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `e2b-swarm` to its end."""
    with started(*arguments, **environment) as process:
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def no_leftovers():
    """Fail when the test leaves a process behind that was not there before."""
    before = swarm_processes()
    yield
    assert swarm_processes() - before == set()
