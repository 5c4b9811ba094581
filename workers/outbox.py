"""What a worker has to tell its coordinator, in order, for whoever sends it on."""

from collections import deque

import anyio

from workers.codec import Account

WAITING_MAX = 4096


class OutboxFull(RuntimeError):
    """The coordinator takes nothing any more."""


class Outbox:
    """A bounded queue with a non-waiting end and a waiting one."""

    def __init__(self) -> None:
        self._accounts: deque[Account] = deque()
        self._wake = anyio.Event()

    def post(self, account: Account) -> None:
        """Queue an account. Raises OutboxFull."""
        if len(self._accounts) >= WAITING_MAX:
            raise OutboxFull(f"{WAITING_MAX} accounts wait for the coordinator")
        self._accounts.append(account)
        self._wake.set()

    async def wait_next(self) -> Account:
        """Wait for the next account and take it."""
        while not self._accounts:
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._accounts.popleft()
