"""Carries out builds: step after step in a room of their own, until there is a tree that sandboxes can begin from.

There are no containers here, so the steps run on this machine (see `base_images.py` and `build_commands.py`), and the
log says so. They do run: a failing step fails its build. Finished steps are kept (`build_layers.py`), a failed build
leaves nothing. Builds are the server's own work, which no client's leaving ends.
"""

import math
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import ApiError, EmulatorError
from sandboxes.emulator.fleet.file_tree import copy_tree, measure_tree
from sandboxes.emulator.fleet.reaper import Reaper
from sandboxes.emulator.fleet.sandbox import SandboxSpec
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory
from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.templates.base_images import describe_image
from sandboxes.emulator.templates.build_actions import BuildFailed, StepWorker
from sandboxes.emulator.templates.build_archives import BuildArchives
from sandboxes.emulator.templates.build_layers import LayerCache
from sandboxes.emulator.templates.build_links import relativize_links
from sandboxes.emulator.templates.build_room import BuildRoom, open_room
from sandboxes.emulator.templates.build_steps import BuildContext, Copy, Run, Step, User, chain_keys
from sandboxes.emulator.templates.build_trial import FINALIZE, adapt_commands, try_start
from sandboxes.emulator.templates.template_catalog import Template
from sandboxes.emulator.templates.template_records import Build, BuildFailure, BuildStatus, TemplateRecords

BUILDS_MAX = 20
"""How many builds may be under way, as at E2B."""
BUILDS_AT_ONCE = max(2, os.cpu_count() or 1)
BUILD_DEADLINE_S = 3600.0
MEBIBYTE = 1024 * 1024
BASE = "base"
"""What E2B calls what comes before the first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """What a build is to do."""

    build: Build
    image: str
    """Empty if it begins from a template."""
    parent: Template
    """The template it begins from; of an image, the built-in base."""
    steps: Sequence[Step]
    is_forced: bool
    has_credentials: bool
    start_command: str
    ready_command: str


class TemplateBuilder:
    """Runs builds."""

    def __init__(self, directory: Path, records: TemplateRecords, *, rooms: "Rooms", tasks: TaskGroup) -> None:
        """Builds that still go on when `tasks` is cancelled are given up; whoever owns the directory removes it."""
        self.archives = BuildArchives(make_directory(directory, "archives"))
        self._trees = make_directory(directory, "trees")
        self._layers = LayerCache(make_directory(directory, "layers"))
        self._worker = StepWorker(self.archives, scratch=make_directory(directory, "scratch"))
        self._records = records
        self._rooms = rooms
        self._tasks = tasks
        self._running = anyio.CapacityLimiter(BUILDS_AT_ONCE)

    def start(self, plan: BuildPlan) -> None:
        """Begin a build. Raises `ApiError` (400, 429) if it was begun before, or too many others go on."""
        build = plan.build
        if build.is_started:
            raise ApiError(400, f"build {build.id!r} was started already: ask for a new one")
        if self._records.count_under_way() >= BUILDS_MAX:
            raise ApiError(
                429, f"you have reached the maximum number of concurrent template builds ({BUILDS_MAX}): wait for one"
            )
        build.is_started = True
        self._tasks.start_soon(self._run, plan)

    async def _run(self, plan: BuildPlan) -> None:
        build = plan.build
        async with self._running:
            build.reach(BuildStatus.BUILDING)
            try:
                with anyio.fail_after(BUILD_DEADLINE_S):
                    await self._build(plan)
            except BuildFailed as failure:
                end_badly(build, str(failure), step=failure.step)
            except TimeoutError:
                end_badly(build, f"the build is not over after {BUILD_DEADLINE_S:.0f} s", step=FINALIZE)
            except EmulatorError as error:
                end_badly(build, str(error), step=FINALIZE)
            except OSError as error:
                end_badly(build, f"the template's files could not be copied: {error.strerror}", step=FINALIZE)

    async def _build(self, plan: BuildPlan) -> None:
        build = plan.build
        describe_base(plan)
        keys = list(chain_keys(plan.image or f"{plan.parent.id} {plan.parent.root}", plan.steps))
        done = find_last_cached(plan, keys, layers=self._layers)
        async with self._layers.borrowed(keys[done - 1] if done else None) as layer, self._new_tree(build) as root:
            done = done if layer is not None else 0
            spec = SandboxSpec(template=plan.parent, timeout_s=0, tree=layer or plan.parent.root)
            async with self._rooms.open(spec) as room:
                context = await self._take_steps(plan, keys, room=room, done=done)
                await anyio.to_thread.run_sync(copy_tree, room.root, root)
            used_bytes = await anyio.to_thread.run_sync(measure_tree, root)
            template = self._describe(plan, context, root=root, disk_mb=choose_disk_mb(plan, used_bytes))
            if template.start_command is not None or template.ready_command is not None:
                spec = SandboxSpec(template=template, timeout_s=0, environment=template.envs, tree=root)
                async with self._rooms.open(spec) as room:
                    await try_start(room, build.log)
            await self._records.publish(build, template)
        build.log.note("the template is ready", step=FINALIZE)
        build.reach(BuildStatus.READY)

    @asynccontextmanager
    async def _new_tree(self, build: Build) -> AsyncIterator[Path]:
        """Yield where the outcome of a build goes; it is removed again if the build fails."""
        root = self._trees / build.id
        try:
            yield root
        finally:
            if build.template is None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(rmtree, root, True)

    async def _take_steps(self, plan: BuildPlan, keys: Sequence[str], *, room: BuildRoom, done: int) -> BuildContext:
        context = BuildContext(envs=plan.parent.envs, workdir=plan.parent.workdir)
        for step, key in zip(plan.steps, keys, strict=True):
            is_cached = step.number <= done
            mark = "CACHED " if is_cached else ""
            plan.build.log.note(f"[builder {step.number}/{len(plan.steps)}] {mark}{step.text}", step=str(step.number))
            context = context.after(step.action)
            if not is_cached:
                await self._worker.take(step, context, room=room, log=plan.build.log)
                if step.changes_files:
                    await anyio.to_thread.run_sync(relativize_links, room.root, room.seen_as)
                    await self._layers.keep(key, room.root)
        return context

    def _describe(self, plan: BuildPlan, context: BuildContext, *, root: Path, disk_mb: int) -> Template:
        """Return the template that a tree is. Raises `BuildFailed` for commands that may not run here."""
        build = plan.build
        record = self._records.require(build.template_id)
        start_command, ready_command = adapt_commands(plan.start_command, plan.ready_command, root=root, log=build.log)
        return replace(
            plan.parent,
            id=record.id,
            name=record.name,
            cpu_count=build.size.cpu_count,
            memory_mb=build.size.memory_mb,
            disk_mb=disk_mb,
            root=root,
            envs=context.envs,
            workdir=context.workdir,
            start_command=start_command or plan.parent.start_command,
            ready_command=ready_command or plan.parent.ready_command,
        )


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where builds take place."""

    factory: SandboxFactory
    reaper: Reaper

    def open(self, spec: SandboxSpec) -> AbstractAsyncContextManager[BuildRoom]:
        """Make a room that lasts as long as the block."""
        return open_room(spec, factory=self.factory, reaper=self.reaper)


def describe_base(plan: BuildPlan) -> None:
    """Tell what the build stands on. Raises `BuildFailed` for an image that this machine is not like."""
    log = plan.build.log
    if plan.image:
        try:
            lines = describe_image(plan.image)
        except EmulatorError as error:
            raise BuildFailed(str(error), step=BASE) from error
        for number, line in enumerate(lines):
            log.note(line, level=LogLevel.WARN if number else LogLevel.INFO, step=BASE)
    else:
        log.note(f"FROM template {plan.parent.name or plan.parent.id}", step=BASE)
    if plan.has_credentials:
        log.note("the registry's credentials are not used: nothing is pulled", level=LogLevel.WARN, step=BASE)
    if any(names_user(step) for step in plan.steps):
        log.note(
            "USER and COPY's owner are only names here: all commands run, and all files belong, as the user of this "
            "machine that runs the server",
            level=LogLevel.WARN,
            step=BASE,
        )
    sizes = f"{plan.build.size.cpu_count} CPUs and {plan.build.size.memory_mb} MB"
    log.note(f"{sizes} are shown for the template and not enforced on this machine", step=BASE)


def choose_disk_mb(plan: BuildPlan, used_bytes: int) -> int:
    """Return how large a disk is shown: the parent's, or larger if less than the free room asked for were left."""
    return max(plan.parent.disk_mb, math.ceil(used_bytes / MEBIBYTE) + plan.build.size.free_disk_mb)


def names_user(step: Step) -> bool:
    """Whether a step asks for a user that this machine cannot give."""
    match step.action:
        case User(name=name) | Run(user=name) | Copy(owner=name):
            return name not in ("", "user", "user:user")
        case _:
            return False


def find_last_cached(plan: BuildPlan, keys: Sequence[str], *, layers: LayerCache) -> int:
    """Return the number of the last step that need not be taken again, 0 if there is none."""
    if plan.is_forced:
        return 0
    forced = next((step.number for step in plan.steps if step.is_forced), len(keys) + 1)
    return max((number for number, key in enumerate(keys, 1) if number < forced and layers.has(key)), default=0)


def end_badly(build: Build, message: str, *, step: str) -> None:
    """Write down why a build has failed."""
    build.failure = BuildFailure(message, step)
    build.log.note(message, level=LogLevel.ERROR, step=step)
    build.reach(BuildStatus.ERROR)


def make_directory(parent: Path, name: str) -> Path:
    """Make a directory and return it."""
    directory = parent / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
