"""The place in which a template is built: a sandbox that no client sees, whose commands run as those of all others.

What a command prints goes into the build's log line by line. When a command is over, what it left running is killed,
because nothing may change the tree while it is being copied.
"""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.envd import connect
from sandboxes.emulator.envd.process_messages import EndEvent, EventMessage, ProcessConfig, StartRequest
from sandboxes.emulator.fleet.paths import HOMES, USER_DEFAULT
from sandboxes.emulator.fleet.reaper import Reaper
from sandboxes.emulator.fleet.sandbox import Sandbox, SandboxSpec
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory
from sandboxes.emulator.processes.process_environment import PACKAGES
from sandboxes.emulator.processes.processes import Process
from sandboxes.emulator.templates.build_log import BuildLog, LineSplitter
from sandboxes.emulator.templates.build_steps import BuildContext

LAST_LINES_KEPT = 5
INDEX_SETTINGS = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_TRUSTED_HOST",
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
]
"""How the server's machine reaches package indexes; pip's own command alone is told."""


class BuildRoom:
    """Runs the commands of a build, one after the other."""

    def __init__(self, sandbox: Sandbox, *, factory: SandboxFactory, reaper: Reaper) -> None:
        self.sandbox = sandbox
        self._factory = factory
        self._reaper = reaper

    @property
    def root(self) -> Path:
        """The tree that is being built."""
        return self.sandbox.paths.root

    @property
    def seen_as(self) -> str:
        """Where the room's commands find the tree."""
        return self.sandbox.processes.launcher.namespaces.see(self.root)

    async def run(
        self, command: str, context: BuildContext, *, extra: Mapping[str, str], log: BuildLog, step: str
    ) -> tuple[EndEvent, str]:
        """Run a command to its end; return how it ended and the last it said. Raises `RpcError`."""
        envs = {**extra, **context.envs}
        config = ProcessConfig(cmd="/bin/bash", args=["-l", "-c", command], envs=envs, cwd=context.directory)
        user = context.user if context.user in HOMES else USER_DEFAULT
        try:
            process = await self.sandbox.processes.start(StartRequest(process=config), user)
            last_words = await follow_output(process, log, step=step)
            await process.finished.wait()
        finally:
            await self.stop_commands()
        assert process.end is not None, "a finished command has an end"
        return process.end, last_words

    def pip_settings(self) -> dict[str, str]:
        """Return what makes pip install into the tree instead of the server's own environment."""
        return {name: os.environ[name] for name in INDEX_SETTINGS if name in os.environ} | {
            "PIP_TARGET": self.sandbox.processes.launcher.namespaces.see(self.root / PACKAGES),
            "PIP_UPGRADE": "1",  # without it pip leaves what it finds in its target as it is
            "PIP_NO_CACHE_DIR": "1",  # a cache would stay in the tree
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        }

    async def stop_commands(self) -> None:
        """Kill what runs in the room, so that the next command finds it empty."""
        with anyio.CancelScope(shield=True):
            await self._reaper.kill_processes(self.sandbox)
            self._factory.renew_processes(self.sandbox)


@asynccontextmanager
async def open_room(spec: SandboxSpec, *, factory: SandboxFactory, reaper: Reaper) -> AsyncIterator[BuildRoom]:
    """Make a room, and remove it with everything in it. Raises `ApiError`."""
    with anyio.CancelScope(shield=True):  # half a room would be nobody's
        sandbox = await factory.make(spec)
    room = BuildRoom(sandbox, factory=factory, reaper=reaper)
    try:
        yield room
    finally:
        with anyio.CancelScope(shield=True):
            await reaper.kill_processes(sandbox)
            await anyio.to_thread.run_sync(shutil.rmtree, sandbox.paths.root, True)
            factory.take_back(sandbox)


async def follow_output(process: Process, log: BuildLog, *, step: str) -> str:
    """Write a command's output to the log until it ends, and return its last lines."""
    splitters = {"stdout": LineSplitter(), "stderr": LineSplitter()}
    last: list[str] = []

    def write(name: str, lines: list[str]) -> None:
        for line in lines:
            log.add_output(f"[{name}]: {line}", step=step)
            last.append(line)
        del last[:-LAST_LINES_KEPT]

    with process.listeners.add() as frames:
        async for frame in frames:
            data = msgspec.json.decode(frame[connect.HEADER.size :], type=EventMessage).event.data
            if data is not None:
                write("stdout", splitters["stdout"].feed(data.stdout or b""))
                write("stderr", splitters["stderr"].feed(data.stderr or b""))
    for name, splitter in splitters.items():
        write(name, splitter.finish())
    return " | ".join(line.strip() for line in last if line.strip())
