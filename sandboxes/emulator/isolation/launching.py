"""Where a command of a sandbox starts: forked from a warm process, in the sandbox's namespaces, or beside the server.

Only the server's own workers are forked from a warm process, and run outside of the namespaces; not so in a sandbox
without internet access, where every command runs inside.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.envd.process_messages import StartRequest, TerminalSize
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.links import see_inside
from sandboxes.emulator.fleet.paths import USER_DEFAULT, SandboxPaths
from sandboxes.emulator.isolation.enclosures import Enclosure, EnclosureFailed, EnclosureMaker
from sandboxes.emulator.isolation.resource_limits import limit_resources
from sandboxes.emulator.processes.children import Child, CommandLine, SpawnedChild
from sandboxes.emulator.processes.process_environment import build_environment, prepare_other_home
from sandboxes.emulator.processes.terminals import ENVIRONMENT
from sandboxes.emulator.processes.warm_start import WarmProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPad:
    """What a sandbox's commands may start from."""

    warm: WarmProcess | None = None
    maker: EnclosureMaker | None = None
    """`None` where commands run beside the server, without namespaces."""
    has_network: bool = True


class CommandLauncher:
    """Starts the commands of one sandbox."""

    def __init__(
        self, paths: SandboxPaths, environment: Mapping[str, str], *, tasks: TaskGroup, pad: LaunchPad
    ) -> None:
        self.environment = environment
        self._paths = paths
        self._tasks = tasks
        self._maker = pad.maker
        self.has_network = pad.has_network or pad.maker is None or not pad.maker.cuts_network
        """Whether commands are in the machine's network; else a loopback of their own is all they have."""
        self._warm = pad.warm if self.has_network else None
        self._enclosure: Enclosure | None = None
        self._opening = anyio.Lock()
        self._is_closed = False

    @property
    def enclosure(self) -> Enclosure | None:
        """The sandbox's namespaces, if it has some by now."""
        return self._enclosure if self._enclosure is not None and self._enclosure.is_alive else None

    def see(self, real: Path) -> str:
        """Return the path by which commands of the sandbox see something in its tree."""
        return str(real) if self._maker is None else see_inside(real, self._paths.root)

    def open_socket(self, family: int) -> socket.socket | None:
        """Return a socket in the sandbox's own network, `None` if it has none by now. Raises `OSError`."""
        enclosure = self.enclosure
        return None if self.has_network or enclosure is None else enclosure.open_socket(family)

    async def launch(self, request: StartRequest, user: str) -> Child:
        """Start a command; nothing is waited for once it runs. Raises `RpcError`."""
        paths = self._paths.for_user(user)
        outside = self._plan(request, paths, see=str)
        warm = self._warm if outside.terminal is None else None
        if warm is not None and warm.can_fork(outside):
            await warm.wait_settled()
        else:
            warm = None
        if warm is None and self._maker is not None:
            await self._open_enclosure()
        # Nothing is waited for from here until the command is in the table: a kill must not miss it.
        if self._is_closed:
            raise RpcError("not_found", "the sandbox is being killed: create another one")
        child = warm.fork(outside) if warm is not None else None
        if child is None and self._enclosure is not None:
            child = self._enclosure.start(self._plan(request, paths, see=self.see))
        started: Child = child or SpawnedChild(outside)
        limit_resources(started.pid)
        return started

    def close(self) -> None:
        """Refuse further commands."""
        self._is_closed = True

    async def wait_closed(self) -> None:
        """Wait until the namespaces, whose processes are killed already, are gone."""
        async with self._opening:
            if self._enclosure is not None:
                self._enclosure.kill()
                await self._enclosure.over.wait()

    async def _open_enclosure(self) -> None:
        """Make the namespaces, if that has not been done. Raises `RpcError`."""
        if self.enclosure is not None:
            return
        failures: list[EnclosureFailed] = []
        done = anyio.Event()

        async def make() -> None:  # a task of the server: half an enclosure would be nobody's
            try:
                async with self._opening:
                    await self._make_enclosure()
            except EnclosureFailed as failure:
                failures.append(failure)
            done.set()
            if self._maker is not None:
                await self._maker.refill()

        self._tasks.start_soon(make)
        await done.wait()
        for failure in failures:
            raise RpcError("resource_exhausted", f"the sandbox's namespaces could not be made: {failure}")

    async def _make_enclosure(self) -> None:
        if self.enclosure is None and not self._is_closed and self._maker is not None:
            with anyio.CancelScope(shield=True):
                self._enclosure = await self._maker.make(self._paths.root, has_network=self.has_network)
                self._tasks.start_soon(self._enclosure.follow)

    def _plan(self, request: StartRequest, paths: SandboxPaths, *, see: Callable[[Path], str]) -> CommandLine:
        config = request.process
        layers = [self.environment, config.envs]
        if request.pty is not None:
            layers.insert(0, ENVIRONMENT)
        return CommandLine(
            arguments=(config.cmd, *config.args),
            environment=build_environment(paths, *layers, see=see),
            directory=Path(see(find_directory(paths, config.cwd or ""))),
            has_stdin=bool(request.stdin),
            terminal=None if request.pty is None else request.pty.size or TerminalSize(),
        )


def find_directory(paths: SandboxPaths, cwd: str) -> Path:
    """Return the real directory in which a command starts. Raises `RpcError` if there is none."""
    if paths.user != USER_DEFAULT:
        prepare_other_home(paths)
    directory = paths.locate(cwd)
    if not directory.exists():
        raise RpcError("invalid_argument", f"cwd '{paths.absolute(cwd)}' does not exist: make it first")
    if not directory.is_dir():
        raise RpcError("invalid_argument", f"cwd {cwd!r} is not a directory of the sandbox: name another one")
    return directory
