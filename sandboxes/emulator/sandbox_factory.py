"""Makes a sandbox's parts: its id, its address, its directories, its tokens and the environment of its commands."""

from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.addresses import AddressPool
from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.ids import make_sandbox_id, make_token
from sandboxes.emulator.paths import SandboxPaths
from sandboxes.emulator.process_environment import prepare_home
from sandboxes.emulator.process_table import ProcessTable
from sandboxes.emulator.sandbox import Sandbox, SandboxSpec


class SandboxFactory:
    """Makes sandboxes below one data directory, and takes back what they leave."""

    def __init__(self, data_dir: Path, *, tasks: TaskGroup) -> None:
        self._data_dir = data_dir
        self._tasks = tasks
        self._addresses = AddressPool()
        self._made = 0

    def make(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox that nothing runs in yet. Raises `ApiError` (500) if its directory cannot be made."""
        sandbox_id = make_sandbox_id()
        address = self._addresses.take()
        paths = SandboxPaths(self._data_dir / sandbox_id)
        try:
            prepare_home(paths)
        except OSError as error:
            self._addresses.give_back(address)
            raise ApiError(500, f"the sandbox's directory {paths.root} could not be made: {error.strerror}") from error
        environment = {
            **spec.environment,
            "E2B_SANDBOX": "true",
            "E2B_SANDBOX_ID": sandbox_id,
            "E2B_TEMPLATE_ID": spec.template,
            "E2B_SANDBOX_IP": address,
        }
        now = read_clock()
        self._made += 1
        return Sandbox(
            id=sandbox_id,
            sequence=self._made,
            spec=spec,
            address=address,
            paths=paths,
            processes=ProcessTable(paths, environment, tasks=self._tasks),
            envd_token=make_token(),
            traffic_token=None if spec.allows_public_traffic else make_token(),
            started_at=now,
            end_at=now,
            gone=anyio.Event(),
        )

    def take_back(self, sandbox: Sandbox) -> None:
        """Free the address of a sandbox that is gone."""
        self._addresses.give_back(sandbox.address)
