"""How fast the simulation runs, and how many messages decisions and repairs take as a swarm grows.

    python -m benchmarks.simulation [--agents N] [--hours H] [--sizes 10,30,100,300,1000] [--out DIR]

Speed: one virtual hour of 100 agents with default faults, on the heap of events and on the virtual-time loop; both
must write the same trace. Growth: rounds without faults, and the same rounds with one crash of each kind of agent; what
the crash adds is the repair's. Heartbeats are not messages. Writes DIR/simulation.json and DIR/simulation.md.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from orchestrator.simulation.engine import Engine, HeapEngine
from orchestrator.simulation.faults import PRESETS, Fault, FaultKind, FaultPlan
from orchestrator.simulation.loop_engine import LoopEngine
from orchestrator.simulation.world import Case, World, lay_out_case
from topologies.kinds import TopologyKind
from topologies.seats import MeshSeat

TICK_S = 10.0
GROWTH_S = 200.0
CRASH_AT_S = 35.0


class Speed(msgspec.Struct, frozen=True):
    """One engine's run of a virtual hour. `wall_s`: seconds it took."""

    topology: str
    engine: str
    events: int
    wall_s: float
    us_per_event: float
    deaths: int
    hash: str


class Growth(msgspec.Struct, frozen=True):
    """Messages of one size of swarm: per decision, and what the worst of the crashes tried added in all."""

    topology: str
    agents: int
    per_decision: float
    per_repair: float


class Result(msgspec.Struct, frozen=True):
    """All figures. `exponents`: of the number of agents, fitted through the sizes from 30 agents on."""

    machine: Machine
    speed: tuple[Speed, ...]
    growth: tuple[Growth, ...]
    exponents: dict[str, tuple[float, float]]


def measure_speed(topology: TopologyKind, *, agents: int, hours: float) -> list[Speed]:
    """Run the same case on both engines."""
    case = Case(
        topology=topology, agents=agents, seed=1, virtual_s=hours * 3600.0, plan=PRESETS["default"], tick_s=TICK_S
    )
    engines: tuple[tuple[str, type[Engine]], ...] = (("heap", HeapEngine), ("loop", LoopEngine))
    rows: list[Speed] = []
    for name, engine in engines:
        world = World(case, engine())
        began_s = perf_counter()
        outcome = world.run()
        wall_s = perf_counter() - began_s
        assert outcome.violation is None, outcome.violation
        us = 1e6 * wall_s / outcome.events
        rows.append(Speed(topology, name, outcome.events, round(wall_s, 2), round(us, 2), outcome.deaths, outcome.hash))
    assert rows[0].hash == rows[1].hash, "the engines disagree"
    return rows


def measure_growth(topology: TopologyKind, agents: int) -> Growth:
    """Count the messages of rounds, and of the same rounds with one crash."""
    quiet = _run(topology, agents, faults=())
    worst = 0
    for victim in victims_of(topology, agents):
        crashed = _run(topology, agents, faults=(Fault(CRASH_AT_S, FaultKind.CRASH, (victim,)),))
        worst = max(worst, crashed[0] - quiet[0])
    return Growth(topology, agents, round(quiet[0] / quiet[1], 2), worst)


def victims_of(topology: TopologyKind, agents: int) -> list[str]:
    """Choose whose death is tried: the first, the second and the last agent, in a mesh the owners of a symbol."""
    seat = lay_out_case(_case(topology, agents, faults=())).seats["agent-001"]
    if isinstance(seat, MeshSeat):
        return [slot.owner for slot in next(iter(seat.slots.values()))]
    return ["agent-001", "agent-002", f"agent-{agents:03}"]


def _run(topology: TopologyKind, agents: int, *, faults: tuple[Fault, ...]) -> tuple[int, int]:
    outcome = World(_case(topology, agents, faults=faults), HeapEngine()).run()
    assert outcome.violation is None, outcome.violation
    return outcome.messages, outcome.decisions


def _case(topology: TopologyKind, agents: int, *, faults: tuple[Fault, ...]) -> Case:
    return Case(
        topology=topology,
        agents=agents,
        seed=1,
        virtual_s=GROWTH_S,
        plan=FaultPlan(),
        tick_s=TICK_S,
        faults=faults,
    )


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Fit a power of the size by least squares on logarithms."""
    points = [(math.log(size), math.log(max(value, 1.0))) for size, value in zip(sizes, values, strict=True)]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return round(slope, 2)


def lines_of(result: Result) -> list[str]:
    """Write the tables."""
    lines = ["# Simulation", "", *machine_lines(result.machine), "", "## One virtual hour with default faults", ""]
    lines += ["| topology | engine | events | wall s | us per event | deaths |", "|---|---|---:|---:|---:|---:|"]
    lines += [
        f"| {row.topology} | {row.engine} | {row.events:,} | {row.wall_s} | {row.us_per_event} | {row.deaths} |"
        for row in result.speed
    ]
    lines += ["", "Both engines wrote the same trace for each topology.", "", "## Messages as a swarm grows", ""]
    lines += ["| topology | agents | per decision | added by a crash and its repair |", "|---|---:|---:|---:|"]
    lines += [f"| {row.topology} | {row.agents} | {row.per_decision} | {row.per_repair:.0f} |" for row in result.growth]
    lines += ["", "Exponents of the number of agents, from 30 agents on:", ""]
    lines += ["| topology | per decision | per repair |", "|---|---:|---:|"]
    lines += [f"| {name} | {pair[0]} | {pair[1]} |" for name, pair in result.exponents.items()]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--sizes", default="10,30,100,300,1000")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    speed = [row for kind in TopologyKind for row in measure_speed(kind, agents=options.agents, hours=options.hours)]
    growth = [measure_growth(kind, size) for kind in TopologyKind for size in sizes]
    exponents: dict[str, tuple[float, float]] = {}
    for kind in TopologyKind:
        rows = [row for row in growth if row.topology == kind and row.agents >= 30]
        fitted = [row.agents for row in rows]
        exponents[kind] = (
            exponent(fitted, [row.per_decision for row in rows]),
            exponent(fitted, [row.per_repair for row in rows]),
        )
    result = Result(describe_machine("benchmarks.simulation"), tuple(speed), tuple(growth), exponents)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "simulation.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    text = "\n".join(lines_of(result)) + "\n"
    (options.out / "simulation.md").write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
