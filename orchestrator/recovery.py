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
from workers.changes import Changes
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
    changes: Changes = field(default_factory=Changes)
    _being_replaced: set[str] = field(default_factory=set)
    _restarts: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _tasks: TaskGroup | None = None

    @property
    def lost(self) -> frozenset[str]:
        """Name the agents that have no process that works; `changes` notes when that changes."""
        return self.verdicts.lost | self.crew.absent

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
        if self._tasks is None or agent in self._being_replaced or not self.verdicts.condemn(agent):
            return  # whoever replaces it finds out about the new process as well
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
        self.failovers.append(Failover(agent, fault, detected_ms, None))
        self.floor.board.rows[agent].is_being_replaced = True
        self.changes.note()
        self._being_replaced.add(agent)
        self._tasks.start_soon(self._replace, agent, len(self.failovers) - 1)

    def note_silence(self, agent: str) -> None:
        """An agent gave no last account: it died when all was decided, and nobody takes its place."""
        fault, since_s = self.faults.pop(agent, ("no last account", self.verdicts.heard_s(agent)))
        self.journal.record("agent.lost", agent, evidence="it gave no last account", fault=fault)
        self.failovers.append(Failover(agent, fault, round((self.now_s() - since_s) * 1000.0, 3), None))

    async def _replace(self, agent: str, number: int) -> None:
        """Put process after process in an agent's place, until one of them is in it."""
        began_s = self.now_s()
        await self.crew.bury(agent)
        await self.floor.play_again()
        sandbox = self.crew.sandboxes[agent]
        generation = sandbox.generation
        is_back = False
        while not is_back:
            generation += 1
            try:
                sandbox = await self.manager.replace(sandbox, generation=generation)
                await self._let_in(sandbox)
                is_back = True
            except (SandboxError, AgentLost, SwarmFailed) as error:
                self.journal.record("agent.not-replaced", agent, reason=str(error))
                self.verdicts.condemn(agent)
                await self.crew.bury(agent)  # the process that could not be let in goes before the next comes
                await anyio.sleep(RETRY_S)
        self._being_replaced.discard(agent)
        repaired_ms = round((self.now_s() - began_s) * 1000.0, 3)
        self.failovers[number] = msgspec.structs.replace(self.failovers[number], repaired_ms=repaired_ms)
        self.floor.board.rows[agent].is_being_replaced = False
        self.changes.note()
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
            with self.verdicts.joining(agent):
                await self.crew.welcome(agent)
                await self.crew.connect([agent], deadline_s=ADMISSION_DEADLINE_S)
