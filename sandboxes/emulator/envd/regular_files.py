"""Opening a file that a client named, for a transfer.

The file is opened and closed in the event loop's own thread, which takes microseconds; only its bytes are moved in
another. A file that is opened in another thread is lost, and stays open, when the client hangs up meanwhile.
"""

import os
from pathlib import Path
from typing import BinaryIO

# A pipe that has taken the file's place must not be waited for: the whole server would.
READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK


def open_to_read(path: Path) -> BinaryIO:
    """Open a file. Raises `OSError`."""
    return os.fdopen(os.open(path, READ_FLAGS), "rb")


def open_to_write(path: Path) -> BinaryIO:
    """Open a file that is empty now, whatever it held. Raises `OSError`."""
    return os.fdopen(os.open(path, WRITE_FLAGS, 0o666), "wb")
