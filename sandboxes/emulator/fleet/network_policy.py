"""What becomes of network settings that this machine does not enforce: told, or refused where the server is strict."""

import logging

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.network_settings import EgressSettings, find_unenforced
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox

log = logging.getLogger(__name__)


class NetworkPolicy:
    """Decides about settings that are only stored."""

    def __init__(self, registry: SandboxRegistry, *, is_strict: bool, cuts_network: bool) -> None:
        self._registry = registry
        self._is_strict = is_strict
        self._cuts_network = cuts_network
        self._warned: set[str] = set()

    def admit(self, network: EgressSettings, *, allows_internet: bool | None) -> None:
        """Raise `ApiError` (501) on a strict server for settings that are not enforced here."""
        names = self._find_unenforced(None, network, allows_internet=allows_internet)
        if names and self._is_strict:
            raise ApiError(
                501,
                f"{', '.join(names)} cannot be enforced on this machine, and the server is strict about it: "
                "leave it out, or start the server without strict_network",
            )

    def _find_unenforced(
        self, sandbox: Sandbox | None, network: EgressSettings, *, allows_internet: bool | None
    ) -> list[str]:
        """Return what is not kept: a sandbox is cut off at its creation or never, and stays so."""
        names = find_unenforced(network, allows_internet=allows_internet)
        is_kept = self._cuts_network if sandbox is None else not sandbox.processes.launcher.has_network
        return [name for name in names if name != "allowInternetAccess" or not is_kept]

    def warn(self, sandbox_id: str, network: EgressSettings, *, allows_internet: bool | None) -> None:
        """Say once for each sandbox which of its settings are only stored."""
        sandbox = self._registry.find(sandbox_id)
        names = self._find_unenforced(sandbox, network, allows_internet=allows_internet)
        if names and sandbox_id not in self._warned:
            self._warned = {known for known in self._warned if self._registry.find(known)} | {sandbox_id}
            log.warning("sandbox %s: %s stored, not enforced on this machine", sandbox_id, ", ".join(names))

    def report(self) -> dict[str, list[str]]:
        """Return for each living sandbox the settings that it has and this machine does not enforce."""
        found = {
            sandbox.id: self._find_unenforced(
                sandbox, sandbox.spec.network, allows_internet=sandbox.spec.allows_internet
            )
            for sandbox in self._registry.list_living()
        }
        return {sandbox_id: names for sandbox_id, names in found.items() if names}
