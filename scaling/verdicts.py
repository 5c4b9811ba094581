"""Counting rules for the verdict on a new version: so many failures fail it.

A measurement has a phase, a metric counts its measurements, a run takes the worst of its metrics. The order of
the checks decides, and is that of argoproj/argo-rollouts `analysis/analysis.go`, `utils/evaluate/evaluate.go` and
`utils/analysis/helpers.go` (Apache-2.0), at commit 9f8d111d. These rules know no chance: with one false failure in
a hundred checks the default limit stops a healthy version in a quarter of runs of thirty checks. `sequential`
is the judge that bounds that.
"""

import dataclasses
import enum
from collections.abc import Iterable, Sequence

CONSECUTIVE_ERRORS_MAX = 4
"""How many measurements in a row may fail to be taken."""
ERROR_RETRY_S = 10.0
"""Seconds until a measurement that could not be taken is tried again, whatever the interval."""


class VerdictPhase(enum.StrEnum):
    """Where a measurement, a metric or a run stands. Listed from best to worst, as upstream orders them."""

    SUCCESSFUL = "Successful"
    RUNNING = "Running"
    PENDING = "Pending"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing more is to come."""
        return self not in (VerdictPhase.RUNNING, VerdictPhase.PENDING)

    def is_worse_than(self, other: "VerdictPhase") -> bool:
        """Say whether this phase is worse than `other`."""
        order = list(VerdictPhase)
        return order.index(self) > order.index(other)


class Condition(enum.Enum):
    """What an expression over a measurement came to."""

    TRUE = enum.auto()
    FALSE = enum.auto()
    BROKEN = enum.auto()
    """It could not be worked out."""


def evaluate_measurement(success: Condition | None, failure: Condition | None) -> VerdictPhase:
    """Return the phase of a measurement from its two conditions, None where one is not given.

    One condition alone implies the other; with both and neither true nothing is known. A measurement without
    conditions succeeds by having been taken. A condition that is broken is an error, before all else.
    """
    if Condition.BROKEN in (success, failure):
        return VerdictPhase.ERROR
    if failure is Condition.TRUE:
        return VerdictPhase.FAILED
    if success is Condition.TRUE or (success is None and failure is None):
        return VerdictPhase.SUCCESSFUL
    if failure is None:
        return VerdictPhase.FAILED
    return VerdictPhase.SUCCESSFUL if success is None else VerdictPhase.INCONCLUSIVE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricLimits:
    """When a metric is decided. None takes the default."""

    has_interval: bool = False
    """Whether it is measured again and again."""
    count: int | None = None
    """How many measurements to take; without it one, or without end if there is an interval."""
    failures_max: int | None = None
    """Default 0; a negative one switches the limit off."""
    inconclusive_max: int | None = None
    """Default 0."""
    consecutive_errors_max: int | None = None
    consecutive_successes: int | None = None
    """So many successes in a row decide at once; 0 and None switch this off."""

    @property
    def count_effective(self) -> int | None:
        """How many measurements to take; None without end."""
        if self.count:
            return self.count
        return None if self.has_interval else 1

    @property
    def limits_failures(self) -> bool:
        """Whether failures are counted at all."""
        return self.failures_max is None or self.failures_max >= 0

    @property
    def wants_successes(self) -> bool:
        """Whether successes in a row decide."""
        return self.consecutive_successes is not None and self.consecutive_successes > 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MetricTally:
    """What has been measured of one metric."""

    phase: VerdictPhase | None = None
    """A final phase sticks."""
    latest: VerdictPhase | None = None
    """The phase of the latest measurement; None before the first."""
    count: int = 0
    failed: int = 0
    inconclusive: int = 0
    successful: int = 0
    errors: int = 0
    consecutive_errors: int = 0
    consecutive_successes: int = 0

    def add(self, measured: VerdictPhase) -> "MetricTally":
        """Return the tally with one more finished measurement. An error adds nothing to the count."""
        if measured is VerdictPhase.ERROR:
            return dataclasses.replace(
                self,
                latest=measured,
                errors=self.errors + 1,
                consecutive_errors=self.consecutive_errors + 1,
                consecutive_successes=0,
            )
        succeeded = measured is VerdictPhase.SUCCESSFUL
        return dataclasses.replace(
            self,
            latest=measured,
            count=self.count + 1,
            failed=self.failed + (measured is VerdictPhase.FAILED),
            inconclusive=self.inconclusive + (measured is VerdictPhase.INCONCLUSIVE),
            successful=self.successful + succeeded,
            consecutive_errors=0,
            consecutive_successes=self.consecutive_successes + 1 if succeeded else 0,
        )


def assess_metric(limits: MetricLimits, tally: MetricTally, *, terminating: bool = False) -> VerdictPhase:
    """Return where a metric stands.

    Broken limits come first, the worst last so that it overrides: failures, then inconclusive ones, then errors
    in a row. Then successes in a row, then the count. What is left runs on, or ends well when told to end.
    """
    if tally.phase is not None and tally.phase.is_final:
        return tally.phase
    if tally.latest is None:
        return VerdictPhase.SUCCESSFUL if terminating else VerdictPhase.PENDING
    if not tally.latest.is_final:
        return VerdictPhase.RUNNING
    if broken := _broken_limit(limits, tally):
        return broken
    if limits.wants_successes and tally.consecutive_successes >= (limits.consecutive_successes or 0):
        return VerdictPhase.SUCCESSFUL
    if limits.count_effective is not None and tally.count >= limits.count_effective:
        if not limits.wants_successes:
            return VerdictPhase.SUCCESSFUL
        return VerdictPhase.INCONCLUSIVE if limits.limits_failures else VerdictPhase.FAILED
    return VerdictPhase.SUCCESSFUL if terminating else VerdictPhase.RUNNING


@dataclasses.dataclass(frozen=True, slots=True)
class RunMetric:
    """One metric of a run: where it stands (None: not begun), and whether it only looks on."""

    phase: VerdictPhase | None
    is_dry_run: bool = False


def is_ending(metrics: Iterable[RunMetric]) -> bool:
    """Say whether a run must end: a metric that counts came out bad."""
    bad = (VerdictPhase.FAILED, VerdictPhase.ERROR, VerdictPhase.INCONCLUSIVE)
    return any(metric.phase in bad and not metric.is_dry_run for metric in metrics)


def assess_run(metrics: Sequence[RunMetric], *, terminating: bool = False) -> VerdictPhase:
    """Return where a run stands: the worst of its finished metrics, RUNNING while any is unfinished.

    Metrics that only look on never make it worse. A run that is told to end, or that ends by itself because a
    metric came out bad, is judged by what is finished; with nothing finished it is successful.
    """
    finished = [metric for metric in metrics if metric.phase is not None and metric.phase.is_final]
    worst: VerdictPhase | None = None
    for metric in finished:
        phase = VerdictPhase.SUCCESSFUL if metric.is_dry_run else metric.phase
        if phase is not None and (worst is None or phase.is_worse_than(worst)):
            worst = phase
    if terminating or is_ending(metrics):
        return worst or VerdictPhase.SUCCESSFUL
    if worst is None or len(finished) < len(metrics):
        return VerdictPhase.RUNNING
    return worst


def _broken_limit(limits: MetricLimits, tally: MetricTally) -> VerdictPhase | None:
    errors_max = limits.consecutive_errors_max
    if tally.consecutive_errors > (CONSECUTIVE_ERRORS_MAX if errors_max is None else errors_max):
        return VerdictPhase.ERROR
    if tally.inconclusive > (limits.inconclusive_max or 0):
        return VerdictPhase.INCONCLUSIVE
    if limits.limits_failures and tally.failed > (limits.failures_max or 0):
        return VerdictPhase.FAILED
    return None
