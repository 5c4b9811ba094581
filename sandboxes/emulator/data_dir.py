"""Where a server keeps the files of its sandboxes, and who cleans up after a server that was killed.

The directory's name holds the server's process number: whoever starts next removes those of the dead.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

NAME_PATTERN = re.compile(r"e2b-emulator-(\d+)-.*")


def make_data_dir() -> Path:
    """Make a directory for this process, and remove those that dead servers left."""
    parent = Path(tempfile.gettempdir()).resolve()
    remove_orphans(parent)
    return Path(tempfile.mkdtemp(prefix=f"e2b-emulator-{os.getpid()}-", dir=parent))


def remove_orphans(parent: Path) -> None:
    """Remove the directories of servers that no longer run; those of other users stay."""
    for entry in sorted(parent.iterdir()):
        match = NAME_PATTERN.fullmatch(entry.name)
        if match and not is_running(int(match.group(1))) and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)


def is_running(pid: int) -> bool:
    """Whether a process with this number exists, whosoever it is."""
    return Path(f"/proc/{pid}").exists()
