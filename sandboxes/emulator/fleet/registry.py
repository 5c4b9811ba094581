"""All living sandboxes, running and paused: how many may run, and finding them by their id."""

from collections.abc import Iterator
from contextlib import contextmanager

from sandboxes.emulator.control.limits import UNLIMITED, CreationBucket, Tier
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox import Sandbox


class SandboxRegistry:
    """The server's sandboxes. Paused ones do not count against the limit; dying ones do until nothing is left."""

    def __init__(self, *, sandboxes_max: int, tier: Tier = UNLIMITED) -> None:
        self.sandboxes_max = int(min(sandboxes_max, tier.sandboxes_max))
        self.tier = tier
        self.creations = CreationBucket(tier)
        self.dying: dict[str, Sandbox] = {}
        self._living: dict[str, Sandbox] = {}
        self._expected = 0

    @contextmanager
    def room_for_one(self) -> Iterator[None]:
        """Keep a place for a sandbox that is about to run. Raises `ApiError` (429) when there is none."""
        running = sum(not sandbox.is_paused for sandbox in self._living.values())
        if running + self._expected + len(self.dying) >= self.sandboxes_max:
            raise ApiError(
                429,
                f"you have reached the maximum number of concurrent E2B sandboxes ({self.sandboxes_max}): "
                "kill one, or start the server with a higher --sandboxes-max or --tier",
            )
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    def add(self, sandbox: Sandbox) -> None:
        """Put a new sandbox on the list."""
        self._living[sandbox.id] = sandbox

    def retire(self, sandbox: Sandbox) -> None:
        """Take a sandbox off the list: all that asks for it from now on hears that it is gone."""
        self._living.pop(sandbox.id, None)
        self.dying[sandbox.id] = sandbox

    def find(self, sandbox_id: str) -> Sandbox | None:
        """Return a living sandbox, running or paused."""
        return self._living.get(sandbox_id)

    def find_by_address(self, address: str) -> Sandbox | None:
        """Return a living sandbox by its loopback address, if it has a network of its own."""
        found = (sandbox for sandbox in self._living.values() if sandbox.address == address)
        return next((sandbox for sandbox in found if not sandbox.processes.launcher.namespaces.has_network), None)

    def require(self, sandbox_id: str) -> Sandbox:
        """Return a living sandbox. Raises `ApiError` (404)."""
        sandbox = self.find(sandbox_id)
        if sandbox is None:
            raise ApiError(404, f"sandbox {sandbox_id!r} doesn't exist or was killed: list the running ones")
        return sandbox

    def require_running(self, sandbox_id: str) -> Sandbox:
        """Return a running sandbox. Raises `ApiError` (404), also for a paused one, as E2B does."""
        sandbox = self.require(sandbox_id)
        if sandbox.is_paused:
            raise ApiError(404, f"sandbox {sandbox_id!r} is paused and not running: connect to it to resume it")
        return sandbox

    def require_living(self, sandbox: Sandbox) -> None:
        """Raise `ApiError` (404) if a sandbox was killed while something was done with it."""
        if self.find(sandbox.id) is not sandbox:
            raise ApiError(404, f"sandbox {sandbox.id!r} was killed meanwhile: create another one")

    def list_living(self) -> list[Sandbox]:
        """Return all living sandboxes in the order in which they were made."""
        return list(self._living.values())
