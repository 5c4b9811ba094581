"""SwarmCoordinator: takes a swarm from nothing to its last decision and back to nothing.

launch -> wire -> one round for each tick -> drain -> close. The coordinator sends a tick to the entry agents and hears
decisions; it never stands between two agents. Whatever ends the swarm, early or not, its sandboxes end with it.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from orchestrator.assignments import Assignments, detector_settings
from orchestrator.board import AgentRow, Board
from orchestrator.chaos.injection import Injection
from orchestrator.crew import Crew, SwarmFailed
from orchestrator.floor import Floor
from orchestrator.journal import Journal
from orchestrator.lines import Lines
from orchestrator.modes import Environment
from orchestrator.office_book import OfficeBook
from orchestrator.plan import Plan
from orchestrator.recovery import Recovery
from orchestrator.verdicts import Verdicts
from sandboxes.manager import SandboxManager, first_sandbox_error
from sandboxes.provider import Sandbox, SandboxError
from workers.codec import Account, Decided, FinalAccount, PeerNoticed, Progress, TookOffice
from workers.state import AgentState

TOKEN_BYTES = 24
CLOSE_DEADLINE_S = 60.0


@dataclass(slots=True)
class Timing:
    """When the environment began to open; seconds from then until all agents were connected and until all was
    over; seconds of trading in between."""

    began_s: float = 0.0
    ready_s: float = 0.0
    trading_s: float = 0.0
    wall_s: float = 0.0


class NameTaken(SandboxError):
    """Sandboxes of a swarm of this name are running already."""


@dataclass(slots=True)
class SwarmCoordinator:
    """One swarm, once. `board` shows how it stands, the rest is complete after `run`."""

    plan: Plan
    environment: Environment
    swarm: str
    board: Board = field(init=False)
    journal: Journal = field(init=False)
    floor: Floor = field(init=False)
    manager: SandboxManager = field(init=False)
    timing: Timing = field(default_factory=Timing)
    accounts: dict[str, FinalAccount] = field(default_factory=dict)
    recovery: Recovery | None = None
    injection: Injection | None = None
    _assignments: Assignments = field(init=False)

    def __post_init__(self) -> None:
        spec, topology = self.plan.spec, self.plan.topology
        self.timing.began_s = self.environment.began_s
        self.journal = Journal(self.environment.now_s)
        rows = {
            agent: AgentRow(agent, topology.role(agent), len(topology.neighbours(agent))) for agent in topology.agents
        }
        self.board = Board(self.swarm, spec.topology, spec.mode, len(self.plan.tape.ticks), rows)
        self._assignments = Assignments(
            self.plan,
            self.swarm,
            self.environment.token_hex(TOKEN_BYTES),
            detector_settings(topology, heartbeat_s_min=self.environment.heartbeat_s_min),
            OfficeBook(topology),
        )
        self.floor = Floor(self.plan, self.journal, self.board, self.environment.now_s, self._assignments)
        self.manager = SandboxManager(
            provider=self.environment.provider,
            capacity=self.environment.capacity,
            swarm=self.swarm,
            rng=random.Random(f"{spec.seed}/sandboxes"),
        )

    async def run(self) -> None:
        """Run the swarm to its end. Raises SandboxError, SwarmFailed or AgentLost; nothing is left in any case."""
        self.manager.check_capacity(len(self.plan.topology.agents))
        await self._refuse_taken_name()
        close_s = self.environment.close_deadline_s
        try:
            await self._live()
            close_s = CLOSE_DEADLINE_S  # nobody waits for the prompt: every sandbox is ended in order
        except BaseExceptionGroup as group:
            raise first_sandbox_error(group) from group
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(close_s):
                await self._close()
        self.timing.wall_s = self.environment.now_s() - self.timing.began_s

    async def _live(self) -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.manager.keep_leased)
            self.journal.record("swarm.launched", self.swarm, agents=len(self.plan.topology.agents))
            sandboxes = await self._launch()
            lines = Lines(tasks, on_account=self._on_account, on_lost=self._on_lost)
            try:
                await self._work(Crew(self._assignments, lines), sandboxes)
            finally:
                await lines.close()
            tasks.cancel_scope.cancel()

    async def _work(self, crew: Crew, sandboxes: Mapping[str, Sandbox]) -> None:
        self.board.phase = "wiring"
        agents = self.plan.topology.agents
        await crew.open(sandboxes, self.environment.network)
        await crew.assign(agents, rounds_over=0)
        await crew.connect(agents)
        self.timing.ready_s = self.environment.now_s() - self.timing.began_s
        self.journal.record("swarm.ready", self.swarm, edges=len(self.plan.topology.edges))
        await self._trade(crew)
        self.board.phase = "draining"
        for agent in await crew.drain():
            assert self.recovery is not None
            self.recovery.note_silence(agent)
        self.accounts = dict(sorted(crew.accounts.items()))
        self.journal.record("swarm.drained", self.swarm)

    async def _trade(self, crew: Crew) -> None:
        """Play all rounds, and fill the places of those who die."""
        verdicts = Verdicts({agent: self._watchers(agent) for agent in self.plan.topology.agents})
        for agent, sandbox in crew.sandboxes.items():
            verdicts.arrived(agent, sandbox.generation, now_s=self.environment.now_s())
        self.recovery = Recovery(
            crew=crew,
            assignments=self._assignments,
            manager=self.manager,
            network=self.environment.network,
            floor=self.floor,
            journal=self.journal,
            verdicts=verdicts,
            now_s=self.environment.now_s,
            on_sandbox=self._on_sandbox,
        )
        self.injection = Injection(
            blows=self.plan.blows,
            chance=self.plan.chaos.chance,
            injector=self.environment.injector,
            surroundings=self.environment.surroundings,
            recovery=self.recovery,
        )
        self.floor.on_round = self.injection.note_round
        self.board.phase = "trading"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.recovery.run)
            tasks.start_soon(self.injection.run)
            await self.floor.run(crew)
            tasks.cancel_scope.cancel()
        self.timing.trading_s = self.environment.now_s() - self.timing.began_s - self.timing.ready_s

    def _watchers(self, agent: str) -> frozenset[str]:
        return frozenset(other for other, seat in self.plan.topology.seats.items() if agent in seat.watches)

    async def _launch(self) -> Mapping[str, Sandbox]:
        files = {
            strategy.reference.path: strategy.content for strategy in self.plan.strategies if strategy.reference.path
        }
        agents = self.plan.topology.agents
        return await self.manager.launch(dict.fromkeys(agents, files), on_ready=self._on_sandbox)

    def _on_sandbox(self, sandbox: Sandbox) -> None:
        row = self.board.rows[sandbox.agent]
        row.sandbox_id, row.pid, row.generation = sandbox.id, sandbox.pid, sandbox.generation
        self.board.sandboxes_ready += sandbox.generation == 1
        self.journal.record("sandbox.created", sandbox.agent, sandbox=sandbox.id, generation=sandbox.generation)

    def _on_account(self, agent: str, account: Account) -> None:
        if self.recovery is not None:
            self.recovery.verdicts.heard(agent, self.environment.now_s())
        match account:
            case Progress():
                self.board.rows[agent].update(account)
            case Decided():
                self.floor.hear(account)
            case TookOffice(office=office, token=token):
                if self._assignments.offices.took_office(office, token):
                    self.journal.record("office.taken", office, agent=agent, token=token)
                    self.floor.ask_again()
            case PeerNoticed() if self.recovery is not None:
                self.recovery.notice(account)

    def _on_lost(self, agent: str, reason: str) -> None:
        if self.recovery is None:
            raise SwarmFailed(f"{agent}: {reason}")
        self.recovery.lose(agent, reason)

    async def _refuse_taken_name(self) -> None:
        """Ask for what runs under this name: also the first call that shows whether the key is good."""
        running = await self.environment.provider.list(self.swarm)
        if running:
            raise NameTaken(
                f"a swarm named {self.swarm} has {len(running)} sandboxes running; choose another --name, or stop it"
            )

    async def _close(self) -> None:
        await self.manager.close()
        for agent, account in self.accounts.items():
            row = self.board.rows[agent]
            row.state, row.tasks, row.rss_mb = AgentState.OFFLINE, account.tasks, account.rss_mb
        self.board.phase = "stopped"
        counts = self.manager.counts
        self.journal.record("swarm.stopped", self.swarm, killed=counts.killed, left=counts.left)
