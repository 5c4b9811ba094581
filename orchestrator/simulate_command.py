"""`e2b-swarm simulate`: the swarm's real rules under seeded faults, thousands of times faster than time."""

import sys
import time
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orchestrator.simulation.campaign import CampaignReport, cases_of, run_campaign
from orchestrator.simulation.engine import HeapEngine
from orchestrator.simulation.faults import FaultPlanError, read_plan
from orchestrator.simulation.shrink import Shortest
from orchestrator.simulation.world import Case, World
from topologies.kinds import TopologyKind

VIOLATED = 1
USAGE = 2
ALL = "all"
AGENTS_MIN, AGENTS_MAX = 2, 1000
MINUTES_MIN = 2.5

Seeds = Annotated[int, typer.Option(min=1, help="How many seeds to run; each is another world.")]
StartSeed = Annotated[int, typer.Option(min=0, help="The first seed.")]
TopologyOption = Annotated[str, typer.Option(help="all, mesh, hierarchical, ring or star.")]
Agents = Annotated[int, typer.Option(help=f"Agents in each swarm, {AGENTS_MIN} to {AGENTS_MAX}.")]
Minutes = Annotated[
    float, typer.Option(help="Virtual minutes per run; the last fifth, at least 80 s, is without faults.")
]
Faults = Annotated[
    str, typer.Option(help="none, default, harsh, or a TOML file of probabilities, rates and durations.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Replay = Annotated[
    int | None, typer.Option(help="Run this one seed and print all that happens, with the hash of its trace.")
]


simulate_app = typer.Typer()


@simulate_app.command("simulate")
def simulate_command(
    seeds: Seeds = 20,
    start_seed: StartSeed = 0,
    topology: TopologyOption = ALL,
    agents: Agents = 12,
    virtual_minutes: Minutes = 10.0,
    faults: Faults = "default",
    json: Json = False,
    replay: Replay = None,
) -> int:
    """Run the agents' and the coordinator's own rules under seeded faults, and check the invariants at every event.

    Each seed draws its own mix of crashes, hangs, vanished sandboxes, partitions, lost, doubled and reordered frames
    and clocks that run wrong; the end of every run is calm, and all must be well again soon. The same seed gives the
    same trace in any process. For a violation the seed is printed with the shortest list of faults that shows it.

    Exits with 0 when no invariant was violated, 1 when one was, 2 for a request that cannot be carried out.
    """
    try:
        cases = _cases(
            topology, range(start_seed, start_seed + seeds), agents=agents, minutes=virtual_minutes, faults=faults
        )
    except (FaultPlanError, ValueError) as error:
        sys.stderr.write(f"e2b-swarm: {error}\n")
        return USAGE
    if replay is not None:
        return _replay([msgspec.structs.replace(case, seed=replay) for case in cases if case.seed == start_seed], json)
    report = _run_with_progress(cases)
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        sys.stdout.write("\n".join(report_lines(report)) + "\n")
    return VIOLATED if report.violations else 0


def _cases(topology: str, seeds: range, *, agents: int, minutes: float, faults: str) -> list[Case]:
    kinds = tuple(TopologyKind) if topology == ALL else (_kind(topology),)
    if not AGENTS_MIN <= agents <= AGENTS_MAX:
        raise ValueError(f"agents is {agents}: a simulated swarm has {AGENTS_MIN} to {AGENTS_MAX}")
    if not MINUTES_MIN <= minutes < float("inf"):
        raise ValueError(f"virtual-minutes is {minutes}: give at least {MINUTES_MIN:g}; 80 s of it are without faults")
    return cases_of(kinds, seeds, agents=agents, virtual_s=minutes * 60.0, plan=read_plan(faults))


def _kind(name: str) -> TopologyKind:
    try:
        return TopologyKind(name)
    except ValueError:
        raise ValueError(f"unknown topology {name!r}; choose {ALL}, {', '.join(TopologyKind)}") from None


def _run_with_progress(cases: list[Case]) -> CampaignReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("simulating", total=len(cases))
        return run_campaign(cases, now_s=time.perf_counter, on_outcome=lambda _: progress.advance(task))


def _replay(cases: list[Case], json: bool) -> int:
    has_violation = False
    for case in cases:
        world = World(case, HeapEngine(), keep_all=True)
        outcome = world.run()
        has_violation = has_violation or outcome.violation is not None
        if json:
            record = {"outcome": outcome, "journal": world.trace.latest()}
            sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
            continue
        for event in world.trace.latest():
            sys.stdout.write(f"{event}\n")
        sys.stdout.write(f"{case.topology}, seed {case.seed}: {outcome.events} events, hash {outcome.hash}\n")
        if outcome.violation is not None:
            sys.stdout.write(f"VIOLATION {outcome.violation.invariant}: {outcome.violation.found}\n")
    return VIOLATED if has_violation else 0


def report_lines(report: CampaignReport) -> list[str]:
    """Say what a campaign came to, for people."""
    first, last = report.seeds
    faults = ", ".join(f"{kind} {count:,}" for kind, count in report.faults.items()) or "none"
    repair = (
        "none died"
        if report.repair_s_p50 is None
        else (
            f"p50 {report.repair_s_p50:g}, p99 {report.repair_s_p99:g}, max {report.repair_s_max:g} virtual s "
            "until replaced"
        )
    )
    lines = [
        f"{report.runs:,} runs: {', '.join(report.topologies)}; {report.agents} agents, seeds {first} to {last}, "
        f"{report.virtual_minutes:g} virtual minutes each",
        f"  events      {report.events:,}; {report.rounds:,} rounds, {report.failed_rounds:,} failed under faults",
        f"  faults      {faults}",
        f"  deaths      {report.deaths:,}; {repair}",
        f"  checks      {report.checks:,} of {len(report.invariants)} invariants",
        f"  speed       {report.virtual_hours:g} virtual hours in {report.wall_s:.1f} s: "
        f"{report.virtual_hours_per_wall_s:.2f} virtual hours per second",
        f"  hash        {report.hash}",
        f"  violations  {report.violations}",
    ]
    for shortest in report.shortest:
        lines += _shortest_lines(shortest)
    return lines


def _shortest_lines(shortest: Shortest) -> list[str]:
    noise = f" with {', '.join(shortest.noise)}" if shortest.noise else ""
    return [
        "",
        f"VIOLATION {shortest.violation.invariant}, {shortest.topology}, seed {shortest.seed}, "
        f"at {shortest.violation.at_s:.6f} virtual s: {shortest.violation.found}",
        f"  {len(shortest.faults)} faults show it{noise}:",
        *(
            f"    {fault.at_s:10.3f} s  {fault.kind} {', '.join(fault.agents)} {fault.duration_s:.3f} s"
            for fault in shortest.faults
        ),
        "  what happened last:",
        *(f"    {event}" for event in shortest.events),
        f"  all of it: e2b-swarm simulate --replay {shortest.seed} --topology {shortest.topology} "
        f"--agents {shortest.agents} (and the other options as before)",
    ]
