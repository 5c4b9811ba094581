"""The calls that read what sandboxes use."""

from collections.abc import Iterator
from datetime import datetime

from aiohttp import web
from msgspec import Struct

from sandboxes.emulator.clock import from_seconds
from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.registry import SandboxRegistry
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.fleet.usage_sampler import MetricsSampler, Sample
from sandboxes.emulator.parameters import ListParameter, NumberParameter

SANDBOXES_ASKED_MAX = 100
SECONDS_MAX = 253_402_300_799
"""The end of the year 9999."""
MEBIBYTE = 1024 * 1024

START = NumberParameter(name="start", meaning="From this second since 1970 on.", bounds=(0, SECONDS_MAX), default=0)
END = NumberParameter(name="end", meaning="Up to this second since 1970.", bounds=(0, SECONDS_MAX), default=SECONDS_MAX)
SANDBOX_IDS = ListParameter(
    name="sandbox_ids", meaning="Whose measurements.", length_max=SANDBOXES_ASKED_MAX, is_required=True
)


class Metric(Struct, rename="camel"):
    """One measurement; sizes in bytes."""

    timestamp: datetime
    timestamp_unix: int
    cpu_count: int
    cpu_used_pct: float
    mem_used: int
    mem_total: int
    mem_cache: int
    disk_used: int
    disk_total: int


class MetricsOfMany(Struct):
    """The last measurement of several sandboxes."""

    sandboxes: dict[str, Metric]


class MetricCalls:
    """Answers the calls about metrics."""

    def __init__(self, registry: SandboxRegistry, sampler: MetricsSampler) -> None:
        self._registry = registry
        self._sampler = sampler

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes; the first one must be tried before that of a single sandbox."""
        many = Contract(parameters=(SANDBOX_IDS,), answers={200: MetricsOfMany})
        yield Route("GET", "/sandboxes/metrics", self.list_many, many)
        one = Contract(parameters=(START, END), answers={200: list[Metric]}, refuses=(404,))
        yield Route("GET", "/sandboxes/{sandbox_id}/metrics", self.list_one, one)

    async def list_one(self, call: Call) -> web.Response:
        """Return a sandbox's measurements between two moments (`start`, `end`, in seconds), the oldest first."""
        sandbox = self._registry.require(call.path["sandbox_id"])
        start, end = START.read(call.query), END.read(call.query)
        if start > end:
            raise ApiError(400, f"start is {start} and end {end}: start must not be after end")
        samples = (await self._sampler.read([sandbox])).get(sandbox.id, [])
        # Clients cut both to whole seconds, and the end of a second belongs to it.
        shown = [describe(sandbox, sample) for sample in samples]
        return reply([m for m in shown if from_seconds(start) <= m.timestamp and m.timestamp.timestamp() < end + 1])

    async def list_many(self, call: Call) -> web.Response:
        """Return the last measurement of several sandboxes; those that do not live are left out."""
        ids = SANDBOX_IDS.read(call.query)
        found = [sandbox for sandbox in map(self._registry.find, dict.fromkeys(ids)) if sandbox is not None]
        samples = await self._sampler.read(found)
        described = {s.id: describe(s, samples[s.id][-1]) for s in found if samples.get(s.id)}
        return reply(MetricsOfMany(described))


def describe(sandbox: Sandbox, sample: Sample) -> Metric:
    """Return a measurement as it is shown."""
    template = sandbox.spec.template
    at = sample.usage.at + sandbox.api_clock_offset
    return Metric(
        timestamp=at,
        timestamp_unix=int(at.timestamp()),
        cpu_count=template.cpu_count,
        cpu_used_pct=sample.cpu_used_pct,
        mem_used=sample.usage.memory_bytes,
        mem_total=template.memory_mb * MEBIBYTE,
        mem_cache=sample.usage.cache_bytes,
        disk_used=sample.usage.disk_bytes,
        disk_total=template.disk_mb * MEBIBYTE,
    )
