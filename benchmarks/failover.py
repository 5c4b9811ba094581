"""How soon a dead agent is found out and replaced: workers killed and stopped in local mode, default detector settings.

    python -m benchmarks.failover [--kills N] [--agents N] [--out DIR]

Each run is a swarm with several faults one after the other, SIGKILL and SIGSTOP in turn, at each role of its topology;
runs of different topologies are shuffled, so that a machine that slows down slows all of them. `detected`: from the
moment before the signal is sent to the verdict. `repaired`: from there until every link of the new process is up.
Writes DIR/failover.json (every failover) and DIR/failover.md (the tables).
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from orchestrator.deploying import deploy
from orchestrator.ledger import quantile
from orchestrator.plan import make_plan
from orchestrator.spec import make_spec
from orchestrator.summary import Summary

ROLES = {
    "mesh": ("peer", "agent-001"),
    "hierarchical": ("root", "deputy", "leader", "worker"),
    "ring": ("agent-001", "agent-004", "stage"),
    "star": ("hub", "deputy", "spoke"),
}
SIGNALS = ("kill", "stop")
FAULTS_PER_RUN = 5
FIRST_S = 0.5
BETWEEN_S = 1.5
PACE_S = 0.05
DETECTED_MS_MAX = 300.0
REPAIRED_MS_MAX = 1000.0


class Fault(msgspec.Struct, frozen=True):
    """One death. None: not found out, or not repaired, before the end of its run."""

    topology: str
    role: str
    signal: str
    agent: str
    detected_ms: float | None
    repaired_ms: float | None


class Run(msgspec.Struct, frozen=True):
    """What one swarm came to. `others`: failovers that nobody asked for."""

    topology: str
    success_rate: float
    tasks_lost: int
    tasks_duplicated: int
    sandboxes_left: int
    others: int
    latency_ms_max: float | None


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    agents: int
    faults: tuple[Fault, ...]
    runs: tuple[Run, ...]


def deal(roles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name a signal and a role without end: each role with each signal in turn."""
    for number in count():
        yield SIGNALS[number % 2], roles[number // 2 % len(roles)]


def plan_runs(kills: int, order: random.Random) -> list[tuple[str, list[tuple[str, str]]]]:
    """Deal so many deaths over the topologies: per run a topology and the (signal, role) pairs of its faults.

    Every role meets every signal as often as it comes out, the topologies each as many runs.
    """
    dealt = {topology: deal(roles) for topology, roles in ROLES.items()}
    topologies = [list(ROLES)[number % len(ROLES)] for number in range(-(-kills // FAULTS_PER_RUN))]
    runs: list[tuple[str, list[tuple[str, str]]]] = []
    for number, topology in enumerate(topologies):
        size = min(FAULTS_PER_RUN, kills - number * FAULTS_PER_RUN)
        runs.append((topology, [next(dealt[topology]) for _ in range(size)]))
    order.shuffle(runs)
    return runs


def measure(topology: str, faults: Sequence[tuple[str, str]], *, agents: int, seed: int) -> tuple[list[Fault], Run]:
    """Deploy once, with these faults one after the other."""
    texts = [
        f"{signal}:{role}@{round((FIRST_S + number * BETWEEN_S) * 1000)}ms"
        for number, (signal, role) in enumerate(faults)
    ]
    wall_s = FIRST_S + len(faults) * BETWEEN_S
    spec = {
        "topology": topology,
        "agents": agents,
        "ticks": round(wall_s / PACE_S),
        "pace": PACE_S,
        "seed": seed,
        "strategy": "momentum,mean_reversion",
        "mode": "local",
        "chaos": "; ".join(texts),
    }
    plan = make_plan(make_spec({}, spec))
    summary = deploy(plan, watch=lambda board: None)
    written = [blow.text for blow in plan.blows]
    found = {failover.fault: failover for failover in summary.failovers}
    met = {injected.fault: injected.agents[0] for injected in summary.chaos.injected if not injected.failed}
    measured: list[Fault] = []
    for text, (signal, role) in zip(written, faults, strict=True):
        failover = found.get(text)
        detected_ms, repaired_ms = (failover.detected_ms, failover.repaired_ms) if failover else (None, None)
        measured.append(Fault(topology, role, signal, met.get(text, ""), detected_ms, repaired_ms))
    return measured, describe_run(summary, written)


def describe_run(summary: Summary, asked: Sequence[str]) -> Run:
    return Run(
        topology=summary.topology,
        success_rate=summary.success_rate,
        tasks_lost=summary.tasks.lost,
        tasks_duplicated=summary.tasks.duplicated,
        sandboxes_left=summary.sandboxes.left,
        others=sum(failover.fault not in asked for failover in summary.failovers),
        latency_ms_max=summary.latency_ms.max,
    )


def row(name: str, faults: Sequence[Fault]) -> str:
    """Write p50, p99 and the highest of both times."""
    cells = [str(len(faults))]
    for values in ([fault.detected_ms for fault in faults], [fault.repaired_ms for fault in faults]):
        known = sorted(value for value in values if value is not None)
        cells.append(str(len(values) - len(known)))
        cells += [f"{quantile(known, q) or 0.0:,.0f}" for q in (0.5, 0.99, 1.0)]
    return f"| {name} | {' | '.join(cells)} |"


def tables(report: Report) -> list[str]:
    head = [
        "| | deaths | not found out | detected p50 ms | p99 | highest "
        "| not repaired | repaired p50 ms | p99 | highest |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines = [*head, row("all", report.faults)]
    lines += [row(f"all, {signal}", [one for one in report.faults if one.signal == signal]) for signal in SIGNALS]
    for topology, roles in ROLES.items():
        for role in roles:
            for signal in SIGNALS:
                some = [
                    one for one in report.faults if (one.topology, one.role, one.signal) == (topology, role, signal)
                ]
                if some:
                    lines.append(row(f"{topology}, {role}, {signal}", some))
    return lines


def verdict(report: Report) -> list[str]:
    """Say what was lost, and whether the bars hold."""
    bars: list[str] = []
    for name, values, limit in (
        ("detected", [fault.detected_ms for fault in report.faults], DETECTED_MS_MAX),
        ("repaired", [fault.repaired_ms for fault in report.faults], REPAIRED_MS_MAX),
    ):
        known = sorted(value for value in values if value is not None)
        worst = quantile(known, 0.99)
        holds = worst is not None and worst < limit and len(known) == len(values)
        bars.append(f"- {name} p99 under {limit:,.0f} ms: {'yes' if holds else 'no'}")
    lost = sum(run.tasks_lost for run in report.runs)
    doubled = sum(run.tasks_duplicated for run in report.runs)
    left = sum(run.sandboxes_left for run in report.runs)
    lowest = min(run.success_rate for run in report.runs)
    others = sum(run.others for run in report.runs)
    return [
        *bars,
        f"- tasks lost {lost}, duplicated {doubled}; lowest success rate of a run {lowest:.3f}; sandboxes left {left}",
        f"- agents replaced that nobody had touched: {others}",
    ]


def write_report(report: Report, directory: Path) -> str:
    """Write both files and return the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Failover in local mode",
        "",
        f"{len(report.faults)} deaths in {len(report.runs)} runs of {report.agents} agents, a tick every "
        f"{PACE_S * 1000:.0f} ms, detectors as they are by default. `kill` is SIGKILL, `stop` is SIGSTOP without end.",
        "",
        *verdict(report),
        "",
        *tables(report),
        "",
        *machine_lines(report.machine),
        "",
    ]
    text = "\n".join(lines)
    (directory / "failover.md").write_text(text)
    (directory / "failover.json").write_bytes(msgspec.json.encode(report))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many deaths, stopped ones included (default 100)")
    parser.add_argument("--agents", type=int, default=8, help="agents of each swarm (default 8)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the report goes")
    options = parser.parse_args()
    faults: list[Fault] = []
    runs: list[Run] = []
    planned = plan_runs(options.kills, random.Random(0))
    for number, (topology, dealt) in enumerate(planned, start=1):
        print(f"run {number} of {len(planned)}: {topology}, {len(dealt)} deaths", flush=True)
        measured, run = measure(topology, dealt, agents=options.agents, seed=number)
        faults += measured
        runs.append(run)
    report = Report(describe_machine("benchmarks.failover"), options.agents, tuple(faults), tuple(runs))
    print(write_report(report, options.out))


if __name__ == "__main__":
    main()
