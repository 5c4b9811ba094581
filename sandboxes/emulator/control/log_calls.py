"""The calls that read a sandbox's log, in both generations of their form."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from aiohttp import web
from msgspec import Struct

from sandboxes.emulator.clock import from_seconds
from sandboxes.emulator.control.pages import read_number
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox_journal import LEVELS, Journals, LogEntry, LogLevel

ENTRIES_SHOWN_MAX = 1000
MILLISECONDS_MAX = 253_402_300_799_000
"""The end of the year 9999."""


class LogLine(Struct):
    """An entry as a line of text."""

    timestamp: datetime
    line: str


class Logs(Struct, rename="camel"):
    """The log in the first generation's form: every entry twice."""

    logs: list[LogLine]
    log_entries: list[LogEntry]


class LogsPage(Struct):
    """The log in the second generation's form."""

    logs: list[LogEntry]


class LogCalls:
    """Answers the calls about logs."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals

    def routes(self) -> Iterator[Route]:
        """Yield this group's routes."""
        yield Route("GET", "/sandboxes/{sandbox_id}/logs", self.list_from)
        yield Route("GET", "/v2/sandboxes/{sandbox_id}/logs", self.list_page)

    async def list_from(self, call: Call) -> web.Response:
        """Return the entries from a moment on (`start`, ms), the oldest first."""
        entries = self._require(call)
        start = read_number(call.query, "start", default=0, bounds=(0, MILLISECONDS_MAX))
        limit = read_number(call.query, "limit", default=ENTRIES_SHOWN_MAX, bounds=(0, ENTRIES_SHOWN_MAX))
        found = [entry for entry in entries if entry.timestamp >= from_seconds(start / 1000)][:limit]
        return reply(Logs([LogLine(entry.timestamp, format_line(entry)) for entry in found], found))

    async def list_page(self, call: Call) -> web.Response:
        """Return the entries before a moment (`cursor`, ms), the last first, or from it on with `direction=forward`."""
        entries = self._require(call)
        limit = read_number(call.query, "limit", default=ENTRIES_SHOWN_MAX, bounds=(0, ENTRIES_SHOWN_MAX))
        lowest = LEVELS.index(read_level(call.query.get("level", LogLevel.DEBUG)))
        search = call.query.get("search", "")
        found = [entry for entry in entries if LEVELS.index(entry.level) >= lowest and search in entry.message]
        direction = call.query.get("direction", "backward")
        if direction not in ("backward", "forward"):
            raise ApiError(400, f"direction is {direction!r}: it must be backward or forward")
        if direction == "backward":
            found.reverse()
        if "cursor" in call.query:
            cursor = from_seconds(read_number(call.query, "cursor", default=0, bounds=(0, MILLISECONDS_MAX)) / 1000)
            found = [e for e in found if (e.timestamp < cursor if direction == "backward" else e.timestamp >= cursor)]
        return reply(LogsPage(found[:limit]))

    def _require(self, call: Call) -> list[LogEntry]:
        journal = self._journals.find(call.path["sandbox_id"])
        if journal is None:
            raise ApiError(404, f"sandbox {call.path['sandbox_id']!r} has no log: it never was, or ended long ago")
        return list(journal.entries)


def read_level(text: str) -> LogLevel:
    """Return a level. Raises `ApiError` (400)."""
    try:
        return LogLevel(text)
    except ValueError as error:
        raise ApiError(400, f"level is {text!r}: it must be one of {', '.join(LEVELS)}") from error


def format_line(entry: LogEntry) -> str:
    """Return an entry as E2B's daemon writes it: one line of JSON."""
    return msgspec.json.encode({"level": entry.level, "message": entry.message, **entry.fields}).decode()
