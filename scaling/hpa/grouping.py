"""Which members of a fleet a metric may be trusted of: ready, unready, missing a sample, or out of the count.

A member that has just started burns CPU that says nothing of its load, so its samples are set aside until it has
been ready for one whole window of the metric. The rules are those of `groupPods` in kubernetes/kubernetes,
`pkg/controller/podautoscaler/replica_calculator.go`.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping

CPU_INITIALIZATION_S = 120.0
"""Seconds after its start in which a member's CPU is looked at twice; 120 in the upstream tests, 300 in a cluster."""
READINESS_DELAY_S = 10.0
"""Seconds after its start in which turning unready still counts as never having been ready."""


class Phase(enum.StrEnum):
    """Where a member is in its life. Those that succeeded still count, as upstream."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the fleet as last seen. Times are on the caller's clock, in seconds."""

    name: str
    phase: Phase = Phase.RUNNING
    is_ready: bool | None = True
    """None: it has never said whether it is ready."""
    started_at_s: float | None = None
    """None: it has not started."""
    ready_changed_at_s: float = 0.0
    """When `is_ready` took its value."""
    is_leaving: bool = False
    """Whether it has been told to end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """When a member's metric was taken, and over how many seconds."""

    taken_at_s: float
    window_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The members of a fleet by what their metric is worth; every member is in one place."""

    ready_count: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a young member's CPU is looked at twice. The defaults are those of the upstream tests."""

    initialization_s: float = CPU_INITIALIZATION_S
    readiness_delay_s: float = READINESS_DELAY_S


def group_members(
    members: Iterable[Member],
    samples: Mapping[str, Sample],
    *,
    now: float,
    is_cpu: bool,
    patience: Patience | None = None,
) -> Groups:
    """Sort members by what their metric is worth.

    Leaving and failed ones are ignored, pending ones unready, those without a sample missing. Only for CPU does
    readiness decide further: see `is_warming`.
    """
    patience = patience or Patience()
    ready_count = 0
    unready, missing, ignored = set[str](), set[str](), set[str]()
    for member in members:
        if member.is_leaving or member.phase is Phase.FAILED:
            ignored.add(member.name)
        elif member.phase is Phase.PENDING:
            unready.add(member.name)
        elif member.name not in samples:
            missing.add(member.name)
        elif is_cpu and is_warming(member, samples[member.name], now=now, patience=patience):
            unready.add(member.name)
        else:
            ready_count += 1
    return Groups(
        ready_count=ready_count,
        unready=frozenset(unready),
        missing=frozenset(missing),
        ignored=frozenset(ignored),
    )


def is_warming(member: Member, sample: Sample, *, now: float, patience: Patience) -> bool:
    """Say whether a member's CPU sample says nothing of its load yet.

    So it is when the member never said whether it is ready or has no start; while it is young, when it is
    unready or the sample's window began before it turned ready; later, when it is unready and never was ready.
    """
    if member.is_ready is None or member.started_at_s is None:
        return True
    if member.started_at_s + patience.initialization_s > now:
        return not member.is_ready or sample.taken_at_s < member.ready_changed_at_s + sample.window_s
    return not member.is_ready and member.started_at_s + patience.readiness_delay_s > member.ready_changed_at_s
