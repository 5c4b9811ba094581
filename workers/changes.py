"""Waiting for a condition without polling: whoever changes something says so, whoever waits looks again."""

from collections.abc import Callable

import anyio


class Changes:
    """Wakes those who wait for a condition whenever something may have changed."""

    def __init__(self) -> None:
        self._changed = anyio.Event()

    def note(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that looks only at things whose changes are noted."""
        while not condition():
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
