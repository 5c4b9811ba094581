"""The calls that build templates: asking for a build, sending the files it copies, starting it and following it."""

from collections.abc import Iterator

from aiohttp import web
from msgspec import UNSET

from sandboxes.emulator.contracts import BYTES, Contract
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.control.sandbox_wishes import require_template
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.fleet.snapshots import parse_name
from sandboxes.emulator.parameters import ChoiceParameter, NumberParameter
from sandboxes.emulator.templates.build_log import PAGE_ENTRIES_MAX
from sandboxes.emulator.templates.build_steps import read_steps
from sandboxes.emulator.templates.template_builder import BuildPlan, TemplateBuilder
from sandboxes.emulator.templates.template_catalog import TAG_DEFAULT, TemplateCatalog
from sandboxes.emulator.templates.template_descriptions import describe_build
from sandboxes.emulator.templates.template_messages import (
    BuildRequest,
    BuildShown,
    BuildStart,
    FileUpload,
    RequestedBuild,
)
from sandboxes.emulator.templates.template_records import Build, BuildSize, TemplateRecords, parse_tag

UPLOAD_PATH = "/template-files"
BASE_TEMPLATE = "base"

LOGS_OFFSET = NumberParameter(
    name="logsOffset", meaning="How many entries the client has already.", bounds=(0, 2**53), default=0
)
LIMIT = NumberParameter(
    name="limit", meaning="How many entries at most.", bounds=(0, PAGE_ENTRIES_MAX), default=PAGE_ENTRIES_MAX
)
LEVEL = ChoiceParameter(
    name="level",
    meaning="Only entries of this level and those above it.",
    choices=tuple(LogLevel),
    default=LogLevel.DEBUG,
)


class BuildCalls:
    """Answers the calls about builds."""

    def __init__(self, records: TemplateRecords, builder: TemplateBuilder, *, catalog: TemplateCatalog) -> None:
        self._records = records
        self._builder = builder
        self._catalog = catalog

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        requested = Contract(takes=BuildRequest, answers={202: RequestedBuild}, refuses=(403, 404, 409, 429))
        yield Route("POST", "/v3/templates", self.request_build, requested)
        expected = Contract(answers={201: FileUpload}, refuses=(400, 404))
        yield Route("GET", "/templates/{template_id}/files/{files_hash}", self.expect_files, expected)
        received = Contract(takes_media=(BYTES,), answers={200: None}, refuses=(400, 403, 413, 507))
        yield Route("PUT", f"{UPLOAD_PATH}/{{token}}", self.receive_files, received, is_open=True)
        started = Contract(takes=BuildStart, answers={202: None}, refuses=(404, 409, 429))
        yield Route("POST", "/v2/templates/{template_id}/builds/{build_id}", self.start_build, started)
        told = Contract(parameters=(LOGS_OFFSET, LIMIT, LEVEL), answers={200: BuildShown}, refuses=(404,))
        yield Route("GET", "/templates/{template_id}/builds/{build_id}/status", self.get_status, told)

    async def request_build(self, call: Call) -> web.Response:
        """Note that a template is to be built, and give the build its id."""
        wish = await call.decode(BuildRequest)
        name = parse_name(wish.name or wish.alias)
        tags = [*([name.tag] if name.tag else []), *map(parse_tag, wish.tags)] or [TAG_DEFAULT]
        size = BuildSize(cpu_count=wish.cpu_count, memory_mb=wish.memory_mb, free_disk_mb=wish.min_free_disk_mb)
        build = self._records.request(name, tags, size=size)
        names = [name.full]
        requested = RequestedBuild(build.template_id, build.id, False, names, list(build.tags), [name.alias])
        return reply(requested, 202)

    async def expect_files(self, call: Call) -> web.Response:
        """Tell whether an archive is here, and where it may be sent in any case."""
        self._records.require(call.path["template_id"])
        files_hash = call.path["files_hash"]
        token = self._builder.archives.expect(files_hash)
        url = f"{call.request.url.origin()}{UPLOAD_PATH}/{token}"
        return reply(FileUpload(self._builder.archives.find(files_hash) is not None, url), 201)

    async def receive_files(self, call: Call) -> web.Response:
        """Store an archive."""
        await self._builder.archives.receive(call.path["token"], call.request)
        return web.Response()

    async def start_build(self, call: Call) -> web.Response:
        """Begin a build, and answer at once."""
        wish = await call.decode(BuildStart)
        build = self._records.require_build(call.path["template_id"], call.path["build_id"])
        self._builder.start(self._make_plan(wish, build))
        return web.Response(status=202)

    async def get_status(self, call: Call) -> web.Response:
        """Tell how a build stands, and what it has said since."""
        build = self._records.require_build(call.path["template_id"], call.path["build_id"])
        lowest = LogLevel(LEVEL.read(call.query))
        page = build.log.page(LOGS_OFFSET.read(call.query), LIMIT.read(call.query), lowest=lowest)
        return reply(describe_build(build, page))

    def _make_plan(self, wish: BuildStart, build: Build) -> BuildPlan:
        if bool(wish.from_image) == bool(wish.from_template):
            raise ApiError(400, "exactly one of fromImage and fromTemplate must be given: say what to begin from")
        return BuildPlan(
            build=build,
            image=wish.from_image,
            parent=require_template(self._catalog, wish.from_template or BASE_TEMPLATE),
            steps=read_steps(wish.steps),
            is_forced=wish.force,
            has_credentials=wish.from_image_registry is not UNSET,
            start_command=wish.start_cmd,
            ready_command=wish.ready_cmd,
        )
