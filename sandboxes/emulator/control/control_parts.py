"""What the control plane is made of, and how the parts know each other: the composition root of this half."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.control.control_plane import ControlPlane
from sandboxes.emulator.control.event_calls import EventCalls
from sandboxes.emulator.control.lifecycle_calls import LifecycleCalls
from sandboxes.emulator.control.limits import Tier
from sandboxes.emulator.control.log_calls import LogCalls
from sandboxes.emulator.control.metric_calls import MetricCalls
from sandboxes.emulator.control.routes import Route
from sandboxes.emulator.control.sandbox_calls import SandboxCalls
from sandboxes.emulator.control.snapshot_calls import SnapshotCalls
from sandboxes.emulator.control.webhooks import ANSWER_TIMEOUT_S, Webhooks
from sandboxes.emulator.faults.fault_calls import FaultCalls
from sandboxes.emulator.faults.plan import FaultPlan
from sandboxes.emulator.fleet.egress_rules import EgressMeans
from sandboxes.emulator.fleet.lifecycle import SandboxLifecycle
from sandboxes.emulator.fleet.lifecycle_events import LifecycleEvents
from sandboxes.emulator.fleet.network_policy import NetworkPolicy
from sandboxes.emulator.fleet.reaper import Reaper
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox_factory import SandboxFactory
from sandboxes.emulator.fleet.sandbox_journal import Journals
from sandboxes.emulator.fleet.snapshots import Snapshots
from sandboxes.emulator.fleet.usage_sampler import MetricsSampler
from sandboxes.emulator.fleet.waking import Waking
from sandboxes.emulator.isolation.enclosures import EnclosureMaker
from sandboxes.emulator.processes.warm_start import WarmProcess
from sandboxes.emulator.templates.build_calls import BuildCalls
from sandboxes.emulator.templates.template_builder import Rooms, TemplateBuilder
from sandboxes.emulator.templates.template_calls import TemplateCalls
from sandboxes.emulator.templates.template_catalog import TemplateCatalog
from sandboxes.emulator.templates.template_records import TemplateRecords

TEMPLATES_DIRECTORY = "templates"
"""Where below the data directory the files of snapshots and builds lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """What the control plane may do."""

    api_key: str
    sandboxes_max: int
    tier: Tier
    faults: FaultPlan
    is_network_strict: bool
    """Whether network settings that this machine does not enforce are refused."""
    reaches_beyond_loopback: bool
    """Whether webhooks may lead to other machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlParts:
    """The parts, made in the order in which they need each other."""

    registry: SandboxRegistry
    lifecycle: SandboxLifecycle
    control_plane: ControlPlane
    waking: Waking
    policy: NetworkPolicy
    forget_answers: Callable[[], None]
    """Lets idempotency keys be used anew."""


class ControlAssembly:
    """Makes the parts; each group of calls is added in `routes`."""

    def __init__(
        self,
        data_dir: Path,
        settings: ControlSettings,
        *,
        tasks: TaskGroup,
        warm: Mapping[str, WarmProcess],
        enclosures: EnclosureMaker | None,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._journals = Journals()
        self._events = LifecycleEvents()
        self._catalog = TemplateCatalog()
        self._registry = SandboxRegistry(sandboxes_max=settings.sandboxes_max, tier=settings.tier)
        self._policy = NetworkPolicy(
            self._registry,
            is_strict=settings.is_network_strict,
            means=EgressMeans() if enclosures is None else enclosures.means,
        )
        factory = SandboxFactory(data_dir, tasks=tasks, journals=self._journals, warm=warm, enclosures=enclosures)
        self._lifecycle = SandboxLifecycle(self._registry, factory, events=self._events, tasks=tasks)
        self._sandbox_calls = SandboxCalls(
            self._registry, self._lifecycle, catalog=self._catalog, policy=self._policy, tasks=tasks
        )
        self._records = TemplateRecords(self._catalog)
        self._rooms = Rooms(factory, Reaper(self._registry, factory, tasks=tasks))
        self._builds_directory = data_dir / TEMPLATES_DIRECTORY / "builds"
        self._snapshots = Snapshots(
            data_dir / TEMPLATES_DIRECTORY, registry=self._registry, catalog=self._catalog, events=self._events
        )

    def build(self, http: aiohttp.ClientSession, background: TaskGroup) -> ControlParts:
        """Return the parts. What they do on their own runs in `background` and stops with it."""
        webhooks = Webhooks(http, tasks=background, reaches_beyond_loopback=self._settings.reaches_beyond_loopback)
        self._events.listen(webhooks.offer)
        sampler = MetricsSampler(self._registry, tasks=background)
        builder = TemplateBuilder(self._builds_directory, self._records, rooms=self._rooms, tasks=background)
        return ControlParts(
            registry=self._registry,
            lifecycle=self._lifecycle,
            control_plane=ControlPlane(self.routes(webhooks, sampler, builder=builder), api_key=self._settings.api_key),
            waking=Waking(self._lifecycle),
            policy=self._policy,
            forget_answers=self._sandbox_calls.forget_answers,
        )

    def routes(self, webhooks: Webhooks, sampler: MetricsSampler, *, builder: TemplateBuilder) -> Iterator[Route]:
        """Yield the routes of all groups; the first that fits is taken."""
        registry, lifecycle, catalog, policy = self._registry, self._lifecycle, self._catalog, self._policy
        yield from MetricCalls(registry, sampler).routes()
        yield from self._sandbox_calls.routes()
        yield from LifecycleCalls(registry, lifecycle, policy=policy, events=self._events).routes()
        yield from BuildCalls(self._records, builder, catalog=catalog).routes()
        yield from TemplateCalls(self._records, catalog=catalog).routes()
        yield from SnapshotCalls(
            registry, lifecycle, snapshots=self._snapshots, catalog=catalog, tasks=self._tasks
        ).routes()
        yield from LogCalls(self._journals).routes()
        yield from EventCalls(self._events, webhooks).routes()
        yield from FaultCalls(self._settings.faults).routes()


@asynccontextmanager
async def open_control_parts(
    data_dir: Path,
    settings: ControlSettings,
    *,
    tasks: TaskGroup,
    warm: Mapping[str, WarmProcess],
    enclosures: EnclosureMaker | None = None,
) -> AsyncIterator[ControlParts]:
    """Make the control plane, and at the end stop what it does on its own and remove its files."""
    assembly = ControlAssembly(data_dir, settings, tasks=tasks, warm=warm, enclosures=enclosures)
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
    try:
        async with anyio.create_task_group() as background:
            yield assembly.build(http, background)
            # A cancelled server ends in order, too: a second cancellation on top of its own would get in the way.
            background.cancel_scope.shield = True
            background.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await http.close()
        shutil.rmtree(data_dir / TEMPLATES_DIRECTORY, ignore_errors=True)
