"""The log of one build, which its client fetches piece by piece while the build goes on.

A client counts the entries it has, so none is ever taken away: beyond a number of them, further output of commands is
left out, and the log says so. What the builder itself has to say is few lines, and always kept.
"""

import codecs
from dataclasses import dataclass
from datetime import datetime

from sandboxes.emulator.clock import read_clock
from sandboxes.emulator.fleet.sandbox_journal import LEVELS, LogLevel

OUTPUT_ENTRIES_MAX = 5_000
LINE_CHARACTERS_MAX = 2_000
PAGE_ENTRIES_MAX = 100


@dataclass(frozen=True, slots=True)
class BuildLogEntry:
    """One line."""

    timestamp: datetime
    message: str
    level: LogLevel
    step: str | None
    """The step it belongs to: its number from 1, `base` or `finalize`."""


class BuildLog:
    """What one build has said so far."""

    def __init__(self) -> None:
        self.entries: list[BuildLogEntry] = []
        self._output_count = 0

    def note(self, message: str, *, level: LogLevel = LogLevel.INFO, step: str | None = None) -> None:
        """Add a line of the builder's own."""
        self.entries.append(BuildLogEntry(read_clock(), message[:LINE_CHARACTERS_MAX], level, step))

    def add_output(self, line: str, *, step: str) -> None:
        """Add a line that a command printed, unless there are too many already."""
        self._output_count += 1
        if self._output_count <= OUTPUT_ENTRIES_MAX:
            self.note(line, step=step)
        elif self._output_count == OUTPUT_ENTRIES_MAX + 1:
            self.note(f"more than {OUTPUT_ENTRIES_MAX} lines of output: the rest is left out", step=step)

    def page(self, offset: int, limit: int, *, lowest: LogLevel = LogLevel.DEBUG) -> list[BuildLogEntry]:
        """Return some entries from an offset on, of a level and those above it."""
        wanted = set(LEVELS[LEVELS.index(lowest) :])
        entries = [entry for entry in self.entries if entry.level in wanted]
        return entries[offset : offset + limit]


class LineSplitter:
    """Puts together the lines of one stream, which arrives in pieces of any size."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, piece: bytes) -> list[str]:
        """Return the lines that are complete now; an endless one is cut."""
        text = self._rest + self._decoder.decode(piece)
        lines = text.replace("\r\n", "\n").split("\n")
        self._rest = lines.pop()
        while len(self._rest) > LINE_CHARACTERS_MAX:
            lines.append(self._rest[:LINE_CHARACTERS_MAX])
            self._rest = self._rest[LINE_CHARACTERS_MAX:]
        return lines

    def finish(self) -> list[str]:
        """Return what was left without an end of line."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return [rest] if rest else []
