"""Killing sandboxes with everything they started, so that nothing is left: no process, no file, no connection.

A kill runs as a task of the server, so that it goes to its end also when the client that asked for it has hung up.
"""

import shutil

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory
from sandboxes.emulator.processes.process_tree import kill_tree


class Reaper:
    """Takes sandboxes off the list and ends them."""

    def __init__(self, registry: SandboxRegistry, factory: SandboxFactory, *, tasks: TaskGroup) -> None:
        self._registry = registry
        self._factory = factory
        self._tasks = tasks
        self._unswept: list[Sandbox] = []
        self._sweeping = anyio.Lock()

    def take(self, sandbox: Sandbox) -> None:
        """Begin to end a sandbox. Its `gone` tells when that is done."""
        self._registry.retire(sandbox)
        sandbox.processes.close()
        sandbox.watchers.close()
        sandbox.abort_connections()
        self._tasks.start_soon(self._finish, sandbox)

    async def kill_processes(self, sandbox: Sandbox) -> None:
        """Kill everything that runs in a sandbox, which keeps its files, and wait until it is gone."""
        self._unswept.append(sandbox)
        sandbox.processes.close()
        with anyio.CancelScope(shield=True):  # a half-killed sandbox would be nobody's
            async with self._sweeping:
                await self._sweep()
            await sandbox.processes.wait_finished()

    async def _finish(self, sandbox: Sandbox) -> None:
        with anyio.CancelScope(shield=True):
            await self.kill_processes(sandbox)
            async with sandbox.changing:  # whoever copies or pauses it finds out, and leaves
                # What cannot be removed stays, and hinders nobody.
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(sandbox.paths.root, ignore_errors=True))
            self._factory.take_back(sandbox)
            del self._registry.dying[sandbox.id]
            sandbox.gone.set()

    async def _sweep(self) -> None:
        """Kill the processes of all that wait for it: the search through /proc costs the same for one or fifty."""
        sandboxes, self._unswept = self._unswept, []
        if not sandboxes:
            return  # the one before took this sandbox along
        roots = {str(sandbox.paths.root) for sandbox in sandboxes}
        leaders = {pid for sandbox in sandboxes for pid in sandbox.processes.leaders}
        await anyio.to_thread.run_sync(kill_tree, roots.__contains__, leaders)
