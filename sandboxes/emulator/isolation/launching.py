"""Where a command of a sandbox starts: forked from a warm process, in the sandbox's namespaces, or beside the server.

Only the server's own workers are forked from a warm process, and run outside of the namespaces; not so in a sandbox
whose way out is restricted, where every command runs inside.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from sandboxes.emulator.envd.process_messages import StartRequest, TerminalSize
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import USER_DEFAULT, SandboxPaths
from sandboxes.emulator.isolation.resource_limits import limit_resources
from sandboxes.emulator.isolation.sandbox_namespaces import SandboxNamespaces
from sandboxes.emulator.processes.children import Child, CommandLine, SpawnedChild
from sandboxes.emulator.processes.process_environment import build_environment, prepare_other_home
from sandboxes.emulator.processes.terminals import ENVIRONMENT
from sandboxes.emulator.processes.warm_start import WarmProcess


class CommandLauncher:
    """Starts the commands of one sandbox."""

    def __init__(
        self,
        paths: SandboxPaths,
        environment: Mapping[str, str],
        *,
        namespaces: SandboxNamespaces,
        warm: WarmProcess | None,
    ) -> None:
        self.environment = environment
        self.namespaces = namespaces
        self._paths = paths
        self._warm = warm
        self._is_closed = False

    async def launch(self, request: StartRequest, user: str) -> Child:
        """Start a command; nothing is waited for once it runs. Raises `RpcError`."""
        self.namespaces.settle()
        paths = self._paths.for_user(user)
        outside = self._plan(request, paths, see=str)
        child: Child | None = await self._fork(outside)
        if child is None:
            enclosure = await self.namespaces.open()
            # Nothing is waited for from here until the command is in the table: a kill must not miss it.
            self._require_open()
            inside = self._plan(request, paths, see=self.namespaces.see)
            child = SpawnedChild(outside) if enclosure is None else enclosure.start(inside)
        limit_resources(child.pid)
        return child

    def close(self) -> None:
        """Refuse further commands."""
        self._is_closed = True
        self.namespaces.close()

    async def _fork(self, command: CommandLine) -> Child | None:
        """Start a command from the warm process, if it is one for that. Raises `RpcError`."""
        warm = self._warm
        if warm is None or command.terminal is not None or not self.namespaces.has_network:
            return None
        if not warm.can_fork(command):
            return None
        await warm.wait_settled()
        self._require_open()
        return warm.fork(command)

    def _require_open(self) -> None:
        if self._is_closed:
            raise RpcError("not_found", "the sandbox is being killed: create another one")

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
