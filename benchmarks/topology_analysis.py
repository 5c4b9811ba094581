"""What each topology is worth on paper, from 4 to 1,000 agents: structure, messages, reliability, and how they grow.

    python -m benchmarks.topology_analysis [--agents N,N,...] [--out DIR]

Nothing is timed: the figures are computed from the layouts, so they are the same on every machine. Every probability is
computed exactly and confirmed by a seeded simulation of failures; a probability outside the interval of 4 standard
errors ends the command with an error. Writes DIR/topology_analysis.json (every figure) and DIR/topology_analysis.md.
"""

import argparse
import math
import random
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from topologies.analysis import (
    Recovery,
    connectivity,
    diameter,
    messages_per_decision,
    messages_per_repair,
    messages_per_round,
    single_points_of_failure,
)
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, Topology, lay_out
from topologies.reliability import Estimate, estimate, reliability, wilson
from topologies.shape import Shape, shape, working

SIZES = (4, 8, 12, 16, 50, 100, 1000)
P_FAILED = (0.01, 0.05, 0.1)
SYMBOLS = 12
STRATEGIES = ("mean_reversion", "momentum")
REPLICAS = (3, 5, 7, 9, 11)
DRAWS = 400_000  # agents let fail or live for each probability, so that big topologies take no longer than small ones
REPAIRS_EXAMINED = (40, 10)  # agents whose failure is repaired: the first, among them all office holders, and the last


class Figures(msgspec.Struct, frozen=True):
    """The structure of a topology, without (bare) or with the edges that stand by."""

    edges: int
    degree_min: int
    degree_max: int
    single_points: int
    diameter: int
    connectivity_agents: int
    connectivity_edges: int
    messages_per_repair_max: int


class Chance(msgspec.Struct, frozen=True):
    """How likely a topology serves when each agent has failed with probability `p`: exact, and as simulated."""

    p: float
    has_failover: bool
    exact: float
    simulated: Estimate


class Row(msgspec.Struct, frozen=True):
    """One topology of one size."""

    topology: str
    agents: int
    messages_per_round: int
    messages_per_decision: float
    bare: Figures
    failover: Figures
    chances: tuple[Chance, ...]


class Growth(msgspec.Struct, frozen=True):
    """By which power of what a cost grows: the slope of a straight line through the logarithms."""

    topology: str
    cost: str
    of: str
    values: dict[int, float]
    exponent: float


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    rows: tuple[Row, ...]
    growth: tuple[Growth, ...]


def layout(kind: TopologyKind, agents: int, *, symbols: int = SYMBOLS, replicas: int = 5) -> Topology:
    request = LayoutRequest(
        agents=tuple(f"agent-{number:04}" for number in range(1, agents + 1)),
        strategies=STRATEGIES,
        symbols=tuple(f"S{number:02}" for number in range(symbols)),
        replicas=replicas,
    )
    return lay_out(kind, request)


def examine(kind: TopologyKind, graph: "Shape[str]", *, recovery: Recovery) -> Figures:
    degrees = [found for _, found in graph.out_degree]
    first, last = REPAIRS_EXAMINED
    agents = list(graph)
    examined = sorted({*agents[:first], *agents[-last:]})
    cut = connectivity(graph)
    return Figures(
        edges=graph.number_of_edges(),
        degree_min=min(degrees),
        degree_max=max(degrees),
        single_points=len(single_points_of_failure(graph)),
        diameter=diameter(graph),
        connectivity_agents=cut.agents,
        connectivity_edges=cut.edges,
        messages_per_repair_max=max(
            messages_per_repair(kind, graph, failed=agent, recovery=recovery) for agent in examined
        ),
    )


def judge(topology: Topology, p: float, *, has_failover: bool) -> Chance:
    """Compute a probability, and simulate it. Raises SystemExit when they disagree."""
    rng = random.Random(f"{topology.kind}/{len(topology.agents)}/{p}/{has_failover}")
    exact = reliability(topology, p, has_failover=has_failover, rng=rng)
    samples = max(1_000, DRAWS // len(topology.agents))
    simulated = estimate(topology, p, has_failover=has_failover, samples=samples, rng=rng)
    low, high = wilson(round(simulated.value * samples), samples, z=4.0)
    if exact.samples or not low <= exact.value <= high:
        raise SystemExit(f"{topology.kind}, {len(topology.agents)} agents, p = {p}: {exact} against {simulated}")
    return Chance(p, has_failover, exact.value, simulated)


def measure(kind: TopologyKind, agents: int) -> Row:
    topology = layout(kind, agents)
    reserve = shape(topology)
    without = examine(kind, working(reserve), recovery=Recovery.OUTSIDE)
    # a mesh keeps no edge in reserve: both are the same graph
    same = kind is TopologyKind.MESH
    return Row(
        topology=kind,
        agents=agents,
        messages_per_round=messages_per_round(topology),
        messages_per_decision=messages_per_decision(topology),
        bare=without,
        failover=without if same else examine(kind, reserve, recovery=Recovery.FAILOVER),
        chances=tuple(
            judge(topology, p, has_failover=has_failover) for has_failover in (False, True) for p in P_FAILED
        ),
    )


def exponent(values: dict[int, float]) -> float:
    """Fit cost = constant * size ** exponent by least squares on logarithms; nan where a cost is nothing."""
    if len(values) < 2 or min(values.values()) <= 0:
        return math.nan
    slope, _ = statistics.linear_regression([math.log(size) for size in values], [math.log(v) for v in values.values()])
    return slope


def grow(rows: Sequence[Row]) -> list[Growth]:
    """Fit messages per decision (of one symbol, so that no two share a pair of owners) and per repair."""
    found: list[Growth] = []
    for kind in TopologyKind:
        of_kind = [row for row in rows if row.topology == kind and row.agents >= 8]  # more agents than replicas
        decision = {row.agents: messages_per_decision(layout(kind, row.agents, symbols=1)) for row in of_kind}
        repair = {row.agents: float(row.failover.messages_per_repair_max) for row in of_kind}
        found.append(Growth(kind, "messages per decision", "agents", decision, exponent(decision)))
        found.append(Growth(kind, "messages per repair", "agents", repair, exponent(repair)))
    biggest = max(row.agents for row in rows)
    by_replicas = {
        replicas: messages_per_decision(layout(TopologyKind.MESH, biggest, symbols=1, replicas=replicas))
        for replicas in REPLICAS
        if replicas <= biggest
    }
    found.append(
        Growth(TopologyKind.MESH, "messages per decision", "replicas", by_replicas, exponent(by_replicas)),
    )
    return found


def structure_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| topology | agents | single points of failure | diameter | cut by agents | cut by edges | degree "
        "| messages a decision | messages a repair |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bare, failover = row.bare, row.failover
        cells = (
            f"{bare.single_points:,} / {failover.single_points:,}",
            f"{bare.diameter} / {failover.diameter}",
            f"{bare.connectivity_agents} / {failover.connectivity_agents}",
            f"{bare.connectivity_edges} / {failover.connectivity_edges}",
            f"{bare.degree_min}-{bare.degree_max} / {failover.degree_min}-{failover.degree_max}",
            f"{row.messages_per_decision:.2f}",
            f"{bare.messages_per_repair_max:,} / {failover.messages_per_repair_max:,}",
        )
        lines.append(f"| {row.topology} | {row.agents:,} | " + " | ".join(cells) + " |")
    return lines


def reliability_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| topology | agents | " + " | ".join(f"p = {p}" for p in P_FAILED) + " |",
        "|---|---|" + "---|" * len(P_FAILED),
    ]
    for row in rows:
        exact = {(chance.p, chance.has_failover): chance.exact for chance in row.chances}
        cells = [f"{_share(exact[p, False])} / {_share(exact[p, True])}" for p in P_FAILED]
        lines.append(f"| {row.topology} | {row.agents:,} | " + " | ".join(cells) + " |")
    return lines


def growth_table(growth: Sequence[Growth]) -> list[str]:
    lines = ["| topology | cost | grows with | values | exponent |", "|---|---|---|---|---|"]
    for one in growth:
        values = ", ".join(f"{size:,}: {value:,.0f}" for size, value in one.values.items())
        power = "none" if math.isnan(one.exponent) else f"{one.exponent + 0.0:.2f}"
        lines.append(f"| {one.topology} | {one.cost} | {one.of} | {values} | {power} |")
    return lines


def write_report(report: Report, directory: Path) -> str:
    """Write both files and return the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    chances = [chance for row in report.rows for chance in row.chances]
    inside = sum(chance.simulated.low <= chance.exact <= chance.simulated.high for chance in chances)
    text = "\n".join(
        [
            "# What each topology is worth",
            "",
            f"{SYMBOLS} symbols, {len(STRATEGIES)} strategies, 5 owners for each symbol of a mesh and a quorum of 4. "
            "Where a cell has two figures, the first is without failover, the second with it (edges that stand by, "
            "deputies, bypasses, spares). Words and formulas: docs/ARCHITECTURE.md.",
            "",
            "## Structure and messages",
            "",
            "`cut by`: how many agents or edges must go until some agent no longer reaches another. `messages a "
            "repair`: the dearest failure of one agent, of the first 40 (all who hold an office) and the last 10. "
            "Without failover a Join on each edge opened from outside; with it "
            "the vote of the deputy's group, word to who may lead above and below, and no edge to open but in a mesh.",
            "",
            *structure_table(report.rows),
            "",
            "## Reliability",
            "",
            "The probability that the topology serves when each agent has failed with probability p, independently.",
            "",
            *reliability_table(report.rows),
            "",
            f"All {len(chances)} are exact. Each was simulated too, with {DRAWS:,} agents failing or living (at least "
            f"1,000 samples): {inside} lie in the simulation's 95 % interval, all within 4 standard errors.",
            "",
            "## Growth",
            "",
            "One symbol, so that no two share a pair of owners; 8 agents and more; with failover. The exponent is "
            "fitted to the values by least squares on their logarithms.",
            "",
            *growth_table(report.growth),
            "",
            *machine_lines(report.machine),
            "",
        ]
    )
    (directory / "topology_analysis.md").write_text(text)
    (directory / "topology_analysis.json").write_bytes(msgspec.json.encode(report))
    return text


def _share(value: float) -> str:
    """Write a probability so that what is missing to one can be read, as far as floating point can tell."""
    if value > 1.0 - 1e-12:
        return "1 - under 1e-12"
    return f"{value:.4f}" if value < 0.9995 else f"1 - {1.0 - value:.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.topology_analysis", description=__doc__)
    parser.add_argument("--agents", default=",".join(map(str, SIZES)), help="sizes, with commas between them")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the report goes")
    options = parser.parse_args()
    rows: list[Row] = []
    for kind in TopologyKind:
        for agents in map(int, options.agents.split(",")):
            print(f"{kind}, {agents} agents", flush=True)
            rows.append(measure(kind, agents))
    report = Report(describe_machine("benchmarks.topology_analysis"), tuple(rows), tuple(grow(rows)))
    print(write_report(report, options.out))


if __name__ == "__main__":
    main()
