"""Snapshots: copies of a running sandbox that others are made from, and the copies that forks begin with.

Carried over is the file tree as it was at one moment (the processes stand still while it is copied, and go on
afterwards). A `full` snapshot also keeps the variables the sandbox was created with and its template's start command,
which is started anew in each sandbox made from it: E2B restores the running processes themselves, which this machine
cannot. A `filesystem` snapshot keeps files only. Never carried over are metadata, network settings, tokens,
connections, and what commands are running; a fork has its origin's metadata, settings and variables, but ids, tokens
and addresses of its own. Snapshots live as long as the server.
"""

import re
import secrets
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

import anyio

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.file_tree import copy_tree
from sandboxes.emulator.fleet.lifecycle_events import EventType, LifecycleEvents
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import PauseMode, Sandbox
from sandboxes.emulator.processes.process_freezer import freeze_processes, thaw_processes
from sandboxes.emulator.templates.template_catalog import TAG_DEFAULT, Template, TemplateCatalog

NAMESPACE = "local"
"""This server has one team, whose name stands before the names of its snapshots."""
NAME_PATTERN = re.compile(r"(?:([a-z0-9_-]+)/)?([a-z0-9_-]{1,128})(?::([a-z0-9_.-]{1,128}))?")
ID_ALPHABET = string.ascii_lowercase + string.digits
ID_LENGTH = 20


@dataclass(frozen=True, slots=True)
class SnapshotName:
    """What a creator calls a snapshot."""

    alias: str
    tag: str | None

    @property
    def full(self) -> str:
        """The name with its namespace, without a tag."""
        return f"{NAMESPACE}/{self.alias}"

    @property
    def tagged(self) -> str:
        """The name with its namespace and its tag, also if none was given."""
        return f"{self.full}:{self.tag or TAG_DEFAULT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot, which is a template too."""

    template: Template
    sandbox_id: str
    """Of whom it was taken."""
    name: SnapshotName | None
    sequence: int

    @property
    def id(self) -> str:
        """By which it is named in calls."""
        return f"{self.template.id}:{TAG_DEFAULT}" if self.name is None else self.name.tagged

    @property
    def names(self) -> list[str]:
        """Its name with the namespace, if it has one."""
        return [] if self.name is None else [self.name.full]


class Snapshots:
    """Takes snapshots and finds them again."""

    def __init__(
        self, directory: Path, *, registry: SandboxRegistry, catalog: TemplateCatalog, events: LifecycleEvents
    ) -> None:
        self._directory = directory
        self._registry = registry
        self._catalog = catalog
        self._events = events
        self._snapshots: dict[str, Snapshot] = {}
        self._taken = 0

    async def take(self, sandbox: Sandbox, *, name: SnapshotName | None, mode: PauseMode) -> Snapshot:
        """Take a snapshot; one that has this name and tag already is replaced. Raises `ApiError`."""
        template_id = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
        root = self._directory / template_id
        await self._copy(sandbox, root)
        self._taken += 1
        template = make_template(sandbox, mode, root=root, name=name)
        snapshot = Snapshot(template=template, sandbox_id=sandbox.id, name=name, sequence=self._taken)
        for replaced in [old for old in self._snapshots.values() if old.id == snapshot.id]:
            await self.delete(replaced.template)
        self._snapshots[template_id] = snapshot
        self._catalog.add(template, names=() if name is None else (name.tagged.removeprefix(f"{NAMESPACE}/"),))
        self._events.tell(EventType.CHECKPOINTED, sandbox, snapshot_id=snapshot.id)
        return snapshot

    @asynccontextmanager
    async def copied(self, sandbox: Sandbox) -> AsyncIterator[Path]:
        """Yield a copy of a sandbox's tree, which is removed afterwards. Raises `ApiError`."""
        root = self._directory / f"fork-{secrets.token_hex(8)}"
        await self._copy(sandbox, root)
        self._events.tell(EventType.CHECKPOINTED, sandbox)
        try:
            yield root
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: rmtree(root, ignore_errors=True))

    def list_all(self) -> list[Snapshot]:
        """Return all snapshots, the last one first."""
        return sorted(self._snapshots.values(), key=lambda snapshot: snapshot.sequence, reverse=True)

    async def delete(self, template: Template) -> None:
        """Remove a snapshot or a built template, with its files."""
        self._snapshots.pop(template.id, None)
        await self._catalog.delete(template)

    async def _copy(self, sandbox: Sandbox, target: Path) -> None:
        async with sandbox.changing:
            self._registry.require_living(sandbox)
            self._registry.require_running(sandbox.id)
            try:
                await anyio.to_thread.run_sync(freeze_processes, sandbox)
                await anyio.to_thread.run_sync(copy_tree, sandbox.paths.root, target)
            except OSError as error:
                raise ApiError(500, f"the files of {sandbox.id} could not be copied: {error.strerror}") from error
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(thaw_processes, sandbox)


def make_template(sandbox: Sandbox, mode: PauseMode, *, root: Path, name: SnapshotName | None) -> Template:
    """Return the template that a snapshot of a sandbox is."""
    origin = sandbox.spec.template
    is_full = mode is PauseMode.FULL
    return replace(
        origin,
        id=root.name,
        name=None if name is None else name.tagged,
        root=root,
        envs=dict(sandbox.spec.environment) if is_full else origin.envs,
        start_command=origin.start_command if is_full else None,
        ready_command=origin.ready_command if is_full else None,
    )


def parse_name(text: str) -> SnapshotName:
    """Read a name. Raises `ApiError` (400) for a malformed one, or one in somebody else's namespace."""
    match = NAME_PATTERN.fullmatch(text.strip().lower())
    if match is None:
        raise ApiError(400, f"Invalid name: {text!r}: use a-z, 0-9, - and _, and maybe a tag after a colon")
    namespace, alias, tag = match.groups()
    if namespace not in (None, NAMESPACE):
        raise ApiError(400, f"namespace '{namespace}' must match your team '{NAMESPACE}'")
    return SnapshotName(alias, tag)
