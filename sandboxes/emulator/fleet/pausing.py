"""Pausing sandboxes and letting them go on.

A pause keeps files and processes (`full`: the processes stand still) or files only (`filesystem`: they are killed).
Either way its time stops, nobody reaches it, and it does not count as running. Not carried over as at E2B: the
processes of a full pause live in this machine's memory and do not survive the server, their clocks run on (a
deadline that passes meanwhile is over afterwards, and the deadline of a command kills its leader also while it stands
still), and connections that leave the machine may be gone.
"""

import anyio

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.leases import Leases
from sandboxes.emulator.fleet.lifecycle_events import EventType, LifecycleEvents, make_event_id
from sandboxes.emulator.fleet.reaper import Reaper
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import PauseMode, Sandbox
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory
from sandboxes.emulator.processes.process_freezer import freeze_processes, thaw_processes


class Pausing:
    """Takes running sandboxes to paused and back."""

    def __init__(self, registry: SandboxRegistry, factory: SandboxFactory, *, reaper: Reaper, leases: Leases) -> None:
        self._registry = registry
        self._factory = factory
        self._reaper = reaper
        self._leases = leases

    async def pause(self, sandbox: Sandbox, mode: PauseMode, *, events: LifecycleEvents) -> None:
        """Pause a sandbox. Raises `ApiError` (409) if it is paused already, 404 if it is killed meanwhile."""
        require_unpaused(sandbox)
        async with sandbox.changing:
            require_unpaused(sandbox)
            self._registry.require_living(sandbox)
            # From here on nobody gets in, so that nothing starts behind the back of what follows.
            sandbox.pause_mode = mode
            self._leases.cancel(sandbox)
            sandbox.abort_connections()
            if mode is PauseMode.FULL:
                await anyio.to_thread.run_sync(freeze_processes, sandbox)
            else:
                await self._reaper.kill_processes(sandbox)
            self._registry.require_living(sandbox)
            sandbox.end_at = read_clock()
            events.tell(EventType.PAUSED, sandbox, pause_mode=mode.value)

    async def resume(self, sandbox: Sandbox, timeout_s: float, *, reboots: bool, events: LifecycleEvents) -> bool:
        """Let a sandbox go on for this long, and return whether it was paused at all.

        `reboots` kills what stood still. Raises `ApiError` (404, 429).
        """
        async with sandbox.changing:
            if sandbox.pause_mode is None:
                return False
            with self._registry.room_for_one():
                if sandbox.pause_mode is PauseMode.FULL and not reboots:
                    await anyio.to_thread.run_sync(thaw_processes, sandbox)
                elif sandbox.pause_mode is PauseMode.FULL:
                    await self._reaper.kill_processes(sandbox)
                    sandbox.pause_mode = PauseMode.FILESYSTEM
            self._registry.require_living(sandbox)
            if sandbox.pause_mode is PauseMode.FILESYSTEM:
                self._factory.renew_processes(sandbox)
            sandbox.pause_mode = None
            sandbox.started_at = read_clock()
            sandbox.execution_id = make_event_id()
            self._leases.set(sandbox, timeout_s)
            events.tell(EventType.RESUMED, sandbox)
            return True


def require_unpaused(sandbox: Sandbox) -> None:
    """Raise `ApiError` (409) for a sandbox that stands still."""
    if sandbox.is_paused:
        raise ApiError(409, f"sandbox {sandbox.id!r} is already paused: connect to it to resume it")
