"""Many seeds on all cores, and what they came to together."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from multiprocessing import get_context

import msgspec

from orchestrator.ledger import quantile
from orchestrator.simulation.engine import HeapEngine
from orchestrator.simulation.faults import FaultPlan
from orchestrator.simulation.invariants import Invariant
from orchestrator.simulation.shrink import Shortest, shrink
from orchestrator.simulation.world import Case, Outcome, World
from topologies.kinds import TopologyKind

CASES_PER_TURN = 4
VIOLATIONS_SHRUNK_MAX = 3


class CampaignReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign came to.

    `checks`: comparisons made, of all invariants together. `repair_s_p50`, `_p99`, `_max`: virtual seconds from the
    verdict that an agent is dead to its replacement being connected. `hash`: of all runs' traces, in order.
    """

    runs: int
    topologies: tuple[str, ...]
    agents: int
    seeds: tuple[int, int]
    virtual_minutes: float
    events: int
    faults: dict[str, int]
    rounds: int
    failed_rounds: int
    deaths: int
    checks: int
    invariants: tuple[str, ...]
    repair_s_p50: float | None
    repair_s_p99: float | None
    repair_s_max: float | None
    virtual_hours: float
    wall_s: float
    virtual_hours_per_wall_s: float
    hash: str
    violations: int
    shortest: tuple[Shortest, ...]


def cases_of(
    topologies: Sequence[TopologyKind], seeds: range, *, agents: int, virtual_s: float, plan: FaultPlan
) -> list[Case]:
    """List the cases of a campaign: every seed on every topology."""
    return [
        Case(topology=topology, agents=agents, seed=seed, virtual_s=virtual_s, plan=plan)
        for seed in seeds
        for topology in topologies
    ]


def run_case(case: Case) -> Outcome:
    """Run one case on the fast engine."""
    return World(case, HeapEngine()).run()


def run_cases(cases: Sequence[Case], *, workers: int | None = None) -> Iterator[Outcome]:
    """Run cases on all cores (or on so many), and yield the outcomes in the order of the cases."""
    count = workers or os.cpu_count() or 1
    if count == 1 or len(cases) == 1:
        yield from map(run_case, cases)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(run_case, cases, chunksize=CASES_PER_TURN)


def run_campaign(
    cases: Sequence[Case], *, now_s: Callable[[], float], on_outcome: Callable[[Outcome], None]
) -> CampaignReport:
    """Run a campaign and sum it up; the first violations are made as short as can be."""
    began_s = now_s()
    outcomes: list[Outcome] = []
    for outcome in run_cases(cases):
        outcomes.append(outcome)
        on_outcome(outcome)
    wall_s = now_s() - began_s
    violated = [case for case, outcome in zip(cases, outcomes, strict=True) if outcome.violation is not None]
    return sum_up(cases, outcomes, wall_s=wall_s, shortest=[shrink(case) for case in violated[:VIOLATIONS_SHRUNK_MAX]])


def sum_up(
    cases: Sequence[Case], outcomes: Sequence[Outcome], *, wall_s: float, shortest: Iterable[Shortest]
) -> CampaignReport:
    """Add up the outcomes of a campaign."""
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
    repairs = sorted(repair_s for outcome in outcomes for repair_s in outcome.repair_s)
    virtual_h = sum(outcome.virtual_s for outcome in outcomes) / 3600.0
    return CampaignReport(
        runs=len(outcomes),
        topologies=tuple(sorted({case.topology for case in cases})),
        agents=cases[0].agents,
        seeds=(cases[0].seed, cases[-1].seed),
        virtual_minutes=cases[0].virtual_s / 60.0,
        events=sum(outcome.events for outcome in outcomes),
        faults=dict(sorted(faults.items())),
        rounds=sum(outcome.rounds for outcome in outcomes),
        failed_rounds=sum(outcome.failed_rounds for outcome in outcomes),
        deaths=sum(outcome.deaths for outcome in outcomes),
        checks=sum(outcome.checks for outcome in outcomes),
        invariants=tuple(Invariant),
        repair_s_p50=_quantile(repairs, 0.5),
        repair_s_p99=_quantile(repairs, 0.99),
        repair_s_max=_quantile(repairs, 1.0),
        virtual_hours=round(virtual_h, 3),
        wall_s=round(wall_s, 3),
        virtual_hours_per_wall_s=round(virtual_h / max(wall_s, 1e-9), 3),
        hash=_hash_of(outcomes),
        violations=sum(outcome.violation is not None for outcome in outcomes),
        shortest=tuple(shortest),
    )


def _quantile(ordered: Sequence[float], q: float) -> float | None:
    value = quantile(ordered, q)
    return None if value is None else round(value, 3)


def _hash_of(outcomes: Sequence[Outcome]) -> str:
    digest = blake2b(digest_size=16)
    for outcome in outcomes:
        digest.update(outcome.hash.encode())
    return digest.hexdigest()
