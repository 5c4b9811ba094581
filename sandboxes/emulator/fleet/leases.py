"""How long each sandbox may live: one timer of the event loop for each, moved when its lease is renewed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.control.limits import UNLIMITED, Tier, clamp_length
from sandboxes.emulator.fleet.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Lease:
    """When a sandbox ends, on the event loop's clock, and the timer that sees to it."""

    ends_at_s: float
    timer: asyncio.TimerHandle


class Leases:
    """The leases of all running sandboxes."""

    def __init__(self, expire: Callable[[Sandbox], None], tier: Tier = UNLIMITED) -> None:
        self._expire = expire
        self._tier = tier
        self._leases: dict[str, Lease] = {}

    def __contains__(self, sandbox: Sandbox) -> bool:
        """Whether a sandbox has time left."""
        return sandbox.id in self._leases

    def set(self, sandbox: Sandbox, timeout_s: float) -> None:
        """Let the sandbox end this long from now, whether that is later or sooner than before.

        Raises `ApiError` (400) if it has run for as long as it may.
        """
        ran_s = (read_clock() - sandbox.started_at).total_seconds()
        timeout_s = clamp_length(timeout_s, ran_s=ran_s, tier=self._tier)
        self.cancel(sandbox)
        loop = asyncio.get_running_loop()
        ends_at_s = loop.time() + timeout_s
        self._leases[sandbox.id] = Lease(ends_at_s, loop.call_at(ends_at_s, self._end, sandbox))
        sandbox.end_at = read_clock() + timedelta(seconds=timeout_s)

    def extend(self, sandbox: Sandbox, timeout_s: float) -> None:
        """Let the sandbox live for at least this long from now."""
        lease = self._leases.get(sandbox.id)
        if lease is None or asyncio.get_running_loop().time() + timeout_s > lease.ends_at_s:
            self.set(sandbox, timeout_s)

    def cancel(self, sandbox: Sandbox) -> None:
        """Forget the lease of a sandbox that is about to end."""
        lease = self._leases.pop(sandbox.id, None)
        if lease is not None:
            lease.timer.cancel()

    def _end(self, sandbox: Sandbox) -> None:
        del self._leases[sandbox.id]
        self._expire(sandbox)
