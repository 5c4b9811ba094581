"""What the control plane tells about templates and their builds."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from sandboxes.emulator.control.sandbox_descriptions import ENVD_VERSION
from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.fleet.snapshots import parse_name
from sandboxes.emulator.templates.build_log import BuildLogEntry
from sandboxes.emulator.templates.template_catalog import DISK_DEFAULT_MB
from sandboxes.emulator.templates.template_messages import (
    BuildListed,
    BuildShown,
    LogEntryShown,
    ReasonShown,
    TemplateListed,
    TemplateShown,
)
from sandboxes.emulator.templates.template_records import Build, TemplateRecord


def describe_build(build: Build, entries: Iterable[BuildLogEntry]) -> BuildShown:
    """Return how a build stands, with a part of its log."""
    shown = BuildShown(
        template=build.template_id,
        build=build.id,
        status=build.status,
        logs=[],
        log_entries=[describe_entry(entry) for entry in entries],
    )
    if build.failure is not None:
        step = build.failure.step
        errors = [e for e in build.log.entries if e.step == step and e.level is LogLevel.ERROR]
        shown.reason = ReasonShown(build.failure.message, step, [describe_entry(entry) for entry in errors])
    return shown


def describe_entry(entry: BuildLogEntry) -> LogEntryShown:
    """Return a line of a log."""
    return LogEntryShown(entry.timestamp, entry.message, entry.level, UNSET if entry.step is None else entry.step)


def list_template(record: TemplateRecord) -> TemplateListed:
    """Return a row of the list."""
    newest = list(record.builds.values())[-1]
    build = record.current or newest
    return TemplateListed(
        template=record.id,
        build=build.id,
        cpu_count=build.size.cpu_count,
        memory_mb=build.size.memory_mb,
        disk_size_mb=DISK_DEFAULT_MB if build.template is None else build.template.disk_mb,
        public=False,
        aliases=[record.name],
        names=[parse_name(record.name).full],
        created_at=record.created_at,
        updated_at=record.updated_at,
        build_count=len(record.builds),
        envd_version=ENVD_VERSION,
        build_status=newest.status,
    )


def describe_template(record: TemplateRecord) -> TemplateShown:
    """Return a template with its builds, the newest first."""
    builds = [
        BuildListed(
            build=build.id,
            status=build.status,
            created_at=build.created_at,
            updated_at=build.updated_at,
            cpu_count=build.size.cpu_count,
            memory_mb=build.size.memory_mb,
        )
        for build in reversed(record.builds.values())
    ]
    return TemplateShown(**msgspec.structs.asdict(list_template(record)), builds=builds)
