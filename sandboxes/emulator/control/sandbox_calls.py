"""The calls that make, list, renew and kill sandboxes. Both generations of paths are served."""

from collections.abc import Iterator
from dataclasses import replace

import anyio
import msgspec
from aiohttp import web
from anyio.abc import TaskGroup

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.control_messages import (
    CreatedSandbox,
    ListedSandbox,
    NewSandbox,
    RefreshWish,
    SandboxDetail,
    TimeoutWish,
)
from sandboxes.emulator.control.idempotency import IDEMPOTENCY_KEY, IdempotentAnswers
from sandboxes.emulator.control.listing import LIST_PARAMETERS, parse_query, select_page
from sandboxes.emulator.control.routes import NEXT_PAGE, Call, Route, both_versions, reply, reply_nothing
from sandboxes.emulator.control.sandbox_descriptions import describe_created, describe_detail, describe_listed
from sandboxes.emulator.control.sandbox_wishes import make_spec, require_template
from sandboxes.emulator.control.server_tasks import run_to_completion
from sandboxes.emulator.fleet.lifecycle import SandboxLifecycle
from sandboxes.emulator.fleet.network_policy import NetworkPolicy
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import SandboxSpec, SandboxState
from sandboxes.emulator.fleet.start_command import run_start_command
from sandboxes.emulator.templates.template_catalog import TemplateCatalog

CREATE = Contract(
    takes=NewSandbox,
    parameters=(IDEMPOTENCY_KEY,),
    answers={201: CreatedSandbox},
    refuses=(404, 409, 429, 501, 503),
)
LIST = Contract(parameters=LIST_PARAMETERS, answers={200: list[ListedSandbox]})


class SandboxCalls:
    """Answers the calls about single sandboxes and their list."""

    def __init__(
        self,
        registry: SandboxRegistry,
        lifecycle: SandboxLifecycle,
        *,
        catalog: TemplateCatalog,
        policy: NetworkPolicy,
        tasks: TaskGroup,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._catalog = catalog
        self._policy = policy
        self._tasks = tasks
        self._answers = IdempotentAnswers()

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield from both_versions(Route("POST", "/sandboxes", self.create, CREATE))
        yield Route("GET", "/sandboxes", self.list_running, LIST)
        yield Route("GET", "/v2/sandboxes", self.list_all, replace(LIST, answer_headers=NEXT_PAGE))
        one = "/sandboxes/{sandbox_id}"
        yield from both_versions(Route("GET", one, self.get, Contract(answers={200: SandboxDetail}, refuses=(404,))))
        yield from both_versions(Route("DELETE", one, self.kill, Contract(answers={204: None}, refuses=(404,))))
        renewed = Contract(takes=TimeoutWish, answers={204: None}, refuses=(404,))
        yield from both_versions(Route("POST", f"{one}/timeout", self.set_timeout, renewed))
        yield Route("POST", f"{one}/refreshes", self.refresh, replace(renewed, takes=RefreshWish))

    async def create(self, call: Call) -> web.Response:
        """Make a sandbox, or repeat the answer to the same call."""
        wish = await call.decode(NewSandbox)
        key = IDEMPOTENCY_KEY.find(call.request.headers)

        async def make() -> bytes:
            spec = make_spec(wish, require_template(self._catalog, wish.template))
            return msgspec.json.encode(await self._make(spec))

        async def make_once() -> bytes:
            return await make() if key is None else await self._answers.answer_once(key, wish, make=make)

        answer = await run_to_completion(self._tasks, make_once)
        return web.Response(status=201, body=answer, content_type="application/json")

    async def list_all(self, call: Call) -> web.Response:
        """List the sandboxes that match, a page at a time."""
        page = select_page(self._registry.list_living(), parse_query(call.query))
        response = reply([describe_listed(sandbox) for sandbox in page.sandboxes])
        if page.next_token is not None:
            response.headers["X-Next-Token"] = page.next_token
        return response

    async def list_running(self, call: Call) -> web.Response:
        """List as the first generation of the API did: running sandboxes only."""
        query = parse_query(call.query, states=frozenset({SandboxState.RUNNING}))
        return reply([describe_listed(s) for s in select_page(self._registry.list_living(), query).sandboxes])

    async def get(self, call: Call) -> web.Response:
        """Describe one sandbox."""
        return reply(describe_detail(self._registry.require(call.path["sandbox_id"])))

    async def kill(self, call: Call) -> web.Response:
        """Kill a sandbox, and answer when nothing is left of it."""
        await self._lifecycle.kill(self._registry.require(call.path["sandbox_id"]))
        return reply_nothing()

    async def set_timeout(self, call: Call) -> web.Response:
        """Let a running sandbox end at another time, sooner or later."""
        wish = await call.decode(TimeoutWish)
        sandbox = self._registry.require_running(call.path["sandbox_id"])
        self._lifecycle.renew(sandbox, wish.timeout)
        return reply_nothing()

    async def refresh(self, call: Call) -> web.Response:
        """Let a running sandbox live for at least a while longer, as the SDK's first generation did."""
        wish = await call.decode(RefreshWish)
        sandbox = self._registry.require_running(call.path["sandbox_id"])
        self._lifecycle.renew(sandbox, wish.duration, only_later=True)
        return reply_nothing()

    def forget_answers(self) -> None:
        """Let idempotency keys be used anew."""
        self._answers = IdempotentAnswers()

    async def _make(self, spec: SandboxSpec) -> msgspec.Struct:
        self._policy.admit(spec.network, allows_internet=spec.allows_internet)
        self._registry.creations.take(anyio.current_time())
        sandbox = await self._lifecycle.create(spec)
        self._policy.warn(sandbox.id)
        await run_start_command(sandbox)
        return describe_created(sandbox)
