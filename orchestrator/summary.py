"""What a run has to say for itself at the end, as one value: for people, for `--json` and for tests.

Every number is counted or measured in the run. `clock` says whether seconds were real or virtual.
"""

from collections import Counter

import msgspec

from orchestrator.chaos.injection import InjectedFault
from orchestrator.coordinator import SwarmCoordinator
from orchestrator.ledger import RoundLedger, quantile
from orchestrator.recovery import Failover
from scaling.cost import cost_usd
from trading.paper import PaperAccount
from workers.codec import FinalAccount

MEMBERSHIP_MESSAGES = 2  # every edge carries a Join before the first round and a Leave after the last
WORKER_VCPUS = 2
WORKER_MEMORY_GIB = 0.5


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a tick sent to a decision heard, one sample for each decision."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Throughput(msgspec.Struct, frozen=True):
    """Rounds, and the messages of rounds on all edges, per second of trading."""

    rounds_s: float
    messages_s: float


class EdgeSummary(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """What one directed edge carried. `heard`: messages its receiver counted."""

    source: str
    target: str
    messages: int
    heard: int
    bytes: int
    rtt_ms_p50: float | None


class TaskSummary(msgspec.Struct, frozen=True):
    """Tasks that the rounds needed, that had an effect, that never had one, that had more than one, that erred."""

    assigned: int
    completed: int
    lost: int
    duplicated: int
    failed: int


class AgentSummary(msgspec.Struct, frozen=True):
    """One agent. `tasks`: those of its votes that went into decisions; `tasks_run`: those it says it ran."""

    name: str
    role: str
    state: str
    pid: int | None
    rss_mb: float | None
    tasks: int
    tasks_run: int
    pnl: float
    sandbox: str


class SandboxSummary(msgspec.Struct, frozen=True):
    """Sandboxes created, killed, and found running after the end."""

    created: int
    killed: int
    left: int


class StrategySummary(msgspec.Struct, frozen=True):
    """A strategy that ran; `sha256` of the file where it was the user's own."""

    name: str
    sha256: str


class ChaosSummary(msgspec.Struct, frozen=True):
    """What was done to the swarm on purpose; what was asked for and came too late."""

    injected: tuple[InjectedFault, ...]
    missed: tuple[str, ...]


class Summary(msgspec.Struct, frozen=True):
    """One run of one swarm. `failovers`: the agents that died, and how soon that was found out and mended."""

    swarm: str
    mode: str
    clock: str
    topology: str
    agents: int
    seed: int
    ready_s: float
    wall_s: float
    ticks: int
    rounds: int
    decisions: int
    trades: int
    pnl: float
    fees: float
    fee_bps: float
    capital: float
    latency_ms: Latency
    throughput: Throughput
    success_rate: float
    edges: tuple[EdgeSummary, ...]
    tasks: TaskSummary
    per_agent: tuple[AgentSummary, ...]
    sandboxes: SandboxSummary
    failovers: tuple[Failover, ...]
    chaos: ChaosSummary
    cost_usd: float
    cost_is_estimate: bool
    data: str
    strategies: tuple[StrategySummary, ...]
    decisions_hash: str
    targets_hash: str
    journal_hash: str


def summarise(coordinator: SwarmCoordinator) -> Summary:
    """Make the summary of a run that has ended."""
    plan, ledger, timing = coordinator.plan, coordinator.floor.ledger, coordinator.timing
    account, counts = coordinator.floor.account, coordinator.manager.counts
    pnl, edges = account.pnl(), _edges(coordinator)
    return Summary(
        swarm=coordinator.swarm,
        mode=plan.spec.mode,
        clock=coordinator.environment.clock,
        topology=plan.topology.kind,
        agents=len(plan.topology.agents),
        seed=plan.spec.seed,
        ready_s=round(timing.ready_s, 4),
        wall_s=round(timing.wall_s, 4),
        ticks=len(plan.tape.ticks),
        rounds=ledger.rounds,
        decisions=len(ledger.decisions),
        trades=account.trades,
        pnl=round(pnl.total, 2),
        fees=round(pnl.fees, 2),
        fee_bps=account.fee_bps,
        capital=account.capital,
        latency_ms=_latency(ledger),
        throughput=_throughput(ledger, edges, trading_s=timing.trading_s),
        success_rate=ledger.completed / max(1, len(plan.tape.ticks)),
        edges=edges,
        tasks=_tasks(ledger),
        per_agent=_agents(coordinator, account),
        sandboxes=SandboxSummary(counts.created, counts.killed, counts.left),
        failovers=tuple(coordinator.recovery.failovers) if coordinator.recovery is not None else (),
        chaos=_chaos(coordinator),
        cost_usd=round(cost_usd(counts.lifetime_s, vcpus=WORKER_VCPUS, memory_gib=WORKER_MEMORY_GIB), 6),
        cost_is_estimate=not coordinator.environment.is_billed,
        data=plan.tape.describe(),
        strategies=tuple(StrategySummary(one.reference.name, one.reference.sha256) for one in plan.strategies),
        decisions_hash=ledger.decisions_hash,
        targets_hash=ledger.targets_hash,
        journal_hash=coordinator.journal.hash,
    )


def _latency(ledger: RoundLedger) -> Latency:
    samples = sorted(ledger.latencies_ms)
    return Latency(*(_ms(quantile(samples, q)) for q in (0.5, 0.95, 0.99, 1.0)))


def _chaos(coordinator: SwarmCoordinator) -> ChaosSummary:
    injection = coordinator.injection
    return ChaosSummary(tuple(injection.done), injection.missed) if injection is not None else ChaosSummary((), ())


def _edges(coordinator: SwarmCoordinator) -> tuple[EdgeSummary, ...]:
    rows: list[EdgeSummary] = []
    for source, account in sorted(coordinator.accounts.items()):
        for edge in account.edges:
            target: FinalAccount | None = coordinator.accounts.get(edge.to)
            rows.append(
                EdgeSummary(
                    source=source,
                    target=edge.to,
                    messages=edge.messages,
                    heard=target.heard.get(source, 0) if target is not None else 0,
                    bytes=edge.bytes,
                    rtt_ms_p50=_ms(quantile(sorted(edge.rtt_ms), 0.5)),
                )
            )
    return tuple(rows)


def _throughput(ledger: RoundLedger, edges: tuple[EdgeSummary, ...], *, trading_s: float) -> Throughput:
    if trading_s <= 0.0:
        return Throughput(0.0, 0.0)
    messages = sum(edge.messages - MEMBERSHIP_MESSAGES for edge in edges)
    return Throughput(round(ledger.completed / trading_s, 2), round(messages / trading_s, 2))


def _tasks(ledger: RoundLedger) -> TaskSummary:
    return TaskSummary(
        assigned=ledger.tasks_assigned,
        completed=ledger.tasks_completed,
        lost=ledger.tasks_lost,
        duplicated=ledger.tasks_duplicated,
        failed=ledger.tasks_failed,
    )


def _agents(coordinator: SwarmCoordinator, account: PaperAccount) -> tuple[AgentSummary, ...]:
    by_agent: Counter[str] = coordinator.floor.ledger.tasks_by_agent
    pnl = account.pnl().per_agent
    return tuple(
        AgentSummary(
            name=row.name,
            role=row.role,
            state=row.state,
            pid=row.pid,
            rss_mb=row.rss_mb,
            tasks=by_agent[row.name],
            tasks_run=row.tasks,
            pnl=round(pnl.get(row.name, 0.0), 2),
            sandbox=row.sandbox_id,
        )
        for row in coordinator.board.rows.values()
    )


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
