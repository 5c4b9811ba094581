"""All living sandboxes: admitting them, finding them, and killing them with everything they started.

A kill runs as a task of the server, so that it goes to its end also when the client that asked for it has hung up.
"""

import shutil

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.leases import Leases
from sandboxes.emulator.process_tree import kill_tree
from sandboxes.emulator.sandbox import Sandbox, SandboxSpec
from sandboxes.emulator.sandbox_factory import SandboxFactory


class SandboxRegistry:
    """The server's sandboxes by their id."""

    def __init__(self, factory: SandboxFactory, *, sandboxes_max: int, tasks: TaskGroup) -> None:
        self._factory = factory
        self._sandboxes_max = sandboxes_max
        self._tasks = tasks
        self._living: dict[str, Sandbox] = {}
        self._dying: dict[str, Sandbox] = {}
        self._unswept: list[Sandbox] = []
        self._sweeping = anyio.Lock()
        self._leases = Leases(self._kill_soon)

    def create(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox. Raises `ApiError` (429) when there are as many as may be."""
        if len(self._living) + len(self._dying) >= self._sandboxes_max:
            raise ApiError(
                429,
                f"you have reached the maximum number of concurrent E2B sandboxes ({self._sandboxes_max}): "
                "kill one, or start the server with a higher --sandboxes-max",
            )
        sandbox = self._factory.make(spec)
        self._living[sandbox.id] = sandbox
        self._leases.set(sandbox, spec.timeout_s)
        return sandbox

    def find(self, sandbox_id: str) -> Sandbox | None:
        """Return a living sandbox."""
        return self._living.get(sandbox_id)

    def list_living(self) -> list[Sandbox]:
        """Return all living sandboxes in the order in which they were made."""
        return list(self._living.values())

    def set_timeout(self, sandbox: Sandbox, timeout_s: float) -> None:
        """Let the sandbox end this long from now, whether that is later or sooner than before."""
        self._leases.set(sandbox, timeout_s)

    def extend(self, sandbox: Sandbox, timeout_s: float) -> None:
        """Let the sandbox live for at least this long from now."""
        self._leases.extend(sandbox, timeout_s)

    async def kill(self, sandbox: Sandbox) -> None:
        """Kill a sandbox and wait until nothing is left of it."""
        self._kill_soon(sandbox)
        await sandbox.gone.wait()

    async def kill_all(self) -> None:
        """Kill everything, and wait until nothing is left."""
        dying = [*self._living.values(), *self._dying.values()]
        for sandbox in self.list_living():
            self._kill_soon(sandbox)
        for sandbox in dying:
            await sandbox.gone.wait()

    def _kill_soon(self, sandbox: Sandbox) -> None:
        if sandbox.id in self._living:
            self._retire(sandbox)
            self._tasks.start_soon(self._finish_kill, sandbox)

    def _retire(self, sandbox: Sandbox) -> None:
        """Take the sandbox off the list, so that all that asks for it from now on hears that it is gone."""
        del self._living[sandbox.id]
        self._dying[sandbox.id] = sandbox
        self._unswept.append(sandbox)
        self._leases.cancel(sandbox)
        sandbox.processes.close()
        sandbox.abort_connections()

    async def _finish_kill(self, sandbox: Sandbox) -> None:
        with anyio.CancelScope(shield=True):  # a half-killed sandbox would be nobody's
            async with self._sweeping:
                await self._sweep()
            await sandbox.processes.wait_finished()
            # What cannot be removed stays, and hinders nobody.
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(sandbox.paths.root, ignore_errors=True))
            self._factory.take_back(sandbox)
            del self._dying[sandbox.id]
            sandbox.gone.set()

    async def _sweep(self) -> None:
        """Kill the processes of all that wait for it: the search through /proc costs the same for one or fifty."""
        sandboxes, self._unswept = self._unswept, []
        if not sandboxes:
            return  # the one before took this sandbox along
        roots = {str(sandbox.paths.root) for sandbox in sandboxes}
        leaders = {pid for sandbox in sandboxes for pid in sandbox.processes.leaders}
        await anyio.to_thread.run_sync(kill_tree, roots.__contains__, leaders)
