"""The calls that pause sandboxes, wake them, and change the network settings of running ones."""

from collections.abc import Iterator
from dataclasses import replace

from aiohttp import web
from msgspec import UNSET

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.control_messages import ConnectWish, CreatedSandbox, PauseWish, ResumeWish
from sandboxes.emulator.control.routes import Call, Route, both_versions, reply, reply_nothing
from sandboxes.emulator.control.sandbox_descriptions import describe_created
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.egress_rules import make_rules
from sandboxes.emulator.fleet.lifecycle import SandboxLifecycle
from sandboxes.emulator.fleet.lifecycle_events import EventType, LifecycleEvents
from sandboxes.emulator.fleet.network_policy import NetworkPolicy
from sandboxes.emulator.fleet.network_settings import NetworkUpdate, check_egress, replace_egress
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import LifecyclePolicy, PauseMode


class LifecycleCalls:
    """Answers the calls that change what a living sandbox does."""

    def __init__(
        self,
        registry: SandboxRegistry,
        lifecycle: SandboxLifecycle,
        *,
        policy: NetworkPolicy,
        events: LifecycleEvents,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._policy = policy
        self._events = events

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        one = "/sandboxes/{sandbox_id}"
        paused = Contract(takes=PauseWish, answers={204: None}, refuses=(404, 409, 503))
        yield Route("POST", f"{one}/pause", self.pause, paused)
        connected = Contract(
            takes=ConnectWish, answers={200: CreatedSandbox, 201: CreatedSandbox}, refuses=(404, 429, 503)
        )
        yield from both_versions(Route("POST", f"{one}/connect", self.connect, connected))
        resumed = Contract(takes=ResumeWish, answers={201: CreatedSandbox}, refuses=(404, 409, 429, 503))
        yield Route("POST", f"{one}/resume", self.resume, resumed)
        updated = Contract(takes=NetworkUpdate, answers={204: None}, refuses=(404, 501))
        yield Route("PUT", f"{one}/network", self.update_network, updated)

    async def pause(self, call: Call) -> web.Response:
        """Pause a running sandbox (204), unless it is paused already (409)."""
        wish = await call.decode(PauseWish)
        sandbox = self._registry.require(call.path["sandbox_id"])
        await self._lifecycle.pause(sandbox, PauseMode.FULL if wish.memory else PauseMode.FILESYSTEM)
        return reply_nothing()

    async def connect(self, call: Call) -> web.Response:
        """Give a client access to a sandbox: wake a paused one (201), move the end of a running one later (200)."""
        wish = await call.decode(ConnectWish)
        timeout_s = wish.timeout
        sandbox = self._registry.require(call.path["sandbox_id"])
        if await self._lifecycle.resume(sandbox, timeout_s, reboots=not wish.memory):
            return reply(describe_created(sandbox), 201)
        self._registry.require_living(sandbox)
        self._lifecycle.renew(sandbox, timeout_s, only_later=True)
        return reply(describe_created(sandbox))

    async def resume(self, call: Call) -> web.Response:
        """Wake a paused sandbox (201), as the SDK's earlier versions did; a running one is a conflict (409)."""
        wish = await call.decode(ResumeWish)
        timeout_s = wish.timeout
        sandbox = self._registry.require(call.path["sandbox_id"])
        if not await self._lifecycle.resume(sandbox, timeout_s, reboots=not wish.memory):
            raise ApiError(409, f"sandbox {sandbox.id!r} is already running: use connect for either state")
        if wish.auto_pause is not UNSET:
            mode = sandbox.spec.lifecycle.pause_on_timeout or PauseMode.FULL
            policy = replace(sandbox.spec.lifecycle, pause_on_timeout=mode) if wish.auto_pause else LifecyclePolicy()
            sandbox.spec = replace(sandbox.spec, lifecycle=policy)
        return reply(describe_created(sandbox), 201)

    async def update_network(self, call: Call) -> web.Response:
        """Replace a running sandbox's settings for traffic out."""
        update = await call.decode(NetworkUpdate)
        sandbox = self._registry.require_running(call.path["sandbox_id"])
        check_egress(update)
        allows_internet = None if update.allow_internet_access is UNSET else update.allow_internet_access
        self._policy.admit(update, allows_internet=allows_internet, sandbox=sandbox)
        network = replace_egress(sandbox.spec.network, update)
        sandbox.spec = replace(sandbox.spec, network=network, allows_internet=allows_internet)
        sandbox.processes.launcher.namespaces.set_rules(make_rules(network, allows_internet=allows_internet))
        self._policy.warn(sandbox.id)
        self._events.tell(
            EventType.UPDATED,
            sandbox,
            network_egress={"allowed": network.allow_out or [], "denied": network.deny_out or []},
        )
        return reply_nothing()
