"""The log of each sandbox: what happened to it and which commands ran, as E2B's own log of a sandbox tells.

A journal keeps its last entries, and the journals of ended sandboxes are kept for a while: who asks why a sandbox is
gone asks afterwards. The output of commands is not in it, as at E2B.
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sandboxes.emulator.clock import read_clock

ENTRIES_MAX = 1000
"""For each sandbox; the oldest go first."""
ENDED_KEPT_MAX = 1000
ENDED_KEPT = timedelta(hours=1)
COMMAND_CHARACTERS_MAX = 1000


class LogLevel(enum.StrEnum):
    """How much an entry matters, the least first."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


LEVELS = list(LogLevel)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened."""

    timestamp: datetime
    message: str
    level: LogLevel
    fields: Mapping[str, str]


class SandboxJournal:
    """The log of one sandbox."""

    def __init__(self) -> None:
        self.entries: deque[LogEntry] = deque(maxlen=ENTRIES_MAX)
        self.clock_offset = timedelta()
        """How wrong its times are shown (a fault on purpose)."""

    def list_shown(self) -> list[LogEntry]:
        """Return the entries as they are shown."""
        return [replace(entry, timestamp=entry.timestamp + self.clock_offset) for entry in self.entries]

    def note(self, message: str, fields: Mapping[str, str], *, level: LogLevel = LogLevel.INFO) -> None:
        """Add an entry with the present time."""
        self.entries.append(LogEntry(read_clock(), message, level, fields))

    def note_process_start(self, pid: int, *, command: str, tag: str | None) -> None:
        """Tell that a command was started."""
        fields = {
            "logger": "process",
            "event_type": "process_start",
            "pid": str(pid),
            "cmd": command[:COMMAND_CHARACTERS_MAX],
        }
        self.note("Process started", fields if tag is None else {**fields, "tag": tag})

    def note_process_end(self, pid: int, *, status: str, exit_code: int) -> None:
        """Tell how a command ended."""
        self.note(
            f"Process ended: {status}",
            {"logger": "process", "event_type": "process_end", "pid": str(pid), "exit_code": str(exit_code)},
            level=LogLevel.INFO if exit_code == 0 else LogLevel.WARN,
        )


class Journals:
    """The journals of the living sandboxes, and of the last that ended."""

    def __init__(self) -> None:
        self._living: dict[str, SandboxJournal] = {}
        self._ended: OrderedDict[str, tuple[datetime, SandboxJournal]] = OrderedDict()

    def open(self, sandbox_id: str) -> SandboxJournal:
        """Return the journal of a new sandbox."""
        self._living[sandbox_id] = SandboxJournal()
        return self._living[sandbox_id]

    def close(self, sandbox_id: str) -> None:
        """Begin to forget the journal of a sandbox that is gone."""
        journal = self._living.pop(sandbox_id, None)
        if journal is not None:
            self._ended[sandbox_id] = (read_clock() + ENDED_KEPT, journal)
        while self._ended:
            forget_at, _journal = next(iter(self._ended.values()))
            if len(self._ended) <= ENDED_KEPT_MAX and forget_at > read_clock():
                return
            self._ended.popitem(last=False)

    def find(self, sandbox_id: str) -> SandboxJournal | None:
        """Return the journal of a sandbox that lives or ended not long ago."""
        ended = self._ended.get(sandbox_id)
        return self._living.get(sandbox_id) or (ended[1] if ended is not None else None)
