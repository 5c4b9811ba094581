"""What the surroundings of a worker offer it: a home for its files and a measure of its memory."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PAGE_MB = resource.getpagesize() / 2**20


def resident_mb() -> float | None:
    """Return the resident set size of this process in MiB, or None where the system does not tell."""
    try:
        return round(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB, 1)
    except (OSError, IndexError, ValueError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a worker finds around it.

    `home`: where uploaded files are. `rss_mb`: its memory in MiB, None where it has no process. `now_s`: a clock fine
    enough to time one message (a loop's own may tick in milliseconds).
    """

    home: Path
    rss_mb: Callable[[], float | None] = resident_mb
    now_s: Callable[[], float] = time.perf_counter
