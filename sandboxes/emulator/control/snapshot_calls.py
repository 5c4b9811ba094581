"""The calls that copy sandboxes: snapshots, forks, and the removal of what sandboxes are made from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import anyio
from aiohttp import web
from anyio.abc import TaskGroup

from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.control_messages import ForkError, ForkResult, ForkWish, SnapshotShown, SnapshotWish
from sandboxes.emulator.control.routes import NEXT_PAGE, Call, Route, reply, reply_nothing
from sandboxes.emulator.control.sandbox_descriptions import describe_created
from sandboxes.emulator.control.server_tasks import run_to_completion
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.lifecycle import SandboxLifecycle
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import PauseMode, Sandbox, SandboxSpec
from sandboxes.emulator.fleet.snapshots import Snapshot, SnapshotName, Snapshots, parse_name
from sandboxes.emulator.fleet.start_command import run_start_command
from sandboxes.emulator.parameters import NumberParameter, TextParameter
from sandboxes.emulator.templates.template_catalog import TemplateCatalog

PAGE_SIZE_MAX = 100
SEQUENCE_MAX = 2**53

SANDBOX_ID = TextParameter(name="sandboxID", meaning="Only snapshots of this sandbox.")
NAME = TextParameter(name="name", meaning="Only snapshots of this name; without a tag, of all its tags.")
LIMIT = NumberParameter(
    name="limit", meaning="How many rows at most.", bounds=(1, PAGE_SIZE_MAX), default=PAGE_SIZE_MAX
)
NEXT_TOKEN = NumberParameter(
    name="nextToken", meaning="The X-Next-Token that came with the page before.", bounds=(0, SEQUENCE_MAX)
)


class SnapshotCalls:
    """Answers the calls about copies."""

    def __init__(
        self,
        registry: SandboxRegistry,
        lifecycle: SandboxLifecycle,
        *,
        snapshots: Snapshots,
        catalog: TemplateCatalog,
        tasks: TaskGroup,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._snapshots = snapshots
        self._catalog = catalog
        self._tasks = tasks

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        taken = Contract(takes=SnapshotWish, answers={201: SnapshotShown}, refuses=(404, 503))
        yield Route("POST", "/sandboxes/{sandbox_id}/snapshots", self.take, taken)
        forked = Contract(takes=ForkWish, answers={201: list[ForkResult]}, refuses=(404, 409, 503))
        yield Route("POST", "/sandboxes/{sandbox_id}/fork", self.fork, forked)
        listed = Contract(
            parameters=(SANDBOX_ID, NAME, LIMIT, NEXT_TOKEN),
            answers={200: list[SnapshotShown]},
            answer_headers=NEXT_PAGE,
        )
        yield Route("GET", "/snapshots", self.list, listed)
        deleted = Contract(answers={204: None}, refuses=(403, 404, 503))
        yield Route("DELETE", "/templates/{template_id}", self.delete, deleted)

    async def take(self, call: Call) -> web.Response:
        """Take a snapshot of a running sandbox."""
        wish = await call.decode(SnapshotWish)
        name = parse_name(wish.name) if wish.name else None
        mode = PauseMode.FULL if wish.memory else PauseMode.FILESYSTEM
        sandbox = self._registry.require_running(call.path["sandbox_id"])
        snapshot = await run_to_completion(self._tasks, lambda: self._snapshots.take(sandbox, name=name, mode=mode))
        return reply(SnapshotShown(snapshot_id=snapshot.id, names=snapshot.names), 201)

    async def list(self, call: Call) -> web.Response:
        """List the snapshots that match, the last one first, a page at a time."""
        limit = LIMIT.read(call.query)
        before = NEXT_TOKEN.find(call.query)
        name = NAME.find(call.query)
        wanted_name = None if name is None else parse_name(name)
        wanted_sandbox = SANDBOX_ID.find(call.query)
        found = [
            snapshot
            for snapshot in self._snapshots.list_all()
            if (before is None or snapshot.sequence < before)
            and (wanted_sandbox is None or snapshot.sandbox_id == wanted_sandbox)
            and (wanted_name is None or fits(snapshot, wanted_name))
        ]
        page: list[Snapshot] = found[:limit]
        response = reply([SnapshotShown(snapshot_id=snapshot.id, names=snapshot.names) for snapshot in page])
        if len(found) > len(page):
            response.headers["X-Next-Token"] = str(page[-1].sequence)
        return response

    async def delete(self, call: Call) -> web.Response:
        """Remove a snapshot or a built template; sandboxes made from it live on."""
        template = self._catalog.find(call.path["template_id"])
        if template is None:
            raise ApiError(404, f"template {call.path['template_id']!r} not found: list the snapshots or templates")
        if template.is_built_in:
            raise ApiError(403, f"template {template.id!r} is built in and cannot be removed")
        await run_to_completion(self._tasks, lambda: self._snapshots.delete(template))
        return reply_nothing()

    async def fork(self, call: Call) -> web.Response:
        """Make copies of a running sandbox, each of which succeeds or fails on its own."""
        wish = await call.decode(ForkWish)
        if wish.count >= self._registry.sandboxes_max:
            limit = self._registry.sandboxes_max
            raise ApiError(400, f"count must be lower than the maximum number of concurrent sandboxes ({limit})")
        sandbox = self._registry.require(call.path["sandbox_id"])
        if sandbox.is_paused:
            raise ApiError(409, f"sandbox {sandbox.id!r} is paused and cannot be forked: connect to it to resume it")
        results = await run_to_completion(self._tasks, lambda: self._fork(sandbox, wish.timeout, count=wish.count))
        return reply(results, 201)

    async def _fork(self, sandbox: Sandbox, timeout_s: float, *, count: int) -> Sequence[ForkResult]:
        results = [ForkResult() for _ in range(count)]

        async def make(index: int, spec: SandboxSpec) -> None:
            try:
                made = await self._lifecycle.create(spec)
            except ApiError as refusal:
                results[index] = ForkResult(error=ForkError(refusal.status, str(refusal)))
                return
            await run_start_command(made)
            results[index] = ForkResult(sandbox=describe_created(made))

        async with self._snapshots.copied(sandbox) as tree, anyio.create_task_group() as forks:
            for index in range(count):
                forks.start_soon(make, index, replace(sandbox.spec, timeout_s=timeout_s, tree=tree))
        return results


def fits(snapshot: Snapshot, wanted: SnapshotName) -> bool:
    """Whether a snapshot has the name asked for; a name without a tag fits all tags."""
    if snapshot.name is None:
        return False
    return snapshot.name.full == wanted.full if wanted.tag is None else snapshot.name.tagged == wanted.tagged
