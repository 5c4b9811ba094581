"""The bodies of the calls about templates, their builds, files and tags, as E2B's REST API spells them."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.templates.template_catalog import CPU_COUNT_DEFAULT, MEMORY_DEFAULT_MB
from sandboxes.emulator.templates.template_records import BuildStatus

CPU_COUNT_MAX = 32
MEMORY_MIN_MB = 128
MEMORY_MAX_MB = 65_536
DISK_MAX_MB = 1024 * 1024


class BuildRequest(Struct, rename="camel"):
    """Ask for a template, new or by the name it has already, and for a build of it."""

    name: str = ""
    alias: str = ""
    """What the name was called before."""
    tags: list[str] = []
    cpu_count: Annotated[int, Meta(ge=1, le=CPU_COUNT_MAX)] = CPU_COUNT_DEFAULT
    memory_mb: Annotated[int, Meta(ge=MEMORY_MIN_MB, le=MEMORY_MAX_MB, multiple_of=2)] = msgspec.field(
        name="memoryMB", default=MEMORY_DEFAULT_MB
    )
    min_free_disk_mb: Annotated[int, Meta(ge=0, le=DISK_MAX_MB)] = 0
    """How much room is to be left after the build: the disk that is shown is made as large as that, never smaller."""


class RequestedBuild(Struct):
    """The reply to `BuildRequest`."""

    template: str = msgspec.field(name="templateID")
    build: str = msgspec.field(name="buildID")
    public: bool
    names: list[str]
    tags: list[str]
    aliases: list[str]


class StepMessage(Struct, rename="camel"):
    """One instruction of a build, as its client wrote it."""

    type: str
    args: list[str] = []
    files_hash: str | None = None
    force: bool | None = None


class BuildStart(Struct, rename="camel"):
    """Everything that a build is to do."""

    from_image: str = ""
    from_template: str = ""
    from_image_registry: Annotated[
        msgspec.Raw | UnsetType, Meta(description="Credentials of a registry; a build that needs them fails.")
    ] = UNSET
    force: bool = False
    steps: list[StepMessage] = []
    start_cmd: str = ""
    ready_cmd: str = ""


class FileUpload(Struct, omit_defaults=True):
    """Whether an archive is here already, and where it may be sent."""

    present: bool
    url: str | UnsetType = UNSET


class LogEntryShown(Struct, omit_defaults=True):
    """A line of a build's log."""

    timestamp: datetime
    message: str
    level: LogLevel
    step: str | UnsetType = UNSET


class ReasonShown(Struct, rename="camel", omit_defaults=True):
    """Why a build failed."""

    message: str
    step: str | UnsetType = UNSET
    log_entries: list[LogEntryShown] = []


class BuildShown(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """How a build stands, and a part of its log."""

    template: str = msgspec.field(name="templateID")
    build: str = msgspec.field(name="buildID")
    status: BuildStatus
    logs: list[str]
    """Always empty, as at E2B since its first kind of builds is gone."""
    log_entries: list[LogEntryShown]
    reason: ReasonShown | UnsetType = UNSET


class BuildListed(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A build among those of its template."""

    build: str = msgspec.field(name="buildID")
    status: BuildStatus
    created_at: datetime
    updated_at: datetime
    cpu_count: int
    memory_mb: int = msgspec.field(name="memoryMB")


class TemplateListed(Struct, rename="camel", kw_only=True):
    """A row of the list of templates."""

    template: str = msgspec.field(name="templateID")
    build: str = msgspec.field(name="buildID")
    cpu_count: int
    memory_mb: int = msgspec.field(name="memoryMB")
    disk_size_mb: int = msgspec.field(name="diskSizeMB")
    public: bool
    aliases: list[str]
    names: list[str]
    created_at: datetime
    updated_at: datetime
    created_by: None = None
    last_spawned_at: None = None
    spawn_count: int = 0
    build_count: int
    envd_version: str
    build_status: BuildStatus


class TemplateShown(TemplateListed, rename="camel", kw_only=True):
    """A template and its builds."""

    builds: list[BuildListed]


class AliasShown(Struct):
    """Whose name it is."""

    template: str = msgspec.field(name="templateID")
    public: bool


class TemplateUpdate(Struct):
    """The body of an update; there is one account here, so that public or not is the same."""

    public: bool = False


class NamesShown(Struct):
    """The reply to `TemplateUpdate`."""

    names: list[str]


class TagsWish(Struct):
    """Give a build, found by `name:tag`, further tags."""

    target: str
    tags: list[str]


class TagsRefusal(Struct):
    """Take tags away from a template."""

    name: str
    tags: list[str]


class TagsAssigned(Struct):
    """The reply to `TagsWish`."""

    tags: list[str]
    build: str = msgspec.field(name="buildID")


class TagShown(Struct):
    """A tag, and the build it is at."""

    tag: str
    build: str = msgspec.field(name="buildID")
    created_at: datetime = msgspec.field(name="createdAt")
