"""The agents of a swarm as the coordinator leads them: from anonymous workers to their last account.

Workers are anonymous until assigned. Nobody dials a neighbour before all have been assigned: so no link is refused
because its other end does not know who it is yet. A place whose process died is filled again with the next
generation.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from orchestrator.assignments import Assignments
from orchestrator.control import AgentLost
from orchestrator.lines import Lines, SwarmFailed
from sandboxes.provider import Sandbox
from topologies.messages import Tick
from workers.codec import Assigned, Bury, Connect, Connected, FinalAccount, Impair, Order, Rewire, Start, Stop
from workers.network import Network

ASSIGN_DEADLINE_S = 30.0
CONNECT_DEADLINE_S = 60.0
DRAIN_DEADLINE_S = 8.0


class Crew:
    """The agents of one swarm. `absent`: those whose process is dead and not replaced yet."""

    def __init__(self, assignments: Assignments, lines: Lines) -> None:
        self._assignments = assignments
        self._lines = lines
        self._topology = assignments.plan.topology
        self.absent: set[str] = set()

    @property
    def sandboxes(self) -> Mapping[str, Sandbox]:
        """Where each agent's process of today lives."""
        return self._lines.sandboxes

    @property
    def accounts(self) -> Mapping[str, FinalAccount]:
        return self._lines.accounts

    async def open(self, sandboxes: Mapping[str, Sandbox], network: Network) -> None:
        """Open control connections to new processes. Raises AgentLost."""
        await self._lines.open(sandboxes, network)

    async def assign(self, agents: Sequence[str], *, rounds_over: int, deadline_s: float = ASSIGN_DEADLINE_S) -> None:
        """Tell workers who they are. Raises SwarmFailed when one cannot be that, AgentLost when one has gone."""
        with self._lines.awaiting(Assigned, agents) as said:
            for agent in agents:
                order = self._assignments.assign(agent, self.sandboxes, rounds_over=rounds_over)
                await self._lines.send(agent, order)
            await said.wait_all("taken their assignment", deadline_s=deadline_s)

    async def connect(self, agents: Sequence[str], *, deadline_s: float = CONNECT_DEADLINE_S) -> None:
        """Let agents open their links. Raises SwarmFailed when one cannot, AgentLost when one has gone."""
        with self._lines.awaiting(Connected, agents) as said:
            for agent in agents:
                await self._lines.send(agent, Connect())
            await said.wait_all("all their links up", deadline_s=deadline_s)

    async def bury(self, agent: str) -> None:
        """Let nobody wait for an agent's process any more."""
        self.absent.add(agent)
        self._lines.give_up(agent)
        await self._tell_neighbours(agent, lambda _: Bury(agent, self.sandboxes[agent].generation))

    async def welcome(self, agent: str) -> None:
        """Tell the neighbours where an agent lives now, and the agent who of them is missing."""
        self.absent.discard(agent)
        sandbox = self.sandboxes[agent]
        await self._tell_neighbours(agent, lambda other: Rewire(self._assignments.neighbour(other, sandbox)))
        for other in sorted(self.absent & set(self._topology.neighbours(agent))):
            await self._lines.send(agent, Bury(other, self.sandboxes[other].generation))

    async def start_round(self, tick: Tick) -> None:
        """Send a tick to the entry agents."""
        for agent in self._assignments.offices.entries(self.absent):
            await self._lines.send(agent, Start(tick))

    async def impair(self, agent: str, order: Impair) -> None:
        """Let an agent treat its way to a neighbour badly, on purpose."""
        await self._lines.send(agent, order)

    async def drain(self) -> Sequence[str]:
        """Let the agents finish, say goodbye to each other and give their last account; return who gave none.

        All is decided by now: nobody is replaced any more, and who dies here costs the swarm its account alone.
        """
        present = [agent for agent in self._topology.agents if agent not in self.absent]
        with self._lines.awaiting(FinalAccount, present) as said:
            for agent in present:
                self._lines.expect_end(agent)
                await self._lines.send(agent, Stop())
            with suppress(SwarmFailed):
                await said.wait_all("given their last account", deadline_s=DRAIN_DEADLINE_S)
        return [agent for agent in present if agent not in self.accounts]

    async def _tell_neighbours(self, agent: str, order: Callable[[str], Order]) -> None:
        for other in self._topology.neighbours(agent):
            if other not in self.absent:
                await self._lines.send(other, order(other))


__all__ = ["AgentLost", "Crew", "SwarmFailed"]
