"""What becomes of network settings that this machine does not enforce: told, or refused where the server is strict."""

import logging

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.egress_rules import EgressMeans, make_rules
from sandboxes.emulator.fleet.network_settings import EgressSettings, find_egress_wishes
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox

log = logging.getLogger(__name__)


GUARDED = ("allowInternetAccess", "allowOut", "denyOut")
"""What the rules of a sandbox's way out are made of."""


class NetworkPolicy:
    """Decides about settings that are only stored."""

    def __init__(self, registry: SandboxRegistry, *, is_strict: bool, means: EgressMeans) -> None:
        self._registry = registry
        self._is_strict = is_strict
        self._means = means
        self._warned: set[str] = set()

    def admit(self, network: EgressSettings, *, allows_internet: bool | None, sandbox: Sandbox | None = None) -> None:
        """Raise `ApiError` (501) on a strict server for settings that are not enforced here.

        They are those of a sandbox to be made, or new ones for one that runs.
        """
        rules = make_rules(network, allows_internet=allows_internet)
        keeps = self._means.suffice_for if sandbox is None else sandbox.processes.launcher.namespaces.keeps
        names = find_unenforced(network, allows_internet=allows_internet, is_kept=keeps(rules))
        if names and self._is_strict:
            raise ApiError(
                501,
                f"{', '.join(names)} cannot be enforced on this machine, and the server is strict about it: "
                "leave it out, or start the server without strict_network",
            )

    def warn(self, sandbox_id: str) -> None:
        """Say once for each sandbox which of its settings are only stored."""
        sandbox = self._registry.find(sandbox_id)
        names = [] if sandbox is None else find_unkept(sandbox)
        if names and sandbox_id not in self._warned:
            self._warned = {known for known in self._warned if self._registry.find(known)} | {sandbox_id}
            log.warning("sandbox %s: %s stored, not enforced on this machine", sandbox_id, ", ".join(names))

    def report(self) -> dict[str, list[str]]:
        """Return for each living sandbox the settings that it has and this machine does not enforce."""
        found = {sandbox.id: find_unkept(sandbox) for sandbox in self._registry.list_living()}
        return {sandbox_id: names for sandbox_id, names in found.items() if names}


def find_unkept(sandbox: Sandbox) -> list[str]:
    """Return which settings of a sandbox are only stored."""
    network, allows_internet = sandbox.spec.network, sandbox.spec.allows_internet
    is_kept = sandbox.processes.launcher.namespaces.keeps(make_rules(network, allows_internet=allows_internet))
    return find_unenforced(network, allows_internet=allows_internet, is_kept=is_kept)


def find_unenforced(network: EgressSettings, *, allows_internet: bool | None, is_kept: bool) -> list[str]:
    """Return what is only stored; `is_kept` tells whether the rules of the way out are kept as far as they go."""
    has_patterns = make_rules(network, allows_internet=allows_internet).has_patterns
    wishes = find_egress_wishes(network, allows_internet=allows_internet)
    return [name for name in wishes if name not in GUARDED or not is_kept or (name == "allowOut" and has_patterns)]
