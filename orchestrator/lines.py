"""The coordinator's lines: one control connection to each agent's process of today, and what is waited for on them.

What a process still says whose place has been given to another counts for nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from orchestrator.control import AgentLost, ControlChannel
from sandboxes.provider import Sandbox
from workers.codec import (
    Account,
    Assigned,
    Connected,
    Decided,
    Failed,
    FinalAccount,
    Order,
    PeerNoticed,
    Progress,
    TookOffice,
)
from workers.network import Network
from workers.revision import code_revision

CLOSE_DEADLINE_S = 0.5


class SwarmFailed(RuntimeError):
    """The swarm could not be brought up, or could not go on."""


class Gathering:
    """Waits until every agent has said one kind of thing."""

    def __init__(self, agents: Iterable[str]) -> None:
        self._missing = set(agents)
        self._is_complete = anyio.Event()
        if not self._missing:
            self._is_complete.set()

    def note(self, agent: str) -> None:
        self._missing.discard(agent)
        if not self._missing:
            self._is_complete.set()

    async def wait_all(self, what: str, *, deadline_s: float) -> None:
        """Raises SwarmFailed at the deadline, naming who is missing."""
        try:
            with anyio.fail_after(deadline_s):
                await self._is_complete.wait()
        except TimeoutError:
            names = ", ".join(sorted(self._missing))
            raise SwarmFailed(f"{deadline_s:g} s passed and these agents had not {what}: {names}") from None


class Lines:
    """The control connections of a swarm.

    `on_account` hears what agents say on the way; `on_lost` that the connection to one broke, or that it failed, and
    why. `sandboxes`: where each agent's process of today lives; `accounts`: their last words.
    """

    def __init__(
        self, tasks: TaskGroup, *, on_account: Callable[[str, Account], None], on_lost: Callable[[str, str], None]
    ) -> None:
        self._tasks = tasks
        self._on_account = on_account
        self._on_lost = on_lost
        self._channels: dict[str, ControlChannel] = {}
        self._awaited: list[tuple[type[Account], Gathering]] = []
        self.sandboxes: dict[str, Sandbox] = {}
        self.accounts: dict[str, FinalAccount] = {}

    async def open(self, sandboxes: Mapping[str, Sandbox], network: Network) -> None:
        """Open control connections to new processes; a former one of the same agent is given up. Raises AgentLost."""

        async def open_one(agent: str, sandbox: Sandbox) -> None:
            channel = await ControlChannel.open(agent, sandbox.endpoint, network=network)
            self._channels[agent], self.sandboxes[agent] = channel, sandbox
            self._tasks.start_soon(self._listen, channel)

        try:
            async with anyio.create_task_group() as opening:
                for agent, sandbox in sorted(sandboxes.items()):
                    opening.start_soon(open_one, agent, sandbox)
        except BaseExceptionGroup as group:
            lost = group.subgroup(AgentLost)
            if lost is None:
                raise
            raise AgentLost(str(_first(lost))) from group

    async def send(self, agent: str, order: Order) -> None:
        """Send an order; that the agent is gone is noted, and found out by `on_lost`."""
        try:
            await self._channels[agent].send(order)
        except AgentLost as error:
            if not self._channels[agent].is_expected_to_end:
                self._on_lost(agent, str(error))

    def expect_end(self, agent: str) -> None:
        """The agent will hang up, and that is in order."""
        self._channels[agent].is_expected_to_end = True

    def give_up(self, agent: str) -> None:
        """Wait for nothing an agent might say, and close its connection, whose other end may not answer any more."""
        self._expect_nothing_of(agent)
        self.expect_end(agent)
        self._tasks.start_soon(self._close_one, self._channels[agent])

    async def close(self) -> None:
        """Close all connections, whatever state they are in."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as closing:
                for agent, channel in self._channels.items():
                    self.expect_end(agent)
                    closing.start_soon(self._close_one, channel)

    @contextmanager
    def awaiting(self, kind: type[Account], agents: Sequence[str]) -> Iterator[Gathering]:
        """Wait for one kind of account of each agent. Raises AgentLost at the end when one has gone meanwhile."""
        awaited = (kind, Gathering(agents))
        self._awaited.append(awaited)
        try:
            yield awaited[1]
        finally:
            self._awaited.remove(awaited)
        gone = [agent for agent in agents if self._channels[agent].has_broken]
        if gone and kind is not FinalAccount:
            raise AgentLost(f"{', '.join(gone)} went away before it was ready")

    def _expect_nothing_of(self, agent: str) -> None:
        for _, gathering in self._awaited:
            gathering.note(agent)

    async def _close_one(self, channel: ControlChannel) -> None:
        with anyio.move_on_after(CLOSE_DEADLINE_S):
            await channel.close()

    async def _listen(self, channel: ControlChannel) -> None:
        """Hear an agent out, as long as it is this process that fills its place."""
        try:
            await channel.listen(lambda agent, account: self._hear(channel, account))
            if self._channels.get(channel.agent) is channel:  # it was told to end, and nothing more will come
                self._expect_nothing_of(channel.agent)
        except AgentLost as error:
            if self._channels.get(channel.agent) is channel:
                channel.has_broken = True
                self._expect_nothing_of(channel.agent)
                self._on_lost(channel.agent, str(error))

    def _hear(self, channel: ControlChannel, account: Account) -> None:
        agent = channel.agent
        if self._channels.get(agent) is not channel:
            return
        match account:
            case Assigned(revision=revision) if revision != code_revision():
                raise SwarmFailed(
                    f"the sandbox of {agent} runs revision {revision}, this is {code_revision()}; "
                    "build the worker template again"
                )
            case FinalAccount():
                self.accounts[agent] = account
            case Failed(reason=reason):
                self._on_lost(agent, reason)
            case Assigned() | Connected() | Decided() | Progress() | TookOffice() | PeerNoticed():
                self._on_account(agent, account)
        for kind, gathering in self._awaited:
            if isinstance(account, kind):
                gathering.note(agent)


def _first(group: BaseExceptionGroup[AgentLost]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
