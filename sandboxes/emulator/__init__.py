"""An E2B-compatible server in one process, so that a swarm runs and is tested without an account or a network.

It speaks E2B's wire protocol to the unmodified SDK: control plane, the daemon in each sandbox, and the proxy to its
ports. A sandbox is a directory and a set of processes of this machine: good for development and tests, no boundary
against hostile code.
"""

from sandboxes.emulator.errors import EmulatorError
from sandboxes.emulator.fleet.network_settings import network_enforcement
from sandboxes.emulator.server import EmulatorServer

__all__ = ["EmulatorError", "EmulatorServer", "network_enforcement"]
