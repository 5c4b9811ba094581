"""A simulated world: agents, wires, a coordinator and faults, from one seed."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import assert_never

import msgspec

from orchestrator.simulation.control import Control, Watching
from orchestrator.simulation.engine import Engine
from orchestrator.simulation.faults import Fault, FaultKind, FaultPlan, draw_faults, swarm_of
from orchestrator.simulation.invariants import Checker, Invariant, Violated, Violation
from orchestrator.simulation.network import SimNetwork
from orchestrator.simulation.node import SimDesk
from orchestrator.simulation.orders import Orders
from orchestrator.simulation.processes import Processes
from orchestrator.simulation.rounds import Pace
from orchestrator.simulation.trace import Trace
from topologies.detector import DetectorSettings, PeerState
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, Topology, lay_out
from topologies.member import Member

HEARTBEAT_S = 1.0
TICK_S = 5.0
ROUND_DEADLINE_S = 20.0
FIRST_FAULT_S = 10.0
CALM_SHARE = 0.2
REPAIR_BOUND_HEARTBEATS = 40
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
STRATEGIES = ("mean_reversion", "momentum")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation. `faults`: what happens and when, instead of what the seed would draw."""

    topology: TopologyKind
    agents: int
    seed: int
    virtual_s: float
    plan: FaultPlan
    tick_s: float = TICK_S
    faults: tuple[Fault, ...] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation came to. `messages`: of rounds and repairs, on all edges; `repair_s`: one per death."""

    topology: TopologyKind
    seed: int
    virtual_s: float
    events: int
    faults: dict[str, int]
    rounds: int
    failed_rounds: int
    decisions: int
    messages: int
    deaths: int
    repair_s: tuple[float, ...]
    checks: int
    hash: str
    violation: Violation | None


def lay_out_case(case: Case) -> Topology:
    """Lay out the swarm of a case."""
    request = LayoutRequest(
        agents=tuple(f"agent-{number:03}" for number in range(1, case.agents + 1)),
        strategies=STRATEGIES,
        symbols=SYMBOLS,
        deadline_s=ROUND_DEADLINE_S / 2,
    )
    return lay_out(case.topology, request)


class World:
    """One run of one case. Made anew for each run."""

    def __init__(self, case: Case, engine: Engine, *, keep_all: bool = False) -> None:
        self.case = case
        self.engine = engine
        self.trace = Trace(keep_all=keep_all)
        self.topology = lay_out_case(case)
        rng = random.Random(f"{case.seed}/{case.topology}/{case.agents}/world")
        plan = swarm_of(case.plan, rng)
        self.faults, self._calm_s = _faults_of(msgspec.structs.replace(case, plan=plan), self.topology, rng=rng)
        drift = plan.clock_drift
        rates = {agent: 1.0 + rng.uniform(-drift, drift) for agent in self.topology.agents}
        settings = DetectorSettings.paced(HEARTBEAT_S)
        self.checker = Checker(self.topology, lambda: engine.now_s)
        self.processes = Processes(engine, rates=rates, checker=self.checker, trace=self.trace)
        self.network = SimNetwork(engine, rng, plan=plan, trace=self.trace, deliver=self.processes.deliver)
        self.processes.network = self.network
        self.orders = Orders(engine, self.processes, rng=rng, plan=plan, settings=settings)
        self.control = Control(
            self.topology,
            self.orders,
            pace=Pace(tick_s=case.tick_s, round_s=ROUND_DEADLINE_S, agent_s=ROUND_DEADLINE_S / 2),
            watching=Watching(settings=settings, checker=self.checker, trace=self.trace, now_s=lambda: engine.now_s),
        )
        self.orders.generations, self.orders.absent = self.control.generations, self.control.absent
        self.processes.hear = lambda agent, generation, account: self.control.hear(
            agent, account, generation=generation
        )
        self._fault_counts: Counter[str] = Counter()

    def run(self) -> Outcome:
        """Run to the end, or to the first violation."""
        violation: Violation | None = None
        try:
            self._begin()
            self.engine.run(self.case.virtual_s)
            self._check_end()
        except Violated as error:
            violation = error.violation
        ledger, network = self.control.rounds.ledger, self.network
        reordered = self.trace.counts["reordered"]
        faults = {**self._fault_counts, "drop": network.dropped, "duplicate": network.duplicated, "reorder": reordered}
        return Outcome(
            topology=self.case.topology,
            seed=self.case.seed,
            virtual_s=self.engine.now_s,
            events=self.trace.events,
            faults={kind: number for kind, number in faults.items() if number},
            rounds=ledger.rounds,
            failed_rounds=ledger.failed,
            decisions=len(ledger.decisions),
            messages=self.processes.messages,
            deaths=self.control.deaths,
            repair_s=tuple(self.control.repairs_s),
            checks=self.checker.checks,
            hash=self.trace.hash,
            violation=violation,
        )

    def _begin(self) -> None:
        for agent in self.topology.agents:
            self.orders.admit(self.topology.seats[agent], 1, rounds_over=0)
        for fault in self.faults:
            self.engine.at(fault.at_s, partial(self._inject, fault))
        self.engine.at(self._calm_s, self._calm_down)
        self.orders.later(HEARTBEAT_S, self._watch_silence)

    def _watch_silence(self) -> None:
        self.control.look_for_silence()
        self.orders.later(HEARTBEAT_S, self._watch_silence)

    def _inject(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.CRASH | FaultKind.VANISH:
                has_happened = self.processes.end(fault.agents[0], is_seen=fault.kind is FaultKind.CRASH)
            case FaultKind.HANG:
                has_happened = self.processes.hang(fault.agents[0])
                self.orders.later(fault.duration_s, lambda: self.processes.go_on(fault.agents[0]))
            case FaultKind.PARTITION | FaultKind.ONE_WAY_PARTITION:
                has_happened = True
                self.network.part(fault.agents, is_one_way=fault.kind is FaultKind.ONE_WAY_PARTITION)
                self.orders.later(fault.duration_s, lambda: self.network.heal(fault.agents))
            case FaultKind.API_OUTAGE:
                has_happened = True
                self.orders.outages += 1
                self.orders.later(fault.duration_s, self._end_outage)
            case _:
                assert_never(fault.kind)
        if has_happened:
            self._fault_counts[fault.kind] += 1
            self.trace.note(self.engine.now_s, fault.kind, fault.agents[0], f"{len(fault.agents)}")

    def _end_outage(self) -> None:
        self.orders.outages -= 1

    def _calm_down(self) -> None:
        self.network.plan = FaultPlan(delay_s=self.network.plan.delay_s)
        self.trace.note(self.engine.now_s, "calm")

    def _check_end(self) -> None:
        """Check what must hold long after the last fault, and what must add up."""
        checker, network = self.checker, self.network
        gone = sorted(self.control.absent)
        checker.require(not gone, Invariant.REPAIRED, found=f"without a process: {', '.join(gone)}")
        for node in self.processes.nodes.values():
            detector = node.member.detector
            dead = [peer for peer in detector.peers if detector.state(peer) is PeerState.DEAD]
            checker.require(not dead, Invariant.REPAIRED, found=f"{node.name} takes {', '.join(dead)} for dead")
        duties = [(node.name, duty) for node in self.processes.nodes.values() for duty in node.member.duties()]
        checker.on_quiet(duties, duties_of(self.topology))
        since_s = self._calm_s + REPAIR_BOUND_HEARTBEATS * HEARTBEAT_S
        stuck = [str(number) for at_s, number in self.control.rounds.failed if at_s > since_s]
        checker.require(not stuck, Invariant.PROGRESS, found=f"rounds failed without a fault: {', '.join(stuck[:5])}")
        played = self.control.rounds.ledger.completed
        checker.require(played > 0, Invariant.PROGRESS, found="no round was ever completed")
        adds_up = network.sent + network.duplicated == network.dropped + network.delivered + network.under_way
        checker.require(
            adds_up, Invariant.CONSERVED, found="frames sent are not frames dropped, delivered and under way"
        )


def _faults_of(case: Case, topology: Topology, *, rng: random.Random) -> tuple[Sequence[Fault], float]:
    """Return what goes wrong, and from when on nothing does: the end of a run shows whether all is well again."""
    calm_s = case.virtual_s - max(CALM_SHARE * case.virtual_s, 2 * REPAIR_BOUND_HEARTBEATS * HEARTBEAT_S)
    drawn = draw_faults(case.plan, topology.agents, rng=rng, until_s=max(0.0, calm_s - FIRST_FAULT_S))
    moved = [msgspec.structs.replace(fault, at_s=fault.at_s + FIRST_FAULT_S) for fault in drawn]
    return (moved if case.faults is None else case.faults), calm_s


def duties_of(topology: Topology) -> frozenset[str]:
    """Name all duties of a topology: each is to have one agent that answers for it."""
    settings = DetectorSettings.paced(HEARTBEAT_S)
    return frozenset(
        duty
        for seat in topology.seats.values()
        for duty in Member(seat, SimDesk(seat.agent, 0), settings=settings, now_s=0.0).duties()
    )
