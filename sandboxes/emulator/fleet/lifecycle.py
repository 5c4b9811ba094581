"""The life of a sandbox from its creation to its end: who decides it, and everything that has to happen with it."""

from contextlib import suppress

from anyio.abc import TaskGroup

from sandboxes.emulator.control.server_tasks import run_to_completion
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.leases import Leases
from sandboxes.emulator.fleet.lifecycle_events import EventType, LifecycleEvents
from sandboxes.emulator.fleet.pausing import Pausing
from sandboxes.emulator.fleet.reaper import Reaper
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import PauseMode, Sandbox, SandboxSpec
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory


class SandboxLifecycle:
    """Makes, renews, pauses, resumes and ends sandboxes."""

    def __init__(
        self, registry: SandboxRegistry, factory: SandboxFactory, *, events: LifecycleEvents, tasks: TaskGroup
    ) -> None:
        self._registry = registry
        self._factory = factory
        self._events = events
        self._tasks = tasks
        self._is_closed = False
        self._leases = Leases(self._expire, registry.tier)
        self._reaper = Reaper(registry, factory, tasks=tasks)
        self._pausing = Pausing(registry, factory, reaper=self._reaper, leases=self._leases)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox. Raises `ApiError` (429) when there are as many running as may be.

        Not to be called from a task that a client's leaving cancels: see `run_to_completion`.
        """
        with self._registry.room_for_one():
            sandbox = await self._factory.make(spec)
        if self._is_closed:
            self._reaper.take(sandbox)
            raise ApiError(503, "the server is stopping: start it again")
        self._registry.add(sandbox)
        self._leases.set(sandbox, spec.timeout_s)
        self._events.tell(EventType.CREATED, sandbox)
        return sandbox

    def renew(self, sandbox: Sandbox, timeout_s: float, *, only_later: bool = False) -> None:
        """Let a running sandbox end this long from now, also sooner than before unless `only_later`."""
        before = sandbox.end_at
        if only_later:
            self._leases.extend(sandbox, timeout_s)
        else:
            self._leases.set(sandbox, timeout_s)
        if sandbox.end_at != before:
            self._events.tell(EventType.UPDATED, sandbox, set_timeout=sandbox.end_at.isoformat())

    async def pause(self, sandbox: Sandbox, mode: PauseMode) -> None:
        """Pause a sandbox. Raises `ApiError` (409) if it is paused already."""
        await run_to_completion(self._tasks, lambda: self._pausing.pause(sandbox, mode, events=self._events))

    async def resume(self, sandbox: Sandbox, timeout_s: float, *, reboots: bool = False) -> bool:
        """Let a paused sandbox go on, and return whether it was paused. Raises `ApiError` (404, 429)."""
        return await run_to_completion(
            self._tasks, lambda: self._pausing.resume(sandbox, timeout_s, reboots=reboots, events=self._events)
        )

    async def kill(self, sandbox: Sandbox) -> None:
        """Kill a sandbox and wait until nothing is left of it."""
        self._kill_soon(sandbox, reason="request")
        await sandbox.gone.wait()

    async def kill_all(self) -> None:
        """Kill everything, admit nothing more, and wait until nothing is left."""
        self._is_closed = True
        for sandbox in self._registry.list_living():
            self._kill_soon(sandbox, reason="shutdown")
        for sandbox in list(self._registry.dying.values()):
            await sandbox.gone.wait()

    def _kill_soon(self, sandbox: Sandbox, *, reason: str) -> None:
        if self._registry.find(sandbox.id) is sandbox:
            self._leases.cancel(sandbox)
            self._events.tell(EventType.KILLED, sandbox, kill_reason=reason)
            self._reaper.take(sandbox)

    def _expire(self, sandbox: Sandbox) -> None:
        if sandbox.spec.lifecycle.pause_on_timeout is None:
            self._kill_soon(sandbox, reason="timeout")
        else:
            self._tasks.start_soon(self._pause_expired, sandbox, sandbox.spec.lifecycle.pause_on_timeout)

    async def _pause_expired(self, sandbox: Sandbox, mode: PauseMode) -> None:
        if sandbox in self._leases:  # somebody renewed it just before
            return
        with suppress(ApiError):  # it is paused or killed already
            await self._pausing.pause(sandbox, mode, events=self._events)
