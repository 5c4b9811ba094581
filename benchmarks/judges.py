"""Judges of a new version, each over many rollouts at once: ours, Argo's, Flagger's, Kayenta's and the first design's.

All see the same tasks. `Traffic` holds them for a block of seeds; a judge returns after how many tasks of the new
version each rollout ended, and how.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scaling.mann_whitney import average_ranks
from scaling.sequential import SequentialPolicy, log_errors_fine, log_latency_fine, log_worse

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

TASKS_MAX = 2000
"""Tasks of the new version in a rollout, at most."""
STABLE_ERRORS = 0.05
LATENCY_SIGMA = 0.5
"""Of the logarithm: the 95th percentile is 2.3 times the median."""
CHECK_TASKS = 50
"""Tasks of the new version between two checks of a judge that checks in intervals."""
CHECKS = 20
ERRORS_CHECK_MAX = 0.10
LATENCY_CHECK_MAX = 1.2
KAYENTA_CHECKS = (5, 10, 15, 20)
KAYENTA_Z = 2.3263478740408408
"""Of a two-sided confidence of 0.98."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """How the new version differs: more errors a task, and so many times the latency."""

    name: str
    more_errors: float = 0.0
    latency_factor: float = 1.0


SCENARIOS = (
    Scenario("identical"),
    Scenario("errors +5 points", more_errors=0.05),
    Scenario("errors +10 points", more_errors=0.10),
    Scenario("errors +20 points", more_errors=0.20),
    Scenario("errors +50 points", more_errors=0.50),
    Scenario("latency x1.2", latency_factor=1.2),
    Scenario("latency x1.5", latency_factor=1.5),
    Scenario("latency x2", latency_factor=2.0),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """The tasks of both versions, one row a rollout, in the order they came."""

    canary_failed: Flags
    stable_failed: Flags
    canary_s: Array
    stable_s: Array


@dataclasses.dataclass(frozen=True, slots=True)
class Ends:
    """How each rollout ended: after how many tasks of the new version, and whether it was rolled back."""

    tasks: Numbers
    is_rolled_back: Flags
    is_forced: Flags | None = None


def draw(seeds: range) -> tuple[Array, Array]:
    """Draw what chance decides of each seed's tasks, the same for every scenario and judge."""
    uniform = np.empty((len(seeds), 2, TASKS_MAX))
    normal = np.empty((len(seeds), 2, TASKS_MAX))
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        uniform[row], normal[row] = rng.random((2, TASKS_MAX)), rng.standard_normal((2, TASKS_MAX))
    return uniform, normal


def make_traffic(drawn: tuple[Array, Array], scenario: Scenario) -> Traffic:
    """Turn what was drawn into tasks: errors by chance, latencies log-normal with a median of 1 s."""
    uniform, normal = drawn
    latency = np.exp(LATENCY_SIGMA * normal)
    return Traffic(
        canary_failed=uniform[:, 0] < STABLE_ERRORS + scenario.more_errors,
        stable_failed=uniform[:, 1] < STABLE_ERRORS,
        canary_s=latency[:, 0] * scenario.latency_factor,
        stable_s=latency[:, 1],
    )


def judge_sequential(traffic: Traffic, policy: SequentialPolicy | None = None) -> Ends:
    """Judge after every task by `scaling.sequential`."""
    policy = policy or SequentialPolicy()
    assert policy.latency_margin is not None, "the benchmark judges latency"
    bad = (traffic.canary_failed & ~traffic.stable_failed).cumsum(axis=1)
    good = (traffic.stable_failed & ~traffic.canary_failed).cumsum(axis=1)
    both = ~traffic.canary_failed & ~traffic.stable_failed
    ratio = traffic.canary_s / traffic.stable_s
    timed = both.cumsum(axis=1)
    slower = (both & (ratio > policy.latency_tolerated)).cumsum(axis=1)
    much = (both & (ratio > policy.latency_margin)).cumsum(axis=1)
    pairs = np.broadcast_to(np.arange(1, TASKS_MAX + 1), bad.shape)
    # log_worse of both is the mean of the two wealths.
    errors = tabulate(lambda a, b: log_worse(a, b, times=None), bad, good)
    times = tabulate(lambda a, b: log_worse(a, b, times=None), slower, timed - slower)
    worse = np.logaddexp(errors, times) - np.log(2.0) >= np.log(1.0 / policy.false_rollback)
    needed = np.log(1.0 / policy.false_promotion)
    fine = tabulate(lambda a, b, n: log_errors_fine(a, b, pairs=n, margin=policy.errors_margin), bad, good, pairs)
    fine_s = tabulate(log_latency_fine, much, timed)
    promoted = (fine >= needed) & (fine_s >= needed) & (pairs >= policy.pairs_min)
    first_worse, first_fine = first(worse), first(promoted)
    tasks = np.minimum(np.minimum(first_worse, first_fine), TASKS_MAX)
    forced = (first_worse > TASKS_MAX) & (first_fine > TASKS_MAX)
    looks_fine = ((bad[:, -1] - good[:, -1]) / TASKS_MAX < policy.errors_margin) & (much[:, -1] < timed[:, -1] / 2)
    is_rolled_back = np.where(forced, ~looks_fine, first_worse <= first_fine)
    return Ends(tasks, is_rolled_back, forced)


def tabulate(function: Callable[..., Array], *counts: Numbers) -> Array:
    """Work a function of counts out once for each combination that occurs."""
    key = np.zeros(counts[0].shape, dtype=np.int64)
    for count in counts:
        key = key * (TASKS_MAX + 1) + count
    unique, places = np.unique(key, return_inverse=True)
    columns = []
    for _ in counts:
        unique, column = np.divmod(unique, TASKS_MAX + 1)
        columns.append(column)
    columns.reverse()
    values = np.concatenate(
        [function(*(column[at : at + 50_000] for column in columns)) for at in range(0, len(columns[0]), 50_000)]
    )
    return values[places.reshape(key.shape)]


def first(flags: Flags) -> Numbers:
    """Return at which task (from 1) a flag is first set; one past the end if never."""
    found = flags.argmax(axis=1) + 1
    return np.where(flags.any(axis=1), found, TASKS_MAX + 1)


def failed_checks(traffic: Traffic) -> tuple[Flags, Flags]:
    """Say of each check whether errors and latency were too high; one row a rollout, one column a check."""
    errors, latency = averages(traffic.canary_failed, traffic.canary_s)
    _, stable = averages(traffic.stable_failed, traffic.stable_s)
    return errors > ERRORS_CHECK_MAX, latency > LATENCY_CHECK_MAX * stable


def averages(failed: Flags, seconds: Array) -> tuple[Array, Array]:
    """Return the error share and the mean latency of the tasks that worked, of each check's tasks."""
    shape = (len(failed), TASKS_MAX // CHECK_TASKS, CHECK_TASKS)
    broken, took = failed.reshape(shape), seconds.reshape(shape)
    worked = np.maximum((~broken).sum(axis=2), 1)
    return broken.mean(axis=2)[:, :CHECKS], ((took * ~broken).sum(axis=2) / worked)[:, :CHECKS]


def judge_argo(traffic: Traffic, *, failures_max: int = 0) -> Ends:
    """Roll back when a metric failed more often than the limit; promote after the last check."""
    over = [checks.cumsum(axis=1) > failures_max for checks in failed_checks(traffic)]
    return end_by_checks(over[0] | over[1])


def judge_flagger(traffic: Traffic, *, threshold: int = 5) -> Ends:
    """Roll back at so many failed checks, which passing ones never take back; promote after the last check."""
    errors, latency = failed_checks(traffic)
    return end_by_checks((errors | latency).cumsum(axis=1) >= threshold)


def end_by_checks(over: Flags) -> Ends:
    """End at the first check that is over a limit, else after the last."""
    is_rolled_back = over.any(axis=1)
    check = np.where(is_rolled_back, over.argmax(axis=1) + 1, over.shape[1])
    return Ends(check * CHECK_TASKS, is_rolled_back)


def judge_kayenta(traffic: Traffic) -> Ends:
    """Judge all checks so far, four times: one high metric of two is a score of 50, below any marginal threshold."""
    canary, stable = (
        averages(traffic.canary_failed, traffic.canary_s),
        averages(traffic.stable_failed, traffic.stable_s),
    )
    tasks = np.full(len(canary[0]), KAYENTA_CHECKS[-1] * CHECK_TASKS)
    is_rolled_back = np.zeros(len(tasks), dtype=bool)
    for checks in KAYENTA_CHECKS:
        high = np.zeros(len(tasks), dtype=bool)
        for new, old in zip(canary, stable, strict=True):
            high |= is_high(new[:, :checks], old[:, :checks])
        newly = high & ~is_rolled_back
        tasks[newly] = checks * CHECK_TASKS
        is_rolled_back |= high
    return Ends(tasks, is_rolled_back)


def is_high(new: Array, old: Array) -> Flags:
    """Say whether `scaling.classification` with the judge's defaults calls each row of `new` high.

    The lower end of the interval is above the bound exactly when the rank statistic at the bound is above the
    quantile, as the statistic falls with the shift; so no root is sought. The estimate is the median difference.
    """
    differences = new[:, :, None] - old[:, None, :]
    bound = 0.25 * np.abs(np.median(differences.reshape(len(new), -1), axis=1))
    n, m = new.shape[1], old.shape[1]
    pooled = np.concatenate([new - bound[:, None], old], axis=1)
    statistic = np.empty(len(new))
    for row, values in enumerate(pooled):
        ranks, sizes = average_ranks(values)
        excess = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
        ties = (sizes.astype(float) ** 3 - sizes).sum()
        variance = (n * m / 12) * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
        statistic[row] = (excess - 0.5 * np.sign(excess)) / np.sqrt(variance) if variance > 0 else -np.inf
    means = new.mean(axis=1), old.mean(axis=1)
    is_same = (np.sort(new, axis=1) == np.sort(old, axis=1)).all(axis=1)
    return (statistic > KAYENTA_Z) & ((means[0] >= means[1]) | (means[0] == 0) | (means[1] == 0)) & ~is_same


def judge_first_canary(traffic: Traffic) -> Ends:
    """The first design's canary: 5 of 100 requests, promoted if its success is at least 0.95 of the old version's."""
    canary = 1.0 - traffic.canary_failed[:, :5].mean(axis=1)
    stable = 1.0 - traffic.stable_failed[:, :95].mean(axis=1)
    return Ends(np.full(len(canary), 5), canary < 0.95 * stable)


def judge_first_blue_green(traffic: Traffic) -> Ends:
    """The first design's blue-green: over 10 % errors, looked at after each of 100 requests from the fifth on."""
    seen = np.arange(1, 101)
    over = (traffic.canary_failed[:, :100].cumsum(axis=1) / seen > 0.10) & (seen >= 5)
    is_rolled_back = over.any(axis=1)
    return Ends(np.where(is_rolled_back, over.argmax(axis=1) + 1, 100), is_rolled_back)


JUDGES: dict[str, Callable[[Traffic], Ends]] = {
    "ours": judge_sequential,
    "Argo, failureLimit 0": judge_argo,
    "Argo, failureLimit 3": lambda traffic: judge_argo(traffic, failures_max=3),
    "Flagger, threshold 5": judge_flagger,
    "Kayenta": judge_kayenta,
    "first design, canary": judge_first_canary,
    "first design, blue-green": judge_first_blue_green,
}
