"""The commands of one sandbox: those that run, and for 30 s those that have ended, for clients that come late."""

import asyncio
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.paths import SandboxPaths
from sandboxes.emulator.process_environment import build_environment
from sandboxes.emulator.process_messages import ProcessInfo, ProcessSelector, StartRequest
from sandboxes.emulator.processes import CommandLine, Process

ENDED_KEPT_S = 30.0
ABANDON_AFTER_S = 0.3
"""How long a killed command may hold its pipes open before nobody listens to them any more."""


class ProcessTable:
    """Starts commands and finds them again by number or tag."""

    def __init__(self, paths: SandboxPaths, environment: Mapping[str, str], *, tasks: TaskGroup) -> None:
        self._paths = paths
        self._environment = environment
        self._tasks = tasks
        self._running: dict[int, Process] = {}
        self._ended: dict[int, Process] = {}
        self._is_closed = False

    @property
    def leaders(self) -> list[int]:
        """The numbers of the running commands' leaders."""
        return sorted(self._running)

    def start(self, request: StartRequest) -> Process:
        """Start a command. Raises `RpcError` if the directory or the command do not exist."""
        if self._is_closed:
            raise RpcError("not_found", "the sandbox is being killed: create another one")
        config = request.process
        directory = self._paths.locate(config.cwd or "")
        if not directory.is_dir():
            raise RpcError("invalid_argument", f"cwd {config.cwd!r} is not a directory of the sandbox: make it first")
        command = CommandLine(
            arguments=(config.cmd, *config.args),
            environment=build_environment(self._paths, self._environment, config.envs),
            directory=directory,
            has_stdin=bool(request.stdin),
        )
        process = Process(command, config=config, tag=request.tag)
        self._running[process.pid] = process
        self._tasks.start_soon(self._attend, process)
        return process

    def list_running(self) -> list[ProcessInfo]:
        """Return the running commands in the order of their start."""
        return [process.info for process in self._running.values()]

    def find_running(self, selector: ProcessSelector) -> Process:
        """Return a running command. Raises `RpcError` (`not_found`)."""
        return self._find(selector, self._running)

    def find(self, selector: ProcessSelector) -> Process:
        """Return a command that runs or ended within the last 30 s. Raises `RpcError` (`not_found`)."""
        return self._find(selector, {**self._ended, **self._running})

    def close(self) -> None:
        """Refuse further commands."""
        self._is_closed = True

    async def wait_finished(self) -> None:
        """Wait until all commands, already killed, are reaped and their pipes closed."""
        processes = list(self._running.values())
        with anyio.move_on_after(ABANDON_AFTER_S):
            for process in processes:
                await process.finished.wait()
        for process in processes:
            process.abandon()
            await process.finished.wait()

    async def _attend(self, process: Process) -> None:
        await process.run()
        self._running.pop(process.pid, None)
        self._ended[process.pid] = process
        asyncio.get_running_loop().call_later(ENDED_KEPT_S, self._forget, process)

    def _forget(self, process: Process) -> None:
        if self._ended.get(process.pid) is process:
            del self._ended[process.pid]

    def _find(self, selector: ProcessSelector, processes: Mapping[int, Process]) -> Process:
        for process in processes.values():
            if selector.pid == process.pid or (selector.tag and selector.tag == process.info.tag):
                return process
        asked = f"pid {selector.pid}" if selector.pid is not None else f"tag {selector.tag!r}"
        raise RpcError("not_found", f"process with {asked} not found: list the running ones")
