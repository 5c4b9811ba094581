"""The agents of a swarm as the coordinator knows them: one control connection each, and what they have said.

Workers are anonymous until `assign`. Nobody dials a neighbour before all have been assigned: so no link is refused
because its other end does not know who it is yet.
"""

from collections.abc import Callable, Mapping, Sequence

import anyio
from anyio.abc import TaskGroup

from orchestrator.control import AgentLost, ControlChannel
from orchestrator.plan import Plan
from sandboxes.provider import Sandbox
from topologies.messages import Tick
from workers.codec import (
    PROTOCOL_VERSION,
    Account,
    Assign,
    Assigned,
    Connect,
    Connected,
    Decided,
    Failed,
    FinalAccount,
    Neighbour,
    Order,
    Progress,
    Start,
    Stop,
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

    def __init__(self, agents: Sequence[str]) -> None:
        self._missing = set(agents)
        self._is_complete = anyio.Event()

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
    """The agents of one swarm. `on_account` hears what they say on the way: decisions and progress."""

    def __init__(
        self, plan: Plan, sandboxes: Mapping[str, Sandbox], *, on_account: Callable[[str, Account], None]
    ) -> None:
        self._plan = plan
        self._sandboxes = sandboxes
        self._on_account = on_account
        self._channels: dict[str, ControlChannel] = {}
        agents = plan.topology.agents
        self._assigned, self._connected, self._finished = Gathering(agents), Gathering(agents), Gathering(agents)
        self.accounts: dict[str, FinalAccount] = {}

    async def open(self, network: Network, *, tasks: TaskGroup) -> None:
        """Open all control connections; what comes over them is heard in `tasks`. Raises AgentLost."""

        async def open_one(agent: str) -> None:
            self._channels[agent] = await ControlChannel.open(agent, self._sandboxes[agent].endpoint, network=network)

        async with anyio.create_task_group() as opening:
            for agent in self._plan.topology.agents:
                opening.start_soon(open_one, agent)
        for agent in self._plan.topology.agents:
            tasks.start_soon(self._channels[agent].listen, self._hear)

    async def assign(self, swarm: str, token: str) -> None:
        """Tell every worker who it is. Raises SwarmFailed when one cannot be that."""
        for agent in self._plan.topology.agents:
            await self._channels[agent].send(self._assignment(agent, swarm=swarm, token=token))
        await self._assigned.wait_all("taken their assignment", deadline_s=ASSIGN_DEADLINE_S)

    async def connect(self) -> None:
        """Let the agents open their links. Raises SwarmFailed when one cannot."""
        await self._tell_all(Connect())
        await self._connected.wait_all("all their links up", deadline_s=CONNECT_DEADLINE_S)

    async def start_round(self, tick: Tick) -> None:
        """Send a tick to the entry agents."""
        order = Start(tick)
        for agent in self._plan.topology.entries:
            await self._channels[agent].send(order)

    async def drain(self) -> None:
        """Let the agents finish, say goodbye to each other and give their last account. Raises SwarmFailed."""
        for channel in self._channels.values():
            channel.is_expected_to_end = True
        await self._tell_all(Stop())
        await self._finished.wait_all("given their last account", deadline_s=DRAIN_DEADLINE_S)

    async def close(self) -> None:
        """Close the control connections, whatever state they are in."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE_S):
            async with anyio.create_task_group() as closing:
                for channel in self._channels.values():
                    channel.is_expected_to_end = True
                    closing.start_soon(channel.close)

    async def _tell_all(self, order: Order) -> None:
        for agent in self._plan.topology.agents:
            await self._channels[agent].send(order)

    def _hear(self, agent: str, account: Account) -> None:
        match account:
            case Assigned(revision=revision):
                if revision != code_revision():
                    raise SwarmFailed(
                        f"the sandbox of {agent} runs revision {revision}, this is {code_revision()}; "
                        "build the worker template again"
                    )
                self._assigned.note(agent)
            case Connected():
                self._connected.note(agent)
            case FinalAccount():
                self.accounts[agent] = account
                self._finished.note(agent)
            case Failed(reason=reason):
                raise SwarmFailed(f"{agent}: {reason}")
            case Decided() | Progress():
                self._on_account(agent, account)

    def _assignment(self, agent: str, *, swarm: str, token: str) -> Assign:
        plan = self._plan
        return Assign(
            version=PROTOCOL_VERSION,
            swarm=swarm,
            generation=self._sandboxes[agent].generation,
            token=token,
            seat=plan.topology.seats[agent],
            neighbours=tuple(
                Neighbour(
                    agent=other,
                    endpoint=self._sandboxes[other].endpoint,
                    dials=agent < other,
                    sends=plan.topology.graph.has_edge(agent, other),
                    hears=plan.topology.graph.has_edge(other, agent),
                )
                for other in plan.topology.neighbours(agent)
            ),
            strategies=tuple(strategy.reference for strategy in plan.strategies),
            history=plan.tape.history,
            seed=plan.spec.seed,
        )


__all__ = ["AgentLost", "Crew", "Gathering", "SwarmFailed"]
