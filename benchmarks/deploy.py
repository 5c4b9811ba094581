"""What a deploy costs in local mode: latency in each topology, time until ten workers are ready, memory of a worker.

    python -m benchmarks.deploy [--rounds R] [--agents N] [--ticks N] [--out DIR]

Topologies are measured in shuffled order within each round, so that a machine that slows down slows all of them. The
figures are those of the runs' own summaries; memory is the proportional set size (PSS) that the kernel gives for each
worker's process while it trades. Writes DIR/deploy.json (every run) and DIR/deploy.md (the tables).
"""

import argparse
import random
import statistics
import threading
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from orchestrator.board import Board
from orchestrator.deploying import deploy
from orchestrator.plan import make_plan
from orchestrator.spec import make_spec
from orchestrator.summary import Summary
from topologies.kinds import TopologyKind

READY_AGENTS = 10
SAMPLE_INTERVAL_S = 0.02


class Measured(msgspec.Struct, frozen=True):
    """One run: its summary and the PSS of each worker in MiB, the highest seen."""

    summary: Summary
    pss_mb: dict[str, float]


class Report(msgspec.Struct, frozen=True):
    """All runs: those for latency, those for readiness and memory."""

    machine: Machine
    latency_runs: tuple[Measured, ...]
    ready_runs: tuple[Measured, ...]


class PssSampler:
    """Reads the memory of a board's workers while they trade."""

    def __init__(self) -> None:
        self.highest_mb: dict[str, float] = {}
        self._board: Board | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def watch(self, board: Board) -> None:
        self._board = board
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_INTERVAL_S):
            if self._board is not None and self._board.phase in ("trading", "draining"):
                for row in list(self._board.rows.values()):
                    if row.pid is not None and (pss := read_pss_mb(row.pid)) is not None:
                        self.highest_mb[row.name] = max(pss, self.highest_mb.get(row.name, 0.0))


def read_pss_mb(pid: int) -> float | None:
    """Return the proportional set size of a process in MiB; None when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((round(int(line.split()[1]) / 1024, 2) for line in lines if line.startswith("Pss:")), None)


def measure(topology: str, agents: int, *, ticks: int) -> Measured:
    """Deploy once and measure."""
    plan = make_plan(make_spec({}, {"topology": topology, "agents": agents, "ticks": ticks, "mode": "local"}))
    sampler = PssSampler()
    summary = deploy(plan, watch=sampler.watch)
    sampler.stop()
    return Measured(summary, sampler.highest_mb)


def latency_table(runs: list[Measured]) -> list[str]:
    """One row a topology: medians over the rounds, and the highest p99 of any round."""
    lines = [
        "| topology | rounds/s | messages/s | p50 ms | p95 ms | p99 ms | highest p99 ms | success rate |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in TopologyKind:
        of_kind = [run.summary for run in runs if run.summary.topology == kind]
        latency = [summary.latency_ms for summary in of_kind]
        row = (
            statistics.median(summary.throughput.rounds_s for summary in of_kind),
            statistics.median(summary.throughput.messages_s for summary in of_kind),
            statistics.median(one.p50 or 0.0 for one in latency),
            statistics.median(one.p95 or 0.0 for one in latency),
            statistics.median(one.p99 or 0.0 for one in latency),
            max(one.p99 or 0.0 for one in latency),
            min(summary.success_rate for summary in of_kind),
        )
        lines.append(f"| {kind} | " + " | ".join(f"{value:,.2f}" for value in row) + " |")
    return lines


def ready_table(runs: list[Measured]) -> list[str]:
    """Seconds until ten workers were ready, and what memory a worker took."""
    ready = sorted(run.summary.ready_s for run in runs)
    pss = sorted(value for run in runs for value in run.pss_mb.values())
    return [
        "| measure | lowest | median | highest |",
        "|---|---|---|---|",
        f"| {READY_AGENTS} workers ready, s | {ready[0]:.2f} | {statistics.median(ready):.2f} | {ready[-1]:.2f} |",
        f"| PSS of a worker, MiB | {pss[0]:.1f} | {statistics.median(pss):.1f} | {pss[-1]:.1f} |",
    ]


def write_report(report: Report, directory: Path, *, agents: int) -> str:
    """Write both files and return the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    ticks = report.latency_runs[0].summary.ticks
    rounds = len(report.latency_runs) // len(TopologyKind)
    lines = [
        "# Deploying in local mode",
        "",
        f"From a tick sent to a decision heard, {agents} agents, {ticks} ticks, median of {rounds} interleaved rounds:",
        "",
        *latency_table(list(report.latency_runs)),
        "",
        "From the first moment (the embedded server not yet started) until all links of a mesh were up:",
        "",
        *ready_table(list(report.ready_runs)),
        "",
        *machine_lines(report.machine),
        "",
    ]
    text = "\n".join(lines)
    (directory / "deploy.md").write_text(text)
    (directory / "deploy.json").write_bytes(msgspec.json.encode(report))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each topology is measured (default 5)")
    parser.add_argument("--agents", type=int, default=8, help="agents in the latency runs (default 8)")
    parser.add_argument("--ticks", type=int, default=500, help="ticks of each latency run (default 500)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the report goes")
    options = parser.parse_args()
    order = random.Random(0)
    latency_runs: list[Measured] = []
    ready_runs: list[Measured] = []
    for number in range(1, options.rounds + 1):
        kinds = list(TopologyKind)
        order.shuffle(kinds)
        for kind in kinds:
            print(f"round {number} of {options.rounds}: {kind}", flush=True)
            latency_runs.append(measure(kind, options.agents, ticks=options.ticks))
        ready_runs.append(measure(TopologyKind.MESH, READY_AGENTS, ticks=100))
    report = Report(describe_machine("benchmarks.deploy"), tuple(latency_runs), tuple(ready_runs))
    print(write_report(report, options.out, agents=options.agents))


if __name__ == "__main__":
    main()
