"""Makes a sandbox's parts: its id, its address, its directories, its tokens and the environment of its commands."""

from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.addresses import AddressPool
from sandboxes.emulator.fleet.egress_rules import make_rules
from sandboxes.emulator.fleet.file_tree import copy_tree
from sandboxes.emulator.fleet.lifecycle_events import make_event_id
from sandboxes.emulator.fleet.paths import SandboxPaths
from sandboxes.emulator.fleet.sandbox import Sandbox, SandboxSpec
from sandboxes.emulator.fleet.sandbox_journal import Journals, SandboxJournal
from sandboxes.emulator.ids import make_sandbox_id, make_token
from sandboxes.emulator.isolation.enclosures import EnclosureMaker
from sandboxes.emulator.isolation.launching import CommandLauncher
from sandboxes.emulator.isolation.sandbox_namespaces import SandboxNamespaces
from sandboxes.emulator.processes.process_environment import prepare_home
from sandboxes.emulator.processes.process_table import ProcessTable
from sandboxes.emulator.processes.warm_start import WarmProcess


class SandboxFactory:
    """Makes sandboxes below one data directory, and takes back what they leave."""

    def __init__(
        self,
        data_dir: Path,
        *,
        tasks: TaskGroup,
        journals: Journals,
        warm: Mapping[str, WarmProcess],
        enclosures: EnclosureMaker | None,
    ) -> None:
        """`warm` holds the processes that templates' commands may start from, `enclosures` makes namespaces."""
        self._data_dir = data_dir
        self._tasks = tasks
        self._journals = journals
        self._warm = warm
        self._enclosures = enclosures
        self._addresses = AddressPool()
        self._made = 0

    async def make(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox that nothing runs in yet. Raises `ApiError` (500) if its directory cannot be made."""
        sandbox_id = make_sandbox_id()
        address = self._addresses.take()
        paths = SandboxPaths(
            self._data_dir / sandbox_id,
            workdir=spec.template.workdir or "",
            is_enclosed=self._enclosures is not None and spec.is_enclosed,
        )
        try:
            await lay_out(paths, spec.tree)
        except OSError as error:
            self._addresses.give_back(address)
            raise ApiError(500, f"the sandbox's directory {paths.root} could not be made: {error.strerror}") from error
        now = read_clock()
        self._made += 1
        journal = self._journals.open(sandbox_id)
        return Sandbox(
            id=sandbox_id,
            sequence=self._made,
            spec=spec,
            address=address,
            paths=paths,
            processes=self._make_processes(paths, spec, address=address, journal=journal),
            journal=journal,
            envd_token=make_token(),
            traffic_token=None if spec.network.is_public else make_token(),
            started_at=now,
            end_at=now,
            execution_id=make_event_id(),
            gone=anyio.Event(),
        )

    def renew_processes(self, sandbox: Sandbox) -> None:
        """Let commands start again in a sandbox whose processes were killed."""
        sandbox.processes = self._make_processes(
            sandbox.paths, sandbox.spec, address=sandbox.address, journal=sandbox.journal
        )

    def take_back(self, sandbox: Sandbox) -> None:
        """Free the address of a sandbox that is gone, and begin to forget its journal."""
        self._addresses.give_back(sandbox.address)
        self._journals.close(sandbox.id)

    def _make_processes(
        self, paths: SandboxPaths, spec: SandboxSpec, *, address: str, journal: SandboxJournal
    ) -> ProcessTable:
        environment = {
            **spec.environment,
            "E2B_SANDBOX": "true",
            "E2B_SANDBOX_ID": paths.root.name,
            "E2B_TEMPLATE_ID": spec.template.id,
            "E2B_SANDBOX_IP": address,
        }
        namespaces = SandboxNamespaces(
            paths.root,
            self._enclosures if spec.is_enclosed else None,
            rules=make_rules(spec.network, allows_internet=spec.allows_internet),
            tasks=self._tasks,
        )
        warm = self._warm.get(spec.template.origin)
        launcher = CommandLauncher(paths, environment, namespaces=namespaces, warm=warm)
        return ProcessTable(launcher, tasks=self._tasks, journal=journal)


async def lay_out(paths: SandboxPaths, tree: Path | None) -> None:
    """Make a sandbox's directories, empty or as a copy. Raises `OSError`."""
    if tree is None:
        prepare_home(paths)
        return
    await anyio.to_thread.run_sync(copy_tree, tree, paths.root)
    for directory in (paths.home, paths.temporary):
        directory.mkdir(parents=True, exist_ok=True)
