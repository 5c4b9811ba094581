"""The coordinator's connection to one agent: orders down, accounts up."""

from collections.abc import Callable

import anyio

from workers.codec import Account, Order, WireError, decode_account, encode
from workers.network import Endpoint, Network, NetworkError, Pipe, PipeClosed

DIAL_DEADLINE_S = 15.0


class AgentLost(ConnectionError):
    """An agent's control connection could not be opened, or has ended before its time."""


class ControlChannel:
    """Orders to an agent and accounts from it."""

    def __init__(self, agent: str, pipe: Pipe) -> None:
        self.agent = agent
        self._pipe = pipe
        self.is_expected_to_end = False
        self.has_broken = False

    @classmethod
    async def open(cls, agent: str, endpoint: Endpoint, *, network: Network) -> "ControlChannel":
        """Dial an agent. Raises AgentLost."""
        try:
            with anyio.fail_after(DIAL_DEADLINE_S):
                return cls(agent, await network.dial(endpoint, "/control", headers={}))
        except (NetworkError, TimeoutError) as error:
            raise AgentLost(f"{agent} does not answer on its control connection: {error}") from error

    async def send(self, order: Order) -> None:
        """Send an order. Raises AgentLost."""
        try:
            await self._pipe.send(encode(order))
        except PipeClosed as error:
            raise AgentLost(f"{self.agent} is gone: {error}") from error

    async def listen(self, on_account: Callable[[str, Account], None]) -> None:
        """Hand on all the agent says until it ends. Raises AgentLost unless that was expected."""
        try:
            while True:
                on_account(self.agent, decode_account(await self._pipe.receive()))
        except (PipeClosed, WireError) as error:
            if not self.is_expected_to_end:
                raise AgentLost(f"{self.agent} is gone: {error}") from error

    async def close(self) -> None:
        await self._pipe.close()
