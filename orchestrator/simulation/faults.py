"""What goes wrong in a simulation: how often, for how long, and - drawn from a seed - exactly when and to whom."""

import random
import tomllib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec


class FaultKind(StrEnum):
    """What happens to agents. A crash is seen by the other end of its connections, a vanished sandbox is not."""

    CRASH = "crash"
    VANISH = "vanish"
    HANG = "hang"
    PARTITION = "partition"
    ONE_WAY_PARTITION = "one-way partition"
    API_OUTAGE = "api outage"


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probabilities per frame, rates per minute for the whole swarm, and means of durations in seconds.

    `drop`, `duplicate`, `reorder`: of a frame. `delay_s`: mean of the exponential part of a frame's way. `start_s`:
    mean time until a replacement listens. `clock_drift`: agents' clocks run up to so much too fast or too slow.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.002
    crashes_per_min: float = 0.0
    vanishes_per_min: float = 0.0
    hangs_per_min: float = 0.0
    hang_s: float = 3.0
    partitions_per_min: float = 0.0
    partition_s: float = 6.0
    one_way_share: float = 0.3
    api_outages_per_min: float = 0.0
    api_outage_s: float = 8.0
    start_s: float = 0.3
    clock_drift: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not 0.0 <= value < float("inf") or (name in PROBABILITIES and value > 1.0):
                limits = "between 0 and 1" if name in PROBABILITIES else "0 or more"
                raise ValueError(f"{name} is {value}: it must be {limits}")


PROBABILITIES = frozenset({"drop", "duplicate", "reorder", "one_way_share", "clock_drift"})

PRESETS = {
    "none": FaultPlan(),
    "default": FaultPlan(
        drop=0.005,
        duplicate=0.002,
        reorder=0.005,
        delay_s=0.005,
        crashes_per_min=0.5,
        vanishes_per_min=0.2,
        hangs_per_min=0.3,
        partitions_per_min=0.1,
        api_outages_per_min=0.05,
        clock_drift=0.001,
    ),
    "harsh": FaultPlan(
        drop=0.1,
        duplicate=0.05,
        reorder=0.05,
        delay_s=0.03,
        crashes_per_min=3.0,
        vanishes_per_min=1.0,
        hangs_per_min=2.0,
        hang_s=6.0,
        partitions_per_min=1.0,
        partition_s=10.0,
        api_outages_per_min=0.3,
        start_s=1.0,
        clock_drift=0.01,
    ),
}


class FaultPlanError(ValueError):
    """A fault plan cannot be used; the message is one line for the user."""


def read_plan(name: str) -> FaultPlan:
    """Return a preset by name, or a plan from a TOML file of the fields of FaultPlan. Raises FaultPlanError."""
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if not path.is_file():
        raise FaultPlanError(f"faults {name!r} is neither a file nor one of {', '.join(PRESETS)}")
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), FaultPlan)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise FaultPlanError(f"fault plan {name}: {error}; fields: {', '.join(FaultPlan.__struct_fields__)}") from error


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong: when (virtual seconds), what, to whom, for how long."""

    at_s: float
    kind: FaultKind
    agents: tuple[str, ...]
    duration_s: float = 0.0


def swarm_of(plan: FaultPlan, rng: random.Random) -> FaultPlan:
    """Vary a plan for one seed: some faults left out, some rarer, so that each seed looks elsewhere.

    Swarm testing, Groce et al., ISSTA 2012: leaving features out finds more than always having all of them.
    """
    names = ("drop", "duplicate", "reorder", *(name for name in plan.__struct_fields__ if name.endswith("_per_min")))
    return msgspec.structs.replace(plan, **{name: getattr(plan, name) * rng.choice((0, 0.5, 1, 1)) for name in names})


def draw_faults(plan: FaultPlan, agents: Sequence[str], *, rng: random.Random, until_s: float) -> list[Fault]:
    """Draw what happens to whom and when, in the order of time."""
    rates = {
        FaultKind.CRASH: plan.crashes_per_min,
        FaultKind.VANISH: plan.vanishes_per_min,
        FaultKind.HANG: plan.hangs_per_min,
        FaultKind.PARTITION: plan.partitions_per_min * (1 - plan.one_way_share),
        FaultKind.ONE_WAY_PARTITION: plan.partitions_per_min * plan.one_way_share,
        FaultKind.API_OUTAGE: plan.api_outages_per_min,
    }
    durations = {
        FaultKind.HANG: plan.hang_s,
        FaultKind.PARTITION: plan.partition_s,
        FaultKind.ONE_WAY_PARTITION: plan.partition_s,
        FaultKind.API_OUTAGE: plan.api_outage_s,
    }
    faults: list[Fault] = []
    for kind, per_min in rates.items():
        at_s = rng.expovariate(per_min / 60.0) if per_min else until_s
        while at_s < until_s:
            mean_s = durations.get(kind, 0.0)
            duration_s = min(rng.expovariate(1 / mean_s), 4 * mean_s, until_s - at_s) if mean_s else 0.0
            count = rng.randint(1, max(1, len(agents) // 2)) if "partition" in kind else 1
            faults.append(Fault(at_s, kind, tuple(sorted(rng.sample(agents, count))), duration_s))
            at_s += rng.expovariate(per_min / 60.0)
    return sorted(faults, key=lambda fault: (fault.at_s, fault.kind))
