"""The embedded E2B server as a process beside this one: what stands in for E2B in local mode.

It runs in a session of its own, so that Ctrl-C reaches only us and we end it in order, and it stops by itself when
our end of its standard input closes: also when we are killed.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import Process

from sandboxes.provider import PermanentSandboxError

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 1.5
KEY_VARIABLE = "E2B_API_KEY"
NO_ISOLATION = ("--isolation", "off")
"""Workers are forked from the warm process, outside of any namespace; a command in their sandbox must see them."""
WARM_WORKER = "e2b-swarm-worker=workers"
"""Workers start from a process that has them imported: the template of `sandboxes.e2b`, the module of its command."""


class EmbeddedServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server answers."""

    url: str
    pid: int


@asynccontextmanager
async def open_embedded_server(api_key: str) -> AsyncIterator[EmbeddedServer]:
    """Start the server on a free loopback port with `api_key`, and stop it and all its sandboxes at the end.

    Raises PermanentSandboxError when it does not start.
    """
    command = [sys.executable, "-P", "-m", "sandboxes.emulator", "--port", "0", "--until-stdin-closes"]
    process = await anyio.open_process(
        [*command, "--warm", WARM_WORKER, *NO_ISOLATION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        env={**os.environ, KEY_VARIABLE: api_key},
        start_new_session=True,
    )
    try:
        yield await _wait_listening(process)
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _wait_listening(process: Process) -> EmbeddedServer:
    assert process.stdout is not None
    line = b""
    try:
        with anyio.fail_after(START_DEADLINE_S):
            while not line.endswith(b"\n"):
                line += await process.stdout.receive()
        return msgspec.json.decode(line, type=EmbeddedServer)
    except (TimeoutError, anyio.EndOfStream, msgspec.MsgspecError) as error:
        raise PermanentSandboxError(
            f"the embedded E2B server did not start; it printed {line[:200]!r}; what it logged stands above"
        ) from error


async def _stop(process: Process) -> None:
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(STOP_DEADLINE_S):
        await process.wait()
    if process.returncode is None:
        process.kill()  # its sandboxes' processes die with it
        await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()
