"""Is the new version worse? A test that may be looked at after every task and still keeps its promise.

Each task of the new version is paired with one of the old version at the same time. Two things are compared in a
pair: which of the two failed, and which took longer. From these grows an e-process, the wealth of a gambler who bets
that the new version is worse. If it is not, wealth W is reached with a probability of at most 1 / W at any time
whatever (Ville's inequality), so rolling back at wealth 1 / alpha rolls a version that is no worse back with a
probability of at most alpha, however often one looks (Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and
safe anytime-valid inference", Statistical Science 38 (2023) 576-601). Promotion is the same bet the other way: that the
new version is not worse by more than a margin (Waudby-Smith and Ramdas, "Estimating means of bounded random variables
by betting", Journal of the Royal Statistical Society B 86 (2024) 1-27). Between the two stands "not yet", bounded by a
number of pairs and a time.

How much to bet is not known before, so the wealth is averaged over a grid of stakes: an average of e-processes is one.
Everything depends on six counts alone, which makes the state small and the functions work on arrays.
"""

import dataclasses
import enum
import math

import numpy as np
import numpy.typing as npt

GRID = 32
"""Stakes the wealth is averaged over. More change little: the best of 32 is near any."""

Counts = npt.NDArray[np.int64] | npt.NDArray[np.float64] | int
Evidence = npt.NDArray[np.float64]


class Verdict(enum.StrEnum):
    """What to do with the new version."""

    PROMOTE = "PROMOTE"
    ROLL_BACK = "ROLL_BACK"
    NOT_YET = "NOT_YET"


@dataclasses.dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How one task went. The latency of a failed task is not looked at."""

    is_error: bool
    latency_s: float | None = None
    """None: not measured."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SequentialPolicy:
    """What is promised, what is tolerated, and when it must end.

    Raises ValueError when a promise or a margin cannot be kept.
    """

    false_rollback: float = 0.01
    """The most often a version that is no worse is rolled back on evidence."""
    false_promotion: float = 0.05
    """The most often a version that is worse by a margin or more is promoted on evidence."""
    errors_margin: float = 0.05
    """Promotion says: fewer than this many more errors a task (0.05 is five points)."""
    latency_margin: float | None = 1.25
    """Promotion says: in most pairs less than this many times as long. None: latency is not judged."""
    latency_tolerated: float = 1.0
    """Rolling back says: in most pairs more than this many times as long."""
    pairs_min: int = 50
    """No promotion before. Rolling back needs no least number: its promise holds from the first pair."""
    pairs_max: int = 2000
    time_max_s: float = 3600.0

    def __post_init__(self) -> None:
        if not (0 < self.false_rollback < 1 and 0 < self.false_promotion < 1):
            raise ValueError("false_rollback and false_promotion are chances between 0 and 1")
        if not 0 < self.errors_margin < 1:
            raise ValueError(f"errors_margin is {self.errors_margin}; give a share between 0 and 1")
        if self.latency_margin is not None and not 0 < self.latency_tolerated < self.latency_margin:
            raise ValueError("latency_tolerated must be above 0 and below latency_margin")
        if not 0 < self.pairs_min <= self.pairs_max:
            raise ValueError("pairs_min must be at least 1 and at most pairs_max")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairCounts:
    """All that is remembered of the pairs seen."""

    pairs: int = 0
    canary_failed: int = 0
    """Pairs in which only the new version failed."""
    stable_failed: int = 0
    """Pairs in which only the old version failed."""
    timed: int = 0
    """Pairs in which both worked and were timed."""
    slower: int = 0
    """Of those, the new version took longer than tolerated."""
    much_slower: int = 0
    """Of those, it took longer than the margin."""

    def add(self, canary: TaskOutcome, stable: TaskOutcome, *, policy: SequentialPolicy) -> "PairCounts":
        """Return the counts with one more pair. A latency that is not a positive number was not measured."""
        only_canary = canary.is_error and not stable.is_error
        only_stable = stable.is_error and not canary.is_error
        timed = slower = much_slower = 0
        if not (canary.is_error or stable.is_error) and _is_time(canary.latency_s) and _is_time(stable.latency_s):
            ratio = (canary.latency_s or 0.0) / (stable.latency_s or 1.0)
            timed, slower = 1, int(ratio > policy.latency_tolerated)
            much_slower = int(policy.latency_margin is not None and ratio > policy.latency_margin)
        return PairCounts(
            pairs=self.pairs + 1,
            canary_failed=self.canary_failed + only_canary,
            stable_failed=self.stable_failed + only_stable,
            timed=self.timed + timed,
            slower=self.slower + slower,
            much_slower=self.much_slower + much_slower,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict, the evidence, and whether time alone made it."""

    verdict: Verdict
    reason: str
    worse: float
    """Wealth of the bet that the new version is worse; it is rolled back at 1 / false_rollback."""
    errors_fine: float
    """Wealth of the bet that it does not fail more by the margin."""
    latency_fine: float
    """Wealth of the bet that it is not slower by the margin; infinite when latency is not judged."""
    is_forced: bool = False
    """Whether the limit of pairs or of time was reached without evidence."""


def judge(counts: PairCounts, *, policy: SequentialPolicy, elapsed_s: float = 0.0) -> Judgement:
    """Judge the pairs seen so far. It may be called after each of them.

    At the limit of pairs or of time a version that looks fine by its plain differences is promoted, and one that does
    not, or of which fewer than the least pairs were seen, is rolled back; that is said, and is outside the promise.
    """
    judgement = _weigh(counts, policy)
    worst_needed, fine_needed = 1.0 / policy.false_rollback, 1.0 / policy.false_promotion
    fine = min(judgement.errors_fine, judgement.latency_fine)
    if judgement.worse >= worst_needed:
        reason = f"worse: evidence {judgement.worse:.0f} of {worst_needed:.0f} after {counts.pairs} pairs"
        return dataclasses.replace(judgement, verdict=Verdict.ROLL_BACK, reason=reason)
    if counts.pairs >= policy.pairs_min and fine >= fine_needed:
        reason = f"not worse by the margins: evidence {fine:.0f} of {fine_needed:.0f} after {counts.pairs} pairs"
        return dataclasses.replace(judgement, verdict=Verdict.PROMOTE, reason=reason)
    if counts.pairs < policy.pairs_max and elapsed_s < policy.time_max_s:
        return judgement
    looks_fine = counts.pairs >= policy.pairs_min and is_within_margins(counts, policy)
    verdict = Verdict.PROMOTE if looks_fine else Verdict.ROLL_BACK
    reason = f"the limit was reached after {counts.pairs} pairs and {elapsed_s:.0f} s without evidence"
    return dataclasses.replace(judgement, verdict=verdict, reason=reason, is_forced=True)


def is_within_margins(counts: PairCounts, policy: SequentialPolicy) -> bool:
    """Say whether the plain differences are within the margins."""
    more_errors = (counts.canary_failed - counts.stable_failed) / max(counts.pairs, 1)
    slow_share = counts.much_slower / counts.timed if counts.timed else 0.0
    return more_errors < policy.errors_margin and (policy.latency_margin is None or slow_share < 0.5)


def log_worse(canary_failed: Counts, stable_failed: Counts, *, times: tuple[Counts, Counts] | None) -> Evidence:
    """Return the logarithm of the wealth of the bet that the new version is worse, for counts or arrays of them.

    `times` is (pairs in which it was slower, timed pairs). The bet on errors and the bet on times each get half.
    """
    errors = _log_share_above_half(canary_failed, stable_failed)
    if times is None:
        return errors
    slower, timed = np.asarray(times[0], dtype=float), np.asarray(times[1], dtype=float)
    return np.logaddexp(errors, _log_share_above_half(slower, timed - slower)) - math.log(2.0)


def log_errors_fine(canary_failed: Counts, stable_failed: Counts, *, pairs: Counts, margin: float) -> Evidence:
    """Return the log wealth of the bet that the new version fails less than `margin` a task more than the old one.

    A pair is worth 1 + stake * (margin - d), where d is 1, -1 or 0 as only the new, only the old or neither alone
    failed. If the mean of d is the margin or more, that shrinks on average.
    """
    # The largest stake that survives a pair in which only the new version failed.
    stakes = (np.arange(GRID) + 0.5) / GRID / (1.0 - margin)
    up, down, rest = (np.log1p(stakes * (margin - d)) for d in (1.0, -1.0, 0.0))
    bad, good = np.asarray(canary_failed, dtype=float)[..., None], np.asarray(stable_failed, dtype=float)[..., None]
    neither = np.asarray(pairs, dtype=float)[..., None] - bad - good
    return _log_mean(bad * up + good * down + neither * rest)


def log_latency_fine(much_slower: Counts, timed: Counts) -> Evidence:
    """Return the log wealth of the bet that the new version is slower by the margin in less than half of the pairs."""
    slow = np.asarray(much_slower, dtype=float)
    return _log_share_above_half(np.asarray(timed, dtype=float) - slow, slow)


def pairs_to_catch(stable_errors: float, canary_errors: float, *, policy: SequentialPolicy) -> float:
    """Return about how many pairs it takes to roll a version back that fails this often; infinite if never.

    The mean growth of the wealth against what it must reach. Print it before a rollout: a test that needs more pairs
    than there will be decides nothing.
    """
    only_canary, only_stable = canary_errors * (1 - stable_errors), stable_errors * (1 - canary_errors)
    discordant = only_canary + only_stable
    if only_canary <= only_stable:
        return math.inf
    share = only_canary / discordant
    growth = share * math.log(2 * share) + ((1 - share) * math.log(2 * (1 - share)) if share < 1 else 0.0)
    # Twice for the half of the stake; the grid costs about the logarithm of the pairs' standard deviation.
    return (math.log(2.0 / policy.false_rollback) + 1.5) / (growth * discordant)


def _weigh(counts: PairCounts, policy: SequentialPolicy) -> Judgement:
    """Return the evidence so far, undecided."""
    bad, good = counts.canary_failed, counts.stable_failed
    times = None if policy.latency_margin is None else (counts.slower, counts.timed)
    has_latency = policy.latency_margin is not None
    return Judgement(
        verdict=Verdict.NOT_YET,
        reason=f"undecided after {counts.pairs} pairs",
        worse=_exp(float(log_worse(bad, good, times=times))),
        errors_fine=_exp(float(log_errors_fine(bad, good, pairs=counts.pairs, margin=policy.errors_margin))),
        latency_fine=_exp(float(log_latency_fine(counts.much_slower, counts.timed))) if has_latency else math.inf,
    )


def _log_share_above_half(ups: Counts, downs: Counts) -> Evidence:
    """Return the log wealth of betting on ups against a chance of one half, stakes uniform between none and all."""
    shares = 0.5 + (np.arange(GRID) + 0.5) / (2 * GRID)
    up, down = np.asarray(ups, dtype=float)[..., None], np.asarray(downs, dtype=float)[..., None]
    return _log_mean(up * np.log(2.0 * shares) + down * np.log(2.0 * (1.0 - shares)))


def _log_mean(logs: Evidence) -> Evidence:
    highest = logs.max(axis=-1)
    mean: Evidence = np.log(np.exp(logs - highest[..., None]).mean(axis=-1)) + highest
    return mean


def _exp(log: float) -> float:
    return math.exp(log) if log < 700.0 else math.inf


def _is_time(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds > 0
