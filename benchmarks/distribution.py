"""What each distribution strategy is worth on agents that are not alike: time, evenness and failed tasks.

    python -m benchmarks.distribution [--seeds S] [--rounds R] [--tasks N] [--out DIR]

The strategies are the ones that leaders and hubs use; agents and time are simulated, so the same seeds give the same
figures on any machine (but for the cost of a share, which is timed here). Each agent does its tasks one after the
other. A task's luck - how much longer it takes, whether it fails - hangs on its key and the seed, so all strategies
meet the same. In the closed workload a round begins when the one before is answered; in the stream rounds begin at
fixed intervals that load the agents to 70 %, and overlap. Writes DIR/distribution.json and DIR/distribution.md.
"""

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import msgspec

from benchmarks.machine import Machine, describe_machine, machine_lines
from topologies.adaptive import Adaptive
from topologies.consensus import SLOT_MARK, questions_of
from topologies.distribution import Distribution, DistributionStrategy, create_distribution, tasks_of_round
from topologies.messages import Task, Vote
from topologies.poll import Charter, Verdict, resolve
from topologies.seats import Branch

NOISE = 0.3  # standard deviation of the logarithm of a task's time
STREAM_LOAD = 0.7
PRIOR_SPREAD = 0.5  # of the logarithm of a branch's speed, for Thompson sampling
RARE, COMMON = "pairs", "momentum"


class Worker(msgspec.Struct, frozen=True):
    """A simulated agent; from half of the run on its tasks take `later` times as long."""

    task_s: float = 0.010
    error_rate: float = 0.01
    later: float = 1.0
    strategies: tuple[str, ...] = (RARE, COMMON)


FLEETS = {
    "alike": [Worker() for _ in range(8)],
    "speeds 1 to 8": [Worker(task_s=0.005 * 8 ** (index / 7)) for index in range(8)],
    "one slows down 10 times": [Worker(later=10.0), *(Worker() for _ in range(7))],
    "one is 10 times as slow and recovers": [Worker(task_s=0.100, later=0.1), *(Worker() for _ in range(7))],
    "fastest fails 30 %": [Worker(task_s=0.004, error_rate=0.3), *(Worker() for _ in range(7))],
    "half are specialists": [*(Worker(strategies=(COMMON,)) for _ in range(4)), *(Worker() for _ in range(4))],
}


class Outcome(msgspec.Struct, frozen=True):
    """One run. `time_ratio`: closed, the makespan by the least that these agents would need, all speeds known; stream,
    the 95th percentile of a round's time by that least. Shares are of tasks: the busiest agent's, and the failed."""

    workload: str
    fleet: str
    strategy: str
    seed: int
    time_ratio: float
    share_max: float
    failed: float
    share_us: float


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    seeds: int
    rounds: int
    tasks: int
    outcomes: tuple[Outcome, ...]


class Thompson(Adaptive):
    """The ablation that tries at random: each share draws every branch's speed from what is believed of it."""

    def __init__(self, branches: Sequence[Branch], *, rng: Random) -> None:
        super().__init__(branches)
        self._rng = rng

    def task_s(self) -> dict[str, float]:
        return {
            agent: task_s * math.exp(self._rng.gauss(0.0, PRIOR_SPREAD / math.sqrt(1.0 + self.beliefs[agent].answers)))
            for agent, task_s in super().task_s().items()
        }


Maker = Callable[[list[Branch], int], Distribution]


def make_strategy(strategy: DistributionStrategy, branches: list[Branch], seed: int) -> Distribution:
    return create_distribution(strategy, branches, rng=Random(seed))


STRATEGIES: dict[str, Maker] = {
    **{strategy.value: partial(make_strategy, strategy) for strategy in DistributionStrategy},
    "adaptive, failures cost nothing": lambda branches, seed: Adaptive(branches, error_cost=0.0),
    "adaptive, never forgets unseen": lambda branches, seed: Adaptive(branches, ageing=1.0),
    "adaptive, Thompson sampling": lambda branches, seed: Thompson(branches, rng=Random(seed)),
}


class Simulation:
    """A hub with one distribution and simulated workers, in virtual time."""

    def __init__(self, workers: list[Worker], policy: Distribution, *, seed: int, rounds: int) -> None:
        self._workers = {f"agent-{index + 1:03}": worker for index, worker in enumerate(workers)}
        self._policy = policy
        self._seed = seed
        self._rounds = rounds
        self._free_at = dict.fromkeys(self._workers, 0.0)
        self._answers: list[tuple[float, str, int, float, int]] = []
        self.done: Counter[str] = Counter()
        self.failed = 0
        self.asked = 0
        self.share_s = 0.0

    def begin_round(self, round: int, tasks: tuple[Task, ...], *, now: float) -> float:
        """Share out a round at `now`; return when its last answer comes."""
        self._tell_answers(now)
        before = time.thread_time()
        shares = self._policy.share(tasks, turn=round)
        self.share_s += time.thread_time() - before
        votes: list[Vote] = []
        for agent, given in shares.items():
            votes += self._work(agent, given, round=round, now=now)
        self._count_failures(round, tasks, votes=votes)
        return max(self._free_at[agent] for agent, given in shares.items() if given)

    def _work(self, agent: str, given: tuple[Task, ...], *, round: int, now: float) -> list[Vote]:
        worker = self._workers[agent]
        start = max(now, self._free_at[agent])
        slowness = worker.later if 2 * round > self._rounds else 1.0
        luck = [Random(f"{self._seed}/{task.key}") for task in given]
        elapsed_s = sum(worker.task_s * slowness * math.exp(NOISE * draw.gauss(0.0, 1.0)) for draw in luck)
        errors = ["" if draw.random() >= worker.error_rate else "failed" for draw in luck]
        self._free_at[agent] = start + elapsed_s
        self.done[agent] += len(given)
        self._answers.append((self._free_at[agent], agent, len(given), elapsed_s, len(given) - errors.count("")))
        return [
            Vote(task.key, task.symbol, agent, task.strategy, 1.0, 0.0 if error else 1.0, error)
            for task, error in zip(given, errors, strict=True)
        ]

    def _tell_answers(self, now: float) -> None:
        self._answers.sort()
        while self._answers and self._answers[0][0] <= now:
            _, agent, tasks, elapsed_s, errors = self._answers.pop(0)
            self._policy.answered(agent, tasks, elapsed_s=elapsed_s, errors=errors)

    def _count_failures(self, round: int, tasks: tuple[Task, ...], *, votes: list[Vote]) -> None:
        """A task failed when the poll of its replicas, or of itself alone, decided nothing."""
        by_task: dict[str, list[Vote]] = {}
        for vote in votes:
            by_task.setdefault(vote.task.partition(SLOT_MARK)[0], []).append(vote)
        for task in tasks:
            answers = by_task[task.key]
            (question,) = questions_of(round, [Task(vote.task, task.symbol, task.strategy) for vote in answers])
            self.failed += resolve(question, answers, charter=Charter()).verdict is not Verdict.DECIDED
            self.asked += 1


def least_s(workers: list[Worker], tasks: int, *, is_late: bool) -> float:
    """Return the least seconds for a round: all agents busy to the end, tasks divisible, luck average."""
    noise = math.exp(NOISE * NOISE / 2.0)
    return tasks * noise / sum(1.0 / (worker.task_s * (worker.later if is_late else 1.0)) for worker in workers)


def measure(workload: str, fleet: str, *, strategy: str, seed: int, size: tuple[int, int]) -> Outcome:
    """Simulate one run of `size` rounds and tasks a round."""
    rounds, tasks = size
    workers = FLEETS[fleet]
    branches = [
        Branch(f"agent-{index + 1:03}", dict.fromkeys(worker.strategies, 1)) for index, worker in enumerate(workers)
    ]
    simulation = Simulation(workers, STRATEGIES[strategy](branches, seed), seed=seed, rounds=rounds)
    symbols = [f"S{index:02}" for index in range(tasks // 2)]
    now, ratios, least_total = 0.0, [], 0.0
    for round in range(1, rounds + 1):
        least = least_s(workers, tasks, is_late=2 * round > rounds)
        end = simulation.begin_round(round, tasks_of_round(round, symbols, strategies=(RARE, COMMON)), now=now)
        ratios.append((end - now) / least)
        least_total += least
        now = end if workload == "closed" else now + least / STREAM_LOAD
    return Outcome(
        workload=workload,
        fleet=fleet,
        strategy=strategy,
        seed=seed,
        time_ratio=_rounded(now / least_total if workload == "closed" else statistics.quantiles(ratios, n=20)[-1]),
        share_max=_rounded(max(simulation.done.values()) / simulation.done.total()),
        failed=_rounded(simulation.failed / simulation.asked),
        share_us=_rounded(simulation.share_s / simulation.asked * 1e6),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4f}")


def table(outcomes: list[Outcome]) -> list[str]:
    """One row a strategy: medians over the seeds, for time also the lowest and the highest."""
    lines = [
        "| strategy | time (lowest to highest) | busiest agent | failed | CPU µs to share a task |",
        "|---|---|---|---|---|",
    ]
    for strategy in STRATEGIES:
        runs = [outcome for outcome in outcomes if outcome.strategy == strategy]
        ratios = sorted(run.time_ratio for run in runs)
        lines.append(
            f"| {strategy} | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
            f"| {statistics.median(run.share_max for run in runs):.1%} "
            f"| {statistics.median(run.failed for run in runs):.2%} "
            f"| {statistics.median(run.share_us for run in runs):.1f} |"
        )
    return lines


def write_report(report: Report, directory: Path) -> str:
    """Write both files and return the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Distribution strategies on agents that are not alike",
        "",
        f"Simulated: {report.rounds} rounds of {report.tasks} tasks on 8 agents, {report.seeds} seeds; medians. Time "
        "is divided by the least these agents would need if all speeds were known and tasks divisible. In the closed "
        "workload it is the time of all rounds, one after the other; in the stream (load 70 %) the 95th percentile of "
        "a round's. Consensus does every task three times, so the stream is more than the agents can do; a task "
        "fails when fewer than two replicas answer. Where an agent is given more than it can do, its queue and so the "
        "figure grow with every round: there the figures tell only that it is so. The last three rows are ablations of "
        "adaptive.",
    ]
    for workload in ("closed", "stream"):
        for fleet in FLEETS:
            chosen = [one for one in report.outcomes if (one.workload, one.fleet) == (workload, fleet)]
            lines += ["", f"## {workload.capitalize()}, {fleet}", "", *table(chosen)]
    text = "\n".join([*lines, "", *machine_lines(report.machine), ""])
    (directory / "distribution.md").write_text(text)
    (directory / "distribution.json").write_bytes(msgspec.json.encode(report))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distribution", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each strategy, fleet and workload (default 20)")
    parser.add_argument("--rounds", type=int, default=100, help="rounds of a run (default 100)")
    parser.add_argument("--tasks", type=int, default=24, help="tasks of a round, an even number (default 24)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the report goes")
    options = parser.parse_args()
    outcomes = [
        measure(workload, fleet, strategy=strategy, seed=seed, size=(options.rounds, options.tasks))
        for workload in ("closed", "stream")
        for fleet in FLEETS
        for seed in range(options.seeds)
        for strategy in STRATEGIES
    ]
    machine = describe_machine("benchmarks.distribution")
    report = Report(machine, options.seeds, options.rounds, options.tasks, tuple(outcomes))
    print(write_report(report, options.out))


if __name__ == "__main__":
    main()
