"""A scaling policy on a recorded load, in virtual time: what it would have cost and how late tasks would have been.

The model is a fluid queue: tasks come at the trace's rate, every ready agent works them off at one task a `task_s`, and
what is not served waits in order. An agent that was asked for serves after a start-up time and is paid for from the
first second. Nothing is drawn by chance: a trace and a policy give one outcome.
"""

import csv
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from scaling.cost import E2B_PRICE

FLAP_S = 600.0
"""Two changes in opposite directions within this time are a flap."""
COLUMNS = ("at_s", "tasks_per_s", "task_s", "volatility_percent")


class TraceError(ValueError):
    """A trace cannot be read: the message names the line and what is wrong there."""


@dataclasses.dataclass(frozen=True, slots=True)
class TraceSample:
    """The load from a time on, until the next sample."""

    at_s: float
    tasks_per_s: float
    task_s: float
    """What one task takes one agent."""
    volatility_percent: float | None = None
    """The VIX, or an annual realised volatility; None when the market is not watched."""


def read_trace(lines: Iterable[str]) -> tuple[TraceSample, ...]:
    """Read a trace from the lines of a CSV with the columns at_s, tasks_per_s, task_s and volatility_percent.

    The last may be empty. Times must rise and start anywhere. Raises TraceError.
    """
    samples: list[TraceSample] = []
    rows = csv.DictReader(lines)
    if missing := [column for column in COLUMNS[:3] if column not in (rows.fieldnames or ())]:
        raise TraceError(f"the trace has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
    for number, row in enumerate(rows, 2):
        try:
            at_s, tasks_per_s, task_s = (float(row[column]) for column in COLUMNS[:3])
            volatility = float(row["volatility_percent"]) if row.get("volatility_percent") else None
        except (TypeError, ValueError) as error:
            raise TraceError(f"line {number} of the trace: {error}") from None
        values = (at_s, tasks_per_s, task_s)
        if not all(map(math.isfinite, values)) or tasks_per_s < 0 or task_s <= 0:
            raise TraceError(f"line {number} of the trace: {values} are not a time, a rate and a duration")
        if samples and at_s <= samples[-1].at_s:
            raise TraceError(f"line {number} of the trace: {at_s} s is not after {samples[-1].at_s} s")
        samples.append(TraceSample(at_s, tasks_per_s, task_s, volatility))
    if len(samples) < 2:
        raise TraceError("the trace has fewer than two samples: the last says when it ends")
    return tuple(samples)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySetup:
    """What is the same for every policy."""

    step_s: float = 1.0
    start_up_s: float = 10.0
    """From asking for an agent until it serves. A warm one, a paused sandbox that is resumed, serves after one step."""
    warm_paid_share: float = 0.0
    """What a warm sandbox costs of a running one: nothing on E2B, where paused ones are free."""
    wait_max_s: float = 2.0
    """A task that would wait longer misses its objective."""
    agents_at_first: int = 2
    agent_second_usd: float = E2B_PRICE.per_second_usd(vcpus=2, memory_gib=0.5)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a policy sees: the fleet now, and averages since its last plan."""

    now: float
    agents: int
    """Asked for."""
    ready: int
    warm: int
    busy_percent: float
    """Of the ready agents' time; 100 when there is none and tasks wait."""
    queued: float
    running: float
    tasks_per_s: float
    task_s: float
    volatility_percent: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """How many agents and warm sandboxes a policy wants."""

    agents: int
    warm: int = 0


class ReplayedPolicy(Protocol):
    """A policy with its memory; one object a replay."""

    interval_s: float
    """Between two plans."""

    def plan(self, view: View) -> Planned:
        """Say how many agents there should be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a policy would have done."""

    tasks: float
    missed_tasks: float
    """Those that waited longer than they may."""
    usd: float
    agents_mean: float
    agents_max: int
    changes: int
    flaps: int
    """Changes that undo the direction of the one before within ten minutes."""

    @property
    def missed_percent(self) -> float:
        """The share of tasks that missed their objective."""
        return 100.0 * self.missed_tasks / self.tasks if self.tasks else 0.0


def replay(trace: Sequence[TraceSample], policy: ReplayedPolicy, *, setup: ReplaySetup | None = None) -> Outcome:
    """Run a policy over a trace, from its first sample to its last."""
    setup = setup or ReplaySetup()
    fleet = _Fleet(setup)
    place, next_plan_s = 0, trace[0].at_s
    steps = int((trace[-1].at_s - trace[0].at_s) / setup.step_s)
    for step in range(steps):
        now = trace[0].at_s + step * setup.step_s
        while trace[place + 1].at_s <= now:
            place += 1
        if now >= next_plan_s:
            planned = policy.plan(fleet.view(now, trace[place]))
            fleet.carry_out(planned, now)
            next_plan_s = now + policy.interval_s
        fleet.work(now, trace[place])
    return fleet.outcome(steps * setup.step_s)


@dataclasses.dataclass(slots=True)
class _Since:
    """Sums since the last plan."""

    seconds: float = 0.0
    tasks: float = 0.0
    busy_s: float = 0.0
    ready_s: float = 0.0


class _Fleet:
    """Agents, the queue before them, and what is counted."""

    def __init__(self, setup: ReplaySetup) -> None:
        self.setup = setup
        self.ready = setup.agents_at_first
        self.starting: list[float] = []
        self.warm = 0
        self.queue = self.running = 0.0
        self.since = _Since()
        self.tasks = self.missed = self.agent_seconds = self.paid_seconds = 0.0
        self.agents_max = self.ready
        self.moves: list[tuple[float, int]] = []

    @property
    def agents(self) -> int:
        return self.ready + len(self.starting)

    def view(self, now: float, sample: TraceSample) -> View:
        since, self.since = self.since, _Since()
        idle = 0.0 if self.queue == 0 else 100.0
        return View(
            now=now,
            agents=self.agents,
            ready=self.ready,
            warm=self.warm,
            busy_percent=100.0 * since.busy_s / since.ready_s if since.ready_s else idle,
            queued=self.queue,
            running=self.running,
            tasks_per_s=since.tasks / since.seconds if since.seconds else sample.tasks_per_s,
            task_s=sample.task_s,
            volatility_percent=sample.volatility_percent,
        )

    def carry_out(self, planned: Planned, now: float) -> None:
        change = planned.agents - self.agents
        if change > 0:
            from_warm = min(change, self.warm)
            self.warm -= from_warm
            self.starting += [now + self.setup.step_s] * from_warm
            self.starting += [now + self.setup.start_up_s] * (change - from_warm)
        elif change < 0:
            # Those that do not serve yet go first.
            kept = max(0, len(self.starting) + change)
            self.ready += change + len(self.starting) - kept
            self.starting = sorted(self.starting)[:kept]
        if change:
            self.moves.append((now, change))
        self.warm = planned.warm
        self.agents_max = max(self.agents_max, self.agents)

    def work(self, now: float, sample: TraceSample) -> None:
        step_s = self.setup.step_s
        if self.starting:
            self.ready += sum(1 for at in self.starting if at <= now)
            self.starting = [at for at in self.starting if at > now]
        arrived, capacity = sample.tasks_per_s * step_s, self.ready / sample.task_s * step_s
        wait_s = self.queue * sample.task_s / self.ready if self.ready else (math.inf if self.queue or arrived else 0.0)
        served = min(self.queue + arrived, capacity)
        self.queue = max(0.0, self.queue + arrived - served)
        self.running = served * sample.task_s / step_s
        self.tasks += arrived
        self.missed += arrived if wait_s > self.setup.wait_max_s else 0.0
        self.agent_seconds += self.agents * step_s
        self.paid_seconds += (self.agents + self.setup.warm_paid_share * self.warm) * step_s
        self.since.seconds += step_s
        self.since.tasks += arrived
        self.since.busy_s += self.running * step_s
        self.since.ready_s += self.ready * step_s

    def outcome(self, seconds: float) -> Outcome:
        flaps = sum(
            1
            for (at, change), (later, next_change) in zip(self.moves, self.moves[1:], strict=False)
            if change * next_change < 0 and later - at <= FLAP_S
        )
        return Outcome(
            tasks=self.tasks,
            missed_tasks=self.missed,
            usd=self.paid_seconds * self.setup.agent_second_usd,
            agents_mean=self.agent_seconds / seconds if seconds else 0.0,
            agents_max=self.agents_max,
            changes=len(self.moves),
            flaps=flaps,
        )
