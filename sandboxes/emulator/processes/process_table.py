"""The commands of one sandbox: those that run, and for 30 s those that have ended, for clients that come late."""

from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.envd.process_messages import ProcessInfo, ProcessSelector, StartRequest
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import USER_DEFAULT
from sandboxes.emulator.fleet.sandbox_journal import SandboxJournal
from sandboxes.emulator.isolation.launching import CommandLauncher
from sandboxes.emulator.processes.processes import Process

ENDED_KEPT_S = 30.0
SERVICE_TAG = "e2b-emulator-service"
"""Marks what the server itself starts in a sandbox, as E2B's own services there: clients' lists do not show it."""
ABANDON_AFTER_S = 0.3
"""How long a killed command may hold its pipes open before nobody listens to them any more."""


class ProcessTable:
    """Starts commands and finds them again by number or tag."""

    def __init__(
        self,
        launcher: CommandLauncher,
        *,
        tasks: TaskGroup,
        journal: SandboxJournal,
    ) -> None:
        self.launcher = launcher
        self._tasks = tasks
        self._journal = journal
        self._running: dict[int, Process] = {}
        self._ended: dict[int, Process] = {}
        self._forget_at_s: dict[int, float] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """What every command finds in its environment, besides what its caller adds."""
        return self.launcher.environment

    @property
    def leaders(self) -> list[int]:
        """The machine's numbers of the running commands' leaders, and of process 1 if the sandbox has its own."""
        enclosure = self.launcher.namespaces.enclosure
        firsts = [] if enclosure is None else [enclosure.pid]
        return sorted(process.pid for process in self._running.values()) + firsts

    async def start(self, request: StartRequest, user: str = USER_DEFAULT) -> Process:
        """Start a command. Raises `RpcError` if the directory or the command do not exist."""
        config = request.process
        process = Process(await self.launcher.launch(request, user), config=config, tag=request.tag)
        self._forget_predecessors(process)
        self._running[process.number] = process
        self._journal.note_process_start(process.number, command=" ".join((config.cmd, *config.args)), tag=request.tag)
        self._tasks.start_soon(self._attend, process)
        return process

    def list_running(self) -> list[ProcessInfo]:
        """Return the running commands in the order of their start."""
        return [process.info for process in self._running.values() if process.info.tag != SERVICE_TAG]

    def find_running(self, selector: ProcessSelector) -> Process:
        """Return a running command. Raises `RpcError` (`not_found`)."""
        return find_process(selector, self._running)

    def find(self, selector: ProcessSelector) -> Process:
        """Return a command that runs or ended within the last 30 s. Raises `RpcError` (`not_found`)."""
        self._forget_old()
        return find_process(selector, {**self._ended, **self._running})

    def close(self) -> None:
        """Refuse further commands."""
        self.launcher.close()

    async def wait_finished(self) -> None:
        """Wait until all commands, already killed, are reaped and their pipes closed."""
        processes = list(self._running.values())
        with anyio.move_on_after(ABANDON_AFTER_S):
            for process in processes:
                await process.finished.wait()
        for process in processes:
            process.abandon()
            await process.finished.wait()
        await self.launcher.namespaces.wait_closed()

    async def _attend(self, process: Process) -> None:
        await process.run()
        if process.end is not None:
            self._journal.note_process_end(process.number, status=process.end.status, exit_code=process.end.exit_code)
        self._running.pop(process.number, None)
        self._forget_old()
        self._ended[process.number] = process
        self._forget_at_s[process.number] = anyio.current_time() + ENDED_KEPT_S

    def _forget_predecessors(self, process: Process) -> None:
        """Who asks for a number or a tag that is used again does not mean the command that had it before."""
        tag = process.info.tag
        for number, ended in list(self._ended.items()):
            if number == process.number or (tag and ended.info.tag == tag):
                del self._ended[number]

    def _forget_old(self) -> None:
        # Looked at when somebody asks: a timer for each would keep all of a sandbox in memory after its end.
        now_s = anyio.current_time()
        for number in [number for number in self._ended if self._forget_at_s[number] <= now_s]:
            del self._ended[number]
        self._forget_at_s = {number: self._forget_at_s[number] for number in self._ended}


def find_process(selector: ProcessSelector, processes: Mapping[int, Process]) -> Process:
    """Return the process that a client means. Raises `RpcError` (`not_found`)."""
    for process in processes.values():
        if selector.pid == process.number or (selector.tag and selector.tag == process.info.tag):
            return process
    asked = f"pid {selector.pid}" if selector.pid is not None else f"tag {selector.tag!r}"
    raise RpcError("not_found", f"process with {asked} not found: list the running ones")
