"""How often judges of a new version are wrong, and how soon they are right, over the same simulated rollouts.

    python -m benchmarks.rollout_judges [--seeds N] [--out DIR]

Writes DIR/rollout_judges.json and DIR/rollout_judges.md.
"""

import argparse
import random
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import judges
from benchmarks.judges import CHECK_TASKS, CHECKS, JUDGES, SCENARIOS, Ends, Scenario
from benchmarks.machine import Machine, describe_machine, machine_lines
from scaling.classification import Criteria, Direction, Label, classify

BLOCK = 250
CANARY_SHARE = 0.10
TASKS_IN_ALL = 20_000
"""Of both versions, at a weight of 10 % the 2,000 tasks a rollout may take."""
AGREEMENT_SEEDS = 100


class Figure(msgspec.Struct, frozen=True):
    """One judge on one scenario."""

    scenario: str
    judge: str
    rolled_back_percent: float
    median_tasks_until_rolled_back: float | None
    """Of the new version; None when it never was."""
    median_tasks_until_promoted: float | None
    served_percent: float
    """Of 20,000 tasks of both versions, how many the new version served in the mean: all from its promotion on."""
    forced_percent: float
    """Ended by the limit of pairs, without evidence."""


class Report(msgspec.Struct, frozen=True):
    """What was measured."""

    machine: Machine
    seeds: int
    kayenta_agreement_percent: float
    """How often the form of Kayenta's judge used here says what `scaling.classification` says."""
    figures: tuple[Figure, ...]


def measure(seeds: int) -> list[Figure]:
    """Let every judge see every rollout."""
    ends: dict[tuple[str, str], list[Ends]] = {}
    for start in range(0, seeds, BLOCK):
        drawn = judges.draw(range(start, min(start + BLOCK, seeds)))
        for scenario in SCENARIOS:
            traffic = judges.make_traffic(drawn, scenario)
            for name, judge in JUDGES.items():
                ends.setdefault((scenario.name, name), []).append(judge(traffic))
        print(f"{min(start + BLOCK, seeds)} of {seeds} seeds", flush=True)
    return [summarise(scenario, name, blocks) for (scenario, name), blocks in ends.items()]


def summarise(scenario: str, judge: str, blocks: list[Ends]) -> Figure:
    """Turn ends into figures."""
    tasks = np.concatenate([block.tasks for block in blocks])
    back = np.concatenate([block.is_rolled_back for block in blocks])
    forced = [block.is_forced if block.is_forced is not None else np.zeros(len(block.tasks), bool) for block in blocks]
    # Until its end the new version serves its share, afterwards all or none.
    rest = np.maximum(TASKS_IN_ALL - tasks / CANARY_SHARE, 0)
    served = tasks + np.where(back, 0, rest)
    return Figure(
        scenario=scenario,
        judge=judge,
        rolled_back_percent=round(100 * float(back.mean()), 2),
        median_tasks_until_rolled_back=float(np.median(tasks[back])) if back.any() else None,
        median_tasks_until_promoted=float(np.median(tasks[~back])) if not back.all() else None,
        served_percent=round(100 * float(served.mean()) / TASKS_IN_ALL, 2),
        forced_percent=round(100 * float(np.concatenate(forced).mean()), 2),
    )


def kayenta_agreement() -> float:
    """Compare the quick form of Kayenta's judge with the classification itself, on every scenario."""
    drawn = judges.draw(range(AGREEMENT_SEEDS))
    agreed: list[bool] = []
    for scenario in SCENARIOS:
        traffic = judges.make_traffic(drawn, scenario)
        canary = judges.averages(traffic.canary_failed, traffic.canary_s)
        stable = judges.averages(traffic.stable_failed, traffic.stable_s)
        for new, old in zip(canary, stable, strict=True):
            quick = judges.is_high(new, old)
            criteria, rng = Criteria(direction=Direction.INCREASE), random.Random(0)
            slow = [
                classify(*pair, criteria=criteria, rng=rng).label is Label.HIGH
                for pair in zip(new.tolist(), old.tolist(), strict=True)
            ]
            agreed += (quick == np.array(slow)).tolist()
    return round(100 * sum(agreed) / len(agreed), 2)


def write_markdown(report: Report) -> str:
    """Write the report as a page."""
    by = {(figure.scenario, figure.judge): figure for figure in report.figures}
    names = list(JUDGES)
    intro = (
        f"{report.seeds:,} simulated rollouts for each scenario, the same tasks for every judge. The old version fails "
        f"{judges.STABLE_ERRORS:.0%} of its tasks; latencies are log-normal (sigma {judges.LATENCY_SIGMA}). The new "
        f"version gets {CANARY_SHARE:.0%} of the tasks and up to {judges.TASKS_MAX:,} of them."
    )
    lines = [
        "# Judges of a new version",
        "",
        intro,
        "",
        "An identical version should never be rolled back:",
        "",
        "| judge | rolled back, % | median tasks until promoted | ended without evidence, % |",
        "|---|---|---|---|",
        *(same_row(by["identical", name]) for name in names),
        "",
        "Worse versions: caught (rolled back, %) / median tasks of the new version until then / tasks it served in the",
        f"mean, % of {TASKS_IN_ALL:,}, of which it serves all once it is promoted:",
        "",
        "| judge | " + " | ".join(scenario.name for scenario in worse()) + " |",
        "|---|" + "---|" * len(worse()),
        *(worse_row(name, [by[scenario.name, name] for scenario in worse()]) for name in names),
        "",
        *rules(report),
        "",
        *machine_lines(report.machine),
    ]
    return "\n".join(lines) + "\n"


def rules(report: Report) -> list[str]:
    """Say what was compared."""
    return [
        "Rules as compared:",
        "",
        "- ours: `scaling/sequential.py` with its defaults, looked at after every task: at most 1 % of versions that",
        "  are no worse are rolled back on evidence; promoted when errors are shown to be less than 5 points more, and",
        "  latency less than 1.25 times, so that a version 1.2 times as slow may pass.",
        f"- Argo and Flagger: {CHECKS} checks of {CHECK_TASKS} tasks; a check fails above "
        f"{judges.ERRORS_CHECK_MAX:.0%} errors, or",
        f"  above {judges.LATENCY_CHECK_MAX} times the old version's mean latency of the same time.",
        "- Kayenta: NetflixACAJudge-v1.0 on the averages of the same checks, judged after 5, 10, 15 and 20 of them,",
        "  marginal 75 and pass 95. The quick form used here agreed with `scaling/classification.py` in",
        f"  {report.kayenta_agreement_percent} % of {AGREEMENT_SEEDS} rollouts of each scenario.",
        "- first design: of 100 requests 5 to the new version, promoted if its success is at least 0.95 of the old",
        "  one's; blue-green rolled back above 10 % errors from the fifth request on. Neither looks at latency.",
    ]


def worse() -> list[Scenario]:
    """Return the scenarios in which the new version is worse."""
    return [scenario for scenario in SCENARIOS if scenario.name != "identical"]


def same_row(figure: Figure) -> str:
    return (
        f"| {figure.judge} | {figure.rolled_back_percent:.2f} | {number(figure.median_tasks_until_promoted)} "
        f"| {figure.forced_percent:.2f} |"
    )


def worse_row(judge: str, figures: list[Figure]) -> str:
    return f"| {judge} | " + " | ".join(worse_cell(figure) for figure in figures) + " |"


def worse_cell(figure: Figure) -> str:
    median = number(figure.median_tasks_until_rolled_back)
    return f"{figure.rolled_back_percent:.1f} / {median} / {figure.served_percent:.1f}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    report = Report(
        machine=describe_machine("benchmarks.rollout_judges"),
        seeds=arguments.seeds,
        kayenta_agreement_percent=kayenta_agreement(),
        figures=tuple(measure(arguments.seeds)),
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "rollout_judges.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    )
    (arguments.out / "rollout_judges.md").write_text(write_markdown(report))


if __name__ == "__main__":
    main()
