"""Filling the places of the dead: kill what is left of a process, start another, and let it in between two rounds.

The swarm goes on meanwhile: its agents take over a dead one's work by themselves (`topologies`), which the coordinator
only hastens by passing on what it knows. A process is killed before the next is made: no two fill one place.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import msgspec
from anyio.abc import TaskGroup

from orchestrator.assignments import Assignments
from orchestrator.control import AgentLost
from orchestrator.crew import Crew, SwarmFailed
from orchestrator.floor import Floor
from orchestrator.journal import Journal
from orchestrator.verdicts import Verdicts
from sandboxes.manager import SandboxManager
from sandboxes.provider import Sandbox, SandboxError
from workers.codec import PeerNoticed
from workers.network import Network

RESTARTS_MAX = 3
RESTARTS_WINDOW_S = 10.0
RETRY_S = 1.0
ADMISSION_DEADLINE_S = 5.0  # no round begins while an agent is let in
SILENCE_CHECK_S = 0.5


class Failover(msgspec.Struct, frozen=True):
    """One death and its repair.

    `fault`: what was done to the agent, where that is known, else what was seen. `detected_ms`: from the fault - or,
    where nobody knows when it happened, from the last sign of life - to the verdict. `repaired_ms`: from there to
    when every link was up again. None: not repaired before the end.
    """

    agent: str
    fault: str
    detected_ms: float
    repaired_ms: float | None


@dataclass(slots=True, kw_only=True)
class Recovery:
    """Finds out who is dead and fills their places, until cancelled."""

    crew: Crew
    assignments: Assignments
    manager: SandboxManager
    network: Network
    floor: Floor
    journal: Journal
    verdicts: Verdicts
    now_s: Callable[[], float]
    on_sandbox: Callable[[Sandbox], None]
    faults: dict[str, tuple[str, float]] = field(default_factory=dict)
    failovers: list[Failover] = field(default_factory=list)
    _restarts: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _under_repair: set[str] = field(default_factory=set)
    _tasks: TaskGroup | None = None

    async def run(self) -> None:
        """Watch and repair. Raises SwarmFailed when an agent dies again and again."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            while True:
                await anyio.sleep(SILENCE_CHECK_S)
                for agent in self.verdicts.silent(self.now_s()):
                    self.lose(agent, f"nothing was heard of it for {self.verdicts.silence_s:g} s")

    def notice(self, account: PeerNoticed) -> None:
        """Weigh what an agent believes of a neighbour."""
        evidence = self.verdicts.noticed(
            account.agent, account.peer, generation=account.generation, state=account.state
        )
        if evidence:
            self.lose(account.peer, evidence)

    def lose(self, agent: str, evidence: str) -> None:
        """Take an agent's process for dead, and begin to replace it. Raises SwarmFailed."""
        if self._tasks is None or not self.verdicts.condemn(agent):
            return
        now_s = self.now_s()
        fault, since_s = self.faults.pop(agent, (evidence, self.verdicts.heard_s(agent)))
        detected_ms = round((now_s - since_s) * 1000.0, 3)
        self.journal.record("agent.lost", agent, evidence=evidence, fault=fault)
        recent = self._restarts[agent]
        recent.append(now_s)
        while recent[0] < now_s - RESTARTS_WINDOW_S:
            recent.popleft()
        if len(recent) > RESTARTS_MAX:
            raise SwarmFailed(f"{agent} died {len(recent)} times within {RESTARTS_WINDOW_S:g} s, at last: {evidence}")
        if agent not in self._under_repair:  # else whoever lets it in finds out, and begins again
            self._under_repair.add(agent)
            self.failovers.append(Failover(agent, fault, detected_ms, None))
            self._tasks.start_soon(self._replace, agent, len(self.failovers) - 1)

    async def _replace(self, agent: str, number: int) -> None:
        """Put process after process in an agent's place, until one of them is in it and alive."""
        began_s = self.now_s()
        sandbox = self.crew.sandboxes[agent]
        generation = sandbox.generation
        while agent in self.verdicts.lost:
            generation += 1
            try:
                if agent not in self.crew.absent:
                    await self.crew.bury(agent)
                    await self.floor.play_again()
                sandbox = await self.manager.replace(sandbox, generation=generation)
                await self._let_in(sandbox)
            except (SandboxError, AgentLost, SwarmFailed) as error:
                self.verdicts.condemn(agent)
                self.journal.record("agent.not-replaced", agent, reason=str(error))
                await anyio.sleep(RETRY_S)
        self._under_repair.discard(agent)
        repaired_ms = round((self.now_s() - began_s) * 1000.0, 3)
        self.failovers[number] = msgspec.structs.replace(self.failovers[number], repaired_ms=repaired_ms)
        self.journal.record("agent.replaced", agent, generation=generation)

    async def _let_in(self, sandbox: Sandbox) -> None:
        """Make a new process an agent of the swarm. Raises AgentLost, SwarmFailed."""
        agent = sandbox.agent
        self.on_sandbox(sandbox)
        await self.crew.open({agent: sandbox}, self.network)
        async with self.floor.admission() as rounds_over:
            self.assignments.offices.appoint(agent)
            await self.crew.assign([agent], rounds_over=rounds_over, deadline_s=ADMISSION_DEADLINE_S)
            self.verdicts.arrived(agent, sandbox.generation, now_s=self.now_s())
            await self.crew.welcome(agent)
            await self.crew.connect([agent], deadline_s=ADMISSION_DEADLINE_S)
