"""Carrying out what a chaos plan asks for while a swarm trades, and keeping account of it.

Faults of agents are armed ahead, in the sandbox that will suffer; one whose agent is being replaced waits for the new
process. Recovery is told when a fault began, so that the time to detection counts from there.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio
import msgspec

from orchestrator.chaos.aim import AgentBlow, AnyBlow, ApiBlow, CutOffBlow, LinkBlow
from orchestrator.recovery import Recovery
from orchestrator.simulation.faults import FaultPlan
from sandboxes.injector import FaultInjector, Surroundings
from sandboxes.provider import SandboxError
from workers.changes import Changes

ARMED_AHEAD_S = 0.5
# How long after a fault is over a death still counts as its consequence.
AFTERMATH_S = 1.0


class InjectedFault(msgspec.Struct, frozen=True):
    """What was done: as it was asked for, to whom, when (seconds of trading) and in which round.

    `failed`: why it could not be done; empty when it was.
    """

    fault: str
    agents: tuple[str, ...]
    at_s: float
    round: int
    failed: str = ""


@dataclass(slots=True, kw_only=True)
class Injection:
    """All that goes wrong on purpose in one swarm. `surroundings`: where they are simulated, else None."""

    blows: Sequence[AnyBlow]
    chance: FaultPlan | None
    injector: FaultInjector
    surroundings: Surroundings | None
    recovery: Recovery
    done: list[InjectedFault] = field(default_factory=list)
    _round: int = 0
    _began_s: float = 0.0
    _changes: Changes = field(default_factory=Changes)

    def note_round(self, round: int) -> None:
        """A round has begun."""
        self._round = round
        self._changes.note()

    @property
    def missed(self) -> tuple[str, ...]:
        """Name the faults that were asked for, and for which the end came too early."""
        asked = Counter(blow.text for blow in self.blows if not blow.is_by_chance)
        left = asked - Counter(injected.fault for injected in self.done)
        return tuple(sorted(left.elements()))

    async def run(self) -> None:
        """Do it all, until cancelled; the surroundings clear up then."""
        self._began_s = anyio.current_time()
        if self.surroundings is not None and self.chance is not None:
            chance = self.chance
            self.surroundings.worsen(drop=chance.drop, delay_s=chance.delay_s, start_s=chance.start_s)
        try:
            async with anyio.create_task_group() as tasks:
                for blow in self.blows:
                    tasks.start_soon(self._carry_out, blow)
        finally:
            if self.surroundings is not None:
                self.surroundings.clear_up()

    async def _carry_out(self, blow: AnyBlow) -> None:
        match blow:
            case AgentBlow():
                await self._strike_agent(blow)
            case LinkBlow():
                await self._strike_links(blow)
            case CutOffBlow() | ApiBlow():
                await self._wait_due(blow)
                self._worsen(blow)

    def _worsen(self, blow: CutOffBlow | ApiBlow) -> None:
        assert self.surroundings is not None, "only simulated surroundings go wrong by chance"
        seconds = blow.lasts_s or 0.0
        if isinstance(blow, CutOffBlow):
            self._note(self._begin(blow, blow.agents))
            self.surroundings.cut_off(blow.agents, is_one_way=blow.is_one_way, seconds=seconds)
        else:
            self._note(self._begin(blow, ()))
            self.surroundings.refuse_calls(seconds)

    async def _strike_agent(self, blow: AgentBlow) -> None:
        agent, crew = blow.agent, self.recovery.crew
        injected = InjectedFault(blow.text, (agent,), 0.0, 0)
        try:
            await self._wait_due(blow, ahead_s=ARMED_AHEAD_S)
            armed_in, fire = await self._arm(blow)
            await self._wait_due(blow)
            while agent in self.recovery.lost or crew.sandboxes[agent].id != armed_in:
                armed_in, fire = await self._arm(blow)
            injected = self._begin(blow, (agent,))
            await fire()
        except SandboxError as error:
            self.recovery.faults.pop(agent, None)
            injected = msgspec.structs.replace(injected, failed=str(error))
        self._note(injected)
        await self._forget(blow, (agent,))

    async def _arm(self, blow: AgentBlow) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Prepare a fault in the sandbox that the agent has now, or will have next."""
        recovery = self.recovery
        await recovery.changes.wait_until(lambda: blow.agent not in recovery.lost)
        sandbox = recovery.crew.sandboxes[blow.agent]
        return sandbox.id, await self.injector.arm(sandbox, blow.fault)

    async def _strike_links(self, blow: LinkBlow) -> None:
        recovery = self.recovery
        await self._wait_due(blow)
        involved = tuple(sorted({name for sender, order in blow.orders for name in (sender, order.neighbour)}))
        await recovery.changes.wait_until(lambda: not recovery.lost & set(involved))
        self._note(self._begin(blow, involved))
        for sender, order in blow.orders:
            await recovery.crew.impair(sender, order)
        await self._forget(blow, involved)

    async def _wait_due(self, blow: AnyBlow, *, ahead_s: float = 0.0) -> None:
        """Wait until it is time; `ahead_s`: or so long before, where the time is known beforehand."""
        if blow.after_s is not None:
            await anyio.sleep_until(self._began_s + blow.after_s - ahead_s)
        elif not ahead_s:
            await self._changes.wait_until(lambda: self._round >= (blow.round or 0))

    def _begin(self, blow: AnyBlow, agents: tuple[str, ...]) -> InjectedFault:
        """Take the time of a fault, and let it explain the deaths that may follow."""
        for agent in agents:
            self.recovery.faults[agent] = (blow.text, self.recovery.now_s())
        return InjectedFault(blow.text, agents, round(anyio.current_time() - self._began_s, 3), self._round)

    def _note(self, injected: InjectedFault) -> None:
        self.done.append(injected)
        event, agents = "fault.failed" if injected.failed else "fault.injected", ", ".join(injected.agents)
        self.recovery.journal.record(event, injected.fault, agents=agents, reason=injected.failed)

    async def _forget(self, blow: AnyBlow, agents: tuple[str, ...]) -> None:
        """Blame a fault for no death long after it is over."""
        if blow.lasts_s is None:
            return
        noted = {agent: self.recovery.faults.get(agent) for agent in agents}
        await anyio.sleep(blow.lasts_s + AFTERMATH_S)
        for agent, fault in noted.items():
            if fault is not None and self.recovery.faults.get(agent) is fault:
                del self.recovery.faults[agent]
