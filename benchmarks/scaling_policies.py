"""What scaling policies cost and how late they make tasks, on generated loads and on loads that follow the real VIX.

    python -m benchmarks.scaling_policies [--vix FILE] [--out DIR] [--traces DIR]

The generated traces are written to benchmarks/traces as CSV, the same bytes every time. The real VIX comes from the
installed package arch, which has 2014 to 2018. FILE adds 2008 and 2020: a CSV with the columns DATE and CLOSE, such as
`data/vix-daily.csv` of github.com/datasets/finance-vix (public domain); no prices are kept here. Writes
DIR/scaling_policies.json and DIR/scaling_policies.md.
"""

import argparse
import csv
import math
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from scaling.hpa.behavior import Bounds
from scaling.replay import COLUMNS, Outcome, ReplayedPolicy, ReplaySetup, TraceSample, read_trace, replay
from scaling.replay_policies import FirstDesign, KnativeLike, Ours, PlainHpa
from trading.bundled import read_series

BOUNDS = Bounds(at_least=2, at_most=100)
POLICIES: dict[str, Callable[[Bounds], ReplayedPolicy]] = {
    "ours": Ours,
    "plain HPA": PlainHpa,
    "KPA-like": KnativeLike,
    "first design": FirstDesign,
}
SESSION_S = 23_400
"""A session of the New York exchange: six and a half hours. Sessions follow each other without a night."""
VIX_SAMPLE_S = 60
VIX_WINDOWS = {
    "VIX 2015, August": ("2015-08-10", "2015-09-02"),
    "VIX 2018, February": ("2018-01-26", "2018-02-16"),
}
VIX_FILE_WINDOWS = {
    "VIX 2008, October": ("2008-09-22", "2008-10-17"),
    "VIX 2020, March": ("2020-02-20", "2020-03-18"),
}


class Figure(msgspec.Struct, frozen=True):
    """One policy on one trace."""

    trace: str
    policy: str
    missed_percent: float
    """Of the tasks, those that waited more than the objective."""
    usd: float
    agents_mean: float
    agents_max: int
    changes: int
    flaps: int
    is_on_front: bool
    """No other policy misses as few or fewer for as little or less, one of them strictly."""


class Report(msgspec.Struct, frozen=True):
    """What was measured."""

    machine: Machine
    start_up_s: float
    wait_max_s: float
    sources: dict[str, str]
    figures: tuple[Figure, ...]


def diurnal() -> list[TraceSample]:
    """A day between 3 and 30 busy agents, with noise."""
    rng = random.Random(1)
    return [
        TraceSample(at, round((16.5 - 13.5 * math.cos(2 * math.pi * at / 86_400)) * rng.uniform(0.9, 1.1), 3), 1.0)
        for at in range(0, 86_401, 60)
    ]


def spike() -> list[TraceSample]:
    """Four busy agents, and thirty for two minutes every twenty."""
    return [TraceSample(at, 30.0 if at % 1200 in range(600, 720) else 4.0, 1.0) for at in range(0, 14_401, 30)]


def step() -> list[TraceSample]:
    """Three busy agents, from the first hour on twenty-five, from the second hour on eight."""
    return [TraceSample(at, 3.0 if at < 3600 else 25.0 if at < 7200 else 8.0, 1.0) for at in range(0, 10_801, 60)]


def sawtooth() -> list[TraceSample]:
    """From two to twenty busy agents in ten minutes and back at once, again and again."""
    return [TraceSample(at, round(2.0 + 18.0 * (at % 600) / 600, 3), 1.0) for at in range(0, 14_401, 15)]


GENERATED: dict[str, Callable[[], list[TraceSample]]] = {
    "diurnal": diurnal,
    "spike": spike,
    "step": step,
    "sawtooth": sawtooth,
}


def follow_vix(closes: list[tuple[str, float]], window: tuple[str, str], *, seed: int) -> list[TraceSample]:
    """Make a load that follows the VIX: in proportion to it, high at the open and the close, in bursts.

    Six busy agents at a VIX of 20. Within a session the index goes straight from the last close to the next. The
    proportion is an assumption; the index is real.
    """
    rng = random.Random(seed)
    first = next(index for index, (date, _) in enumerate(closes) if date >= window[0])
    samples: list[TraceSample] = []
    for session, index in enumerate(i for i in range(first, len(closes)) if closes[i][0] <= window[1]):
        before, after = closes[index - 1][1], closes[index][1]
        for second in range(0, SESSION_S, VIX_SAMPLE_S):
            part = second / SESSION_S
            level = before + (after - before) * part
            shape = 0.7 + 0.9 * (2 * part - 1) ** 2
            burst = 3.0 if rng.random() < 0.01 else rng.uniform(0.85, 1.15)
            rate = round(6.0 * level / 20.0 * shape * burst, 3)
            samples.append(TraceSample(session * SESSION_S + second, rate, 1.0, round(level, 2)))
    return [*samples, TraceSample(samples[-1].at_s + VIX_SAMPLE_S, 0.0, 1.0, samples[-1].volatility_percent)]


def make_traces(vix_file: Path | None) -> tuple[dict[str, list[TraceSample]], dict[str, str]]:
    """Return the traces by name, and where each comes from."""
    traces = {name: make() for name, make in GENERATED.items()}
    sources = dict.fromkeys(traces, "generated")
    series = read_series(["VIX"])["VIX"]
    bundled = [(bar.time, bar.close) for bar in series.bars]
    for number, (name, window) in enumerate(VIX_WINDOWS.items()):
        traces[name] = follow_vix(bundled, window, seed=number)
        sources[name] = f"closes of {window[0]}..{window[1]} from {series.source}"
    if vix_file is not None:
        with vix_file.open(newline="") as file:
            closes = [(row["DATE"], float(row["CLOSE"])) for row in csv.DictReader(file)]
        for number, (name, window) in enumerate(VIX_FILE_WINDOWS.items(), 10):
            traces[name] = follow_vix(closes, window, seed=number)
            sources[name] = f"closes of {window[0]}..{window[1]} from the file {vix_file.name} given"
    return traces, sources


def write_trace(path: Path, trace: list[TraceSample]) -> None:
    """Write a trace as CSV."""
    rows = [",".join(COLUMNS)]
    rows += [f"{sample.at_s:g},{sample.tasks_per_s:g},{sample.task_s:g}," for sample in trace]
    path.write_text("\n".join(rows) + "\n")


def compare(name: str, trace: list[TraceSample]) -> list[Figure]:
    """Replay every policy on a trace and mark the front."""
    outcomes = {policy: replay(trace, make(BOUNDS)) for policy, make in POLICIES.items()}
    figures = []
    for policy, outcome in outcomes.items():
        beaten = any(is_better(other, outcome) for other in outcomes.values())
        figures.append(
            Figure(
                trace=name,
                policy=policy,
                missed_percent=round(outcome.missed_percent, 3),
                usd=round(outcome.usd, 3),
                agents_mean=round(outcome.agents_mean, 2),
                agents_max=outcome.agents_max,
                changes=outcome.changes,
                flaps=outcome.flaps,
                is_on_front=not beaten,
            )
        )
        print(f"{name:20} {policy:14} {outcome.missed_percent:7.3f} % ${outcome.usd:.3f}", flush=True)
    return figures


def is_better(one: Outcome, other: Outcome) -> bool:
    """Say whether `one` is nowhere worse and somewhere better."""
    first, second = (one.missed_tasks, one.usd), (other.missed_tasks, other.usd)
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def write_markdown(report: Report) -> str:
    """Write the report as a page."""
    lines = [
        "# Scaling policies on recorded loads",
        "",
        f"Replayed in virtual time (`scaling/replay.py`): an agent serves {report.start_up_s:.0f} s after it was asked",
        "for and is paid for from the start; a warm one is a paused sandbox, which costs nothing on E2B and serves",
        f"after a second. A task misses its objective when it waits more than {report.wait_max_s:.0f} s. All policies",
        f"have {BOUNDS.at_least} to {BOUNDS.at_most} agents. A flap undoes the change before it within ten minutes.",
        "Marked \\* are those on the front of misses against dollars: no other is nowhere worse and somewhere better.",
        "",
    ]
    for trace in dict.fromkeys(figure.trace for figure in report.figures):
        lines += [f"## {trace}", "", f"Source: {report.sources[trace]}.", ""]
        lines += [
            "| policy | missed, % | dollars | agents, mean | agents, most | changes | flaps |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [row(figure) for figure in report.figures if figure.trace == trace]
        lines.append("")
    lines += [
        "The loads of the VIX traces are an assumption: in proportion to the index, high at the open and at the close,",
        "with bursts of a minute. The index itself is real; sessions follow each other without a night.",
        "",
        *machine_lines(report.machine),
    ]
    return "\n".join(lines) + "\n"


def row(figure: Figure) -> str:
    mark = " \\*" if figure.is_on_front else ""
    return (
        f"| {figure.policy}{mark} | {figure.missed_percent:.3f} | {figure.usd:.3f} | {figure.agents_mean:.1f} "
        f"| {figure.agents_max} | {figure.changes} | {figure.flaps} |"
    )


def main() -> None:
    """Make the traces, replay, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vix", type=Path, help="a CSV with the columns DATE and CLOSE")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--traces", type=Path, default=Path("benchmarks/traces"))
    arguments = parser.parse_args()
    traces, sources = make_traces(arguments.vix)
    for directory in (arguments.out, arguments.traces):
        directory.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    for name, trace in traces.items():
        if name in GENERATED:
            path = arguments.traces / f"{name}.csv"
            write_trace(path, trace)
            trace = list(read_trace(path.read_text().splitlines()))
        figures += compare(name, trace)
    setup = ReplaySetup()
    report = Report(
        machine=describe_machine("benchmarks.scaling_policies"),
        start_up_s=setup.start_up_s,
        wait_max_s=setup.wait_max_s,
        sources=sources,
        figures=tuple(figures),
    )
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (arguments.out / "scaling_policies.json").write_bytes(encoded + b"\n")
    (arguments.out / "scaling_policies.md").write_text(write_markdown(report))


if __name__ == "__main__":
    main()
