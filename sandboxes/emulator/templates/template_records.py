"""Templates that clients ask for, their builds and their tags; what is ready is offered by the catalog.

A template has one name and any number of builds. A tag is at one build, and moves to the next one that is built for
it. The catalog knows each tagged build by `name:tag`, and the one at `default` (or else the newest) by id and name.
"""

import enum
import secrets
import shutil
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.snapshots import ID_ALPHABET, ID_LENGTH, NAMESPACE, SnapshotName, parse_name
from sandboxes.emulator.templates.build_log import BuildLog
from sandboxes.emulator.templates.template_catalog import TAG_DEFAULT, Template, TemplateCatalog

BUILDS_KEPT_MAX = 100
"""For each template; of older ones without a tag, nothing is known any more."""


class BuildStatus(enum.StrEnum):
    """How far a build is."""

    WAITING = "waiting"
    BUILDING = "building"
    READY = "ready"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """Why a build ended without a template."""

    message: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSize:
    """The size of the machine that is asked for."""

    cpu_count: int
    memory_mb: int
    free_disk_mb: int = 0
    """How much room is to be left on the disk after the build."""


@dataclass(slots=True, kw_only=True, eq=False)
class Build:
    """One attempt to make a template."""

    id: str
    template_id: str
    tags: Sequence[str]
    """Which tags go to it when it is ready."""
    size: BuildSize
    created_at: datetime
    updated_at: datetime
    status: BuildStatus = BuildStatus.WAITING
    is_started: bool = False
    failure: BuildFailure | None = None
    template: Template | None = None
    """What came out, until no tag is left at it."""
    log: BuildLog = field(default_factory=BuildLog)

    @property
    def is_under_way(self) -> bool:
        """Whether it was started and has not ended."""
        return self.is_started and self.status in (BuildStatus.WAITING, BuildStatus.BUILDING)

    def reach(self, status: BuildStatus) -> None:
        """Go on to another status."""
        self.status = status
        self.updated_at = read_clock()


@dataclass(frozen=True, slots=True)
class Tag:
    """Where a tag is, and since when."""

    build: Build
    assigned_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class TemplateRecord:
    """A template as its owner knows it."""

    id: str
    name: str
    created_at: datetime
    builds: dict[str, Build] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    current: Build | None = None
    """The build that its id and its bare name mean, `None` as long as none was ready."""

    @property
    def updated_at(self) -> datetime:
        """When anything last happened to its builds."""
        return max((build.updated_at for build in self.builds.values()), default=self.created_at)


class TemplateRecords:
    """All templates that were asked for."""

    def __init__(self, catalog: TemplateCatalog) -> None:
        self._catalog = catalog
        self._records: dict[str, TemplateRecord] = {}

    def request(self, name: SnapshotName, tags: Iterable[str], *, size: BuildSize) -> Build:
        """Return a new build of a template, which is new too unless there is one of this name."""
        now = read_clock()
        record = self.find(name.alias)
        if record is None:
            template_id = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
            record = TemplateRecord(id=template_id, name=name.alias, created_at=now)
            self._records[template_id] = record
        build = Build(
            id=str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)),
            template_id=record.id,
            tags=tuple(dict.fromkeys(tags)),
            size=size,
            created_at=now,
            updated_at=now,
        )
        record.builds[build.id] = build
        forget_old_builds(record)
        return build

    def find(self, name_or_id: str) -> TemplateRecord | None:
        """Return a template by its id or its name; a tag behind the name is ignored."""
        name = name_or_id.lower().removeprefix(f"{NAMESPACE}/").partition(":")[0]
        return next((record for record in self.list_all() if name in (record.id, record.name)), None)

    def require(self, name_or_id: str) -> TemplateRecord:
        """Return a template. Raises `ApiError` (404)."""
        record = self.find(name_or_id)
        if record is None:
            raise ApiError(404, f"template {name_or_id!r} not found: list the templates, or build it")
        return record

    def require_build(self, template_id: str, build_id: str) -> Build:
        """Return a build. Raises `ApiError` (404)."""
        build = self.require(template_id).builds.get(build_id)
        if build is None:
            raise ApiError(404, f"build {build_id!r} of template {template_id!r} not found: ask for a new one")
        return build

    def list_all(self) -> list[TemplateRecord]:
        """Return the templates in the order in which they were asked for; deleted ones are forgotten here."""
        for record in list(self._records.values()):
            if record.current is not None and self._catalog.find(record.id) is None:
                del self._records[record.id]
        return list(self._records.values())

    def count_under_way(self) -> int:
        """Return how many builds have been started and not ended."""
        return sum(build.is_under_way for record in self._records.values() for build in record.builds.values())

    async def publish(self, build: Build, template: Template) -> None:
        """Offer what a build made, under the tags that were asked for."""
        record = self._records.get(build.template_id)
        if record is None:
            raise ApiError(404, f"template {build.template_id!r} was deleted while it was built")
        build.template = template
        await self._assign(record, build, tags=build.tags)

    async def assign_tags(self, target: str, tags: Sequence[str]) -> Build:
        """Give the build at `name:tag` further tags. Raises `ApiError` (400, 404)."""
        record = self.require(target)
        wanted = parse_name(target).tag or TAG_DEFAULT
        checked = [parse_tag(tag) for tag in tags]
        if wanted not in record.tags:
            known = ", ".join(sorted(record.tags)) or "none"
            raise ApiError(404, f"template {record.name!r} has no tag {wanted!r}: it has {known}")
        build = record.tags[wanted].build
        await self._assign(record, build, tags=checked)
        return build

    async def remove_tags(self, name: str, tags: Sequence[str]) -> None:
        """Take tags from a template, whose builds go when no tag is left at them. Raises `ApiError` (404)."""
        record = self.require(name)
        for tag in tags:
            if tag not in record.tags:
                raise ApiError(404, f"template {record.name!r} has no tag {tag!r}: get its tags")
        for tag in tags:
            record.tags.pop(tag, None)
        if record.current is not None:
            await self._offer(record)

    async def _assign(self, record: TemplateRecord, build: Build, *, tags: Iterable[str]) -> None:
        now = read_clock()
        for tag in tags:
            record.tags[tag] = Tag(build, now)
        by_default = record.tags.get(TAG_DEFAULT)
        record.current = build if by_default is None else by_default.build
        await self._offer(record)

    async def _offer(self, record: TemplateRecord) -> None:
        """Make the catalog say what the record says, and remove the trees that nothing leads to any more."""
        assert record.current is not None, "something was ready before"
        assert record.current.template is not None, "what is current is kept"
        self._catalog.remove(record.current.template)
        builds = {tag: place.build for tag, place in record.tags.items()}
        for tag, build in builds.items():
            if build.template is not None:
                self._catalog.add(build.template, names=(f"{record.name}:{tag}", f"{NAMESPACE}/{record.name}:{tag}"))
        self._catalog.add(record.current.template, names=(f"{NAMESPACE}/{record.name}",))
        for build in list(record.builds.values()):
            if build.template is not None and build is not record.current and build not in builds.values():
                unreachable, build.template = build.template, None
                await remove_tree(unreachable)


def parse_tag(tag: str) -> str:
    """Return a tag. Raises `ApiError` (400) for a malformed one."""
    parsed = parse_name(f"any:{tag}").tag
    assert parsed is not None, "the pattern has a tag"
    return parsed


def forget_old_builds(record: TemplateRecord) -> None:
    """Forget the oldest builds beyond a number of them that have ended without a tag left."""
    ended = [b for b in record.builds.values() if b.template is None and not b.is_under_way]
    for build in ended[: max(0, len(record.builds) - BUILDS_KEPT_MAX)]:
        del record.builds[build.id]


async def remove_tree(template: Template) -> None:
    """Remove the files of a template that nobody can find any more."""
    if template.root is not None:
        await anyio.to_thread.run_sync(shutil.rmtree, template.root, True)
