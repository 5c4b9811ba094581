"""The calls that read a sandbox's log, in both generations of their form."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from aiohttp import web
from msgspec import Struct

from sandboxes.emulator.clock import from_seconds
from sandboxes.emulator.contracts import Contract
from sandboxes.emulator.control.routes import Call, Route, reply
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox_journal import LEVELS, Journals, LogEntry, LogLevel
from sandboxes.emulator.parameters import ChoiceParameter, NumberParameter, TextParameter

ENTRIES_SHOWN_MAX = 1000
MILLISECONDS_MAX = 253_402_300_799_000
"""The end of the year 9999."""

LIMIT = NumberParameter(
    name="limit", meaning="How many entries at most.", bounds=(0, ENTRIES_SHOWN_MAX), default=ENTRIES_SHOWN_MAX
)
START = NumberParameter(
    name="start", meaning="Entries from this moment on, in ms since 1970.", bounds=(0, MILLISECONDS_MAX), default=0
)
CURSOR = NumberParameter(
    name="cursor",
    meaning="Entries before this moment, in ms since 1970; with direction=forward, from it on.",
    bounds=(0, MILLISECONDS_MAX),
)
DIRECTION = ChoiceParameter(
    name="direction",
    meaning="The last first, or the first first.",
    choices=("backward", "forward"),
    default="backward",
)
LEVEL = ChoiceParameter(
    name="level",
    meaning="Only entries of this level and those above it.",
    choices=tuple(LogLevel),
    default=LogLevel.DEBUG,
)
SEARCH = TextParameter(name="search", meaning="Only entries whose message holds this text.")


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
        first = Contract(parameters=(START, LIMIT), answers={200: Logs}, refuses=(404,))
        yield Route("GET", "/sandboxes/{sandbox_id}/logs", self.list_from, first)
        second = Contract(parameters=(CURSOR, LIMIT, DIRECTION, LEVEL, SEARCH), answers={200: LogsPage}, refuses=(404,))
        yield Route("GET", "/v2/sandboxes/{sandbox_id}/logs", self.list_page, second)

    async def list_from(self, call: Call) -> web.Response:
        """Return the entries from a moment on (`start`, ms), the oldest first."""
        entries = self._require(call)
        start = from_seconds(START.read(call.query) / 1000)
        found = [entry for entry in entries if entry.timestamp >= start][: LIMIT.read(call.query)]
        return reply(Logs([LogLine(entry.timestamp, format_line(entry)) for entry in found], found))

    async def list_page(self, call: Call) -> web.Response:
        """Return the entries before a moment (`cursor`, ms), the last first, or from it on with `direction=forward`."""
        entries = self._require(call)
        lowest = LEVELS.index(LogLevel(LEVEL.read(call.query)))
        search = SEARCH.find(call.query) or ""
        found = [entry for entry in entries if LEVELS.index(entry.level) >= lowest and search in entry.message]
        is_backward = DIRECTION.read(call.query) == "backward"
        if is_backward:
            found.reverse()
        cursor_ms = CURSOR.find(call.query)
        if cursor_ms is not None:
            cursor = from_seconds(cursor_ms / 1000)
            found = [e for e in found if (e.timestamp < cursor if is_backward else e.timestamp >= cursor)]
        return reply(LogsPage(found[: LIMIT.read(call.query)]))

    def _require(self, call: Call) -> list[LogEntry]:
        journal = self._journals.find(call.path["sandbox_id"])
        if journal is None:
            raise ApiError(404, f"sandbox {call.path['sandbox_id']!r} has no log: it never was, or ended long ago")
        return journal.list_shown()


def format_line(entry: LogEntry) -> str:
    """Return an entry as E2B's daemon writes it: one line of JSON."""
    return msgspec.json.encode({"level": entry.level, "message": entry.message, **entry.fields}).decode()
