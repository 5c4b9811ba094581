"""The agents of a swarm as the coordinator knows them: one control connection each, and what they have said.

Workers are anonymous until assigned. Nobody dials a neighbour before all have been assigned: so no link is refused
because its other end does not know who it is yet. A place whose process died is filled again with the next
generation; what the former generation still says counts for nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio
from anyio.abc import TaskGroup

from orchestrator.assignments import Assignments
from orchestrator.control import AgentLost, ControlChannel
from sandboxes.provider import Sandbox
from topologies.messages import Tick
from workers.codec import (
    Account,
    Assigned,
    Bury,
    Connect,
    Connected,
    Decided,
    Failed,
    FinalAccount,
    Order,
    PeerNoticed,
    Progress,
    Rewire,
    Start,
    Stop,
    TookOffice,
)
from workers.network import Network
from workers.revision import code_revision

ASSIGN_DEADLINE_S = 30.0
CONNECT_DEADLINE_S = 60.0
DRAIN_DEADLINE_S = 8.0
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


class Crew:
    """The agents of one swarm.

    `on_account` hears what they say on the way; `on_lost` that the connection to one broke, or that it failed, and why.
    """

    def __init__(
        self,
        assignments: Assignments,
        *,
        tasks: TaskGroup,
        on_account: Callable[[str, Account], None],
        on_lost: Callable[[str, str], None],
    ) -> None:
        self._assignments = assignments
        self._tasks = tasks
        self._on_account = on_account
        self._on_lost = on_lost
        self._agents = assignments.plan.topology.agents
        self._channels: dict[str, ControlChannel] = {}
        self._awaited: list[tuple[type[Account], Gathering]] = []
        self.sandboxes: dict[str, Sandbox] = {}
        self.absent: set[str] = set()
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

    async def assign(self, agents: Sequence[str], *, rounds_over: int, deadline_s: float = ASSIGN_DEADLINE_S) -> None:
        """Tell workers who they are. Raises SwarmFailed when one cannot be that, AgentLost when one has gone."""
        with self._awaiting(Assigned, agents) as said:
            for agent in agents:
                await self.send(agent, self._assignments.assign(agent, self.sandboxes, rounds_over=rounds_over))
            await said.wait_all("taken their assignment", deadline_s=deadline_s)

    async def connect(self, agents: Sequence[str], *, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """Let agents open their links. Raises SwarmFailed when one cannot, AgentLost when one has gone."""
        with self._awaiting(Connected, agents) as said:
            for agent in agents:
                await self.send(agent, Connect())
            await said.wait_all("all their links up", deadline_s=deadline_s)

    async def bury(self, agent: str) -> None:
        """Let nobody wait for an agent's process any more."""
        self.absent.add(agent)
        self._expect_nothing_of(agent)
        self._tasks.start_soon(self._give_up, self._channels[agent])
        await self._tell_neighbours(agent, lambda _: Bury(agent, self.sandboxes[agent].generation))

    async def welcome(self, agent: str) -> None:
        """Tell the neighbours where an agent lives now, and the agent who of them is missing."""
        self.absent.discard(agent)
        sandbox = self.sandboxes[agent]
        await self._tell_neighbours(agent, lambda other: Rewire(self._assignments.neighbour(other, sandbox)))
        for other in sorted(self.absent & set(self._neighbours(agent))):
            await self.send(agent, Bury(other, self.sandboxes[other].generation))

    async def start_round(self, tick: Tick) -> None:
        """Send a tick to the entry agents."""
        for agent in self._assignments.offices.entries(self.absent):
            await self.send(agent, Start(tick))

    async def drain(self) -> None:
        """Let the agents finish, say goodbye to each other and give their last account. Raises SwarmFailed."""
        present = [agent for agent in self._agents if agent not in self.absent]
        with self._awaiting(FinalAccount, present) as said:
            for agent in present:
                self._channels[agent].is_expected_to_end = True
                await self.send(agent, Stop())
            await said.wait_all("given their last account", deadline_s=DRAIN_DEADLINE_S)

    async def close(self) -> None:
        """Close the control connections, whatever state they are in."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE_S):
            async with anyio.create_task_group() as closing:
                for channel in self._channels.values():
                    channel.is_expected_to_end = True
                    closing.start_soon(channel.close)

    async def send(self, agent: str, order: Order) -> None:
        """Send an order; that the agent is gone is noted, and found out by `on_lost`."""
        try:
            await self._channels[agent].send(order)
        except AgentLost as error:
            if not self._channels[agent].is_expected_to_end:
                self._on_lost(agent, str(error))

    @contextmanager
    def _awaiting(self, kind: type[Account], agents: Sequence[str]) -> Iterator[Gathering]:
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

    def _neighbours(self, agent: str) -> tuple[str, ...]:
        return self._assignments.plan.topology.neighbours(agent)

    async def _tell_neighbours(self, agent: str, order: Callable[[str], Order]) -> None:
        for other in self._neighbours(agent):
            if other not in self.absent:
                await self.send(other, order(other))

    async def _give_up(self, channel: ControlChannel) -> None:
        """Close a connection whose other end may not answer any more."""
        channel.is_expected_to_end = True
        with anyio.move_on_after(CLOSE_DEADLINE_S):
            await channel.close()

    async def _listen(self, channel: ControlChannel) -> None:
        """Hear an agent out, as long as it is this process that fills its place."""
        try:
            await channel.listen(lambda agent, account: self._hear(channel, account))
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


__all__ = ["AgentLost", "Crew", "Gathering", "SwarmFailed"]
