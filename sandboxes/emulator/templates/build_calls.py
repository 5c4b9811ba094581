"""The calls that build templates: asking for a build, sending the files it copies, starting it and following it."""

from collections.abc import Iterator

from aiohttp import web
from msgspec import UNSET

from sandboxes.emulator.control.pages import read_number
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.control.sandbox_wishes import require_template
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.snapshots import parse_name
from sandboxes.emulator.templates.build_log import PAGE_ENTRIES_MAX
from sandboxes.emulator.templates.build_steps import read_steps
from sandboxes.emulator.templates.template_builder import BuildPlan, TemplateBuilder
from sandboxes.emulator.templates.template_catalog import TAG_DEFAULT, TemplateCatalog
from sandboxes.emulator.templates.template_descriptions import describe_build
from sandboxes.emulator.templates.template_messages import BuildRequest, BuildStart, FileUpload, RequestedBuild
from sandboxes.emulator.templates.template_records import Build, TemplateRecords, parse_tag

UPLOAD_PATH = "/template-files"
CPU_COUNTS = range(1, 33)
MEMORIES_MB = range(128, 65_537)
BASE_TEMPLATE = "base"


class BuildCalls:
    """Answers the calls about builds."""

    def __init__(self, records: TemplateRecords, builder: TemplateBuilder, *, catalog: TemplateCatalog) -> None:
        self._records = records
        self._builder = builder
        self._catalog = catalog

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield Route("POST", "/v3/templates", self.request_build)
        yield Route("GET", "/templates/{template_id}/files/{files_hash}", self.expect_files)
        yield Route("PUT", f"{UPLOAD_PATH}/{{token}}", self.receive_files, is_open=True)
        yield Route("POST", "/v2/templates/{template_id}/builds/{build_id}", self.start_build)
        yield Route("GET", "/templates/{template_id}/builds/{build_id}/status", self.get_status)

    async def request_build(self, call: Call) -> web.Response:
        """Note that a template is to be built, and give the build its id."""
        wish = await call.decode(BuildRequest)
        name = parse_name(wish.name or wish.alias)
        if wish.cpu_count not in CPU_COUNTS or wish.memory_mb not in MEMORIES_MB or wish.memory_mb % 2:
            raise ApiError(
                400,
                f"{wish.cpu_count} CPUs and {wish.memory_mb} MB cannot be had: ask for {CPU_COUNTS[0]} to "
                f"{CPU_COUNTS[-1]} CPUs, and {MEMORIES_MB[0]} to {MEMORIES_MB[-1]} MB in an even number",
            )
        tags = [*([name.tag] if name.tag else []), *map(parse_tag, wish.tags)] or [TAG_DEFAULT]
        build = self._records.request(name, tags, cpu_count=wish.cpu_count, memory_mb=wish.memory_mb)
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
        offset = read_number(call.query, "logsOffset", default=0, bounds=(0, 2**53))
        limit = read_number(call.query, "limit", default=PAGE_ENTRIES_MAX, bounds=(0, PAGE_ENTRIES_MAX))
        return reply(describe_build(build, build.log.page(offset, limit, level=call.query.get("level"))))

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
