"""A violation made as short as can be: fewer faults, less noise, less time - as long as it still shows.

Delta debugging (Zeller and Hildebrandt, 2002) over the list of faults, with a bound on the runs it may take.
"""

from collections.abc import Sequence

import msgspec

from orchestrator.simulation.engine import HeapEngine
from orchestrator.simulation.faults import Fault
from orchestrator.simulation.invariants import Violation
from orchestrator.simulation.trace import TraceEvent
from orchestrator.simulation.world import Case, World

RUNS_MAX = 80
EVENTS_SHOWN = 60
NOISE = ("drop", "duplicate", "reorder", "clock_drift")


class Shortest(msgspec.Struct, frozen=True, kw_only=True):
    """The shortest way found to a violation. `events`: the last ones before it."""

    topology: str
    agents: int
    seed: int
    violation: Violation
    faults: tuple[Fault, ...]
    noise: tuple[str, ...]
    runs: int
    events: tuple[TraceEvent, ...]


class _Search:
    """Runs candidates; the best one found so far stands in `case`."""

    def __init__(self, case: Case) -> None:
        world = World(case, HeapEngine())
        outcome = world.run()
        assert outcome.violation is not None, "only a violation can be made shorter"
        self.violation = outcome.violation
        self.events: Sequence[TraceEvent] = world.trace.latest()
        self.case = msgspec.structs.replace(case, faults=tuple(world.faults))
        self.runs = 1

    def shows(self, candidate: Case) -> bool:
        """Try a candidate, and keep it if it violates the same invariant."""
        if self.runs >= RUNS_MAX:
            return False
        self.runs += 1
        world = World(candidate, HeapEngine())
        violation = world.run().violation
        if violation is None or violation.invariant is not self.violation.invariant:
            return False
        self.case, self.violation, self.events = candidate, violation, world.trace.latest()
        return True


def shrink(case: Case) -> Shortest:
    """Find a short way to the violation that a case shows."""
    search = _Search(case)
    noise = [name for name in NOISE if getattr(case.plan, name)]
    for name in tuple(noise):
        quieter = msgspec.structs.replace(search.case.plan, **{name: 0.0})
        if search.shows(msgspec.structs.replace(search.case, plan=quieter)):
            noise.remove(name)
    _drop_faults(search)
    return Shortest(
        topology=case.topology,
        agents=case.agents,
        seed=case.seed,
        violation=search.violation,
        faults=search.case.faults or (),
        noise=tuple(noise),
        runs=search.runs,
        events=tuple(search.events[-EVENTS_SHOWN:]),
    )


def _drop_faults(search: _Search) -> None:
    """Leave out ever smaller pieces of the list of faults."""
    pieces = 2
    while (faults := search.case.faults) and search.runs < RUNS_MAX:
        size = max(1, len(faults) // pieces)
        candidates = [faults[:start] + faults[start + size :] for start in range(0, len(faults), size)]
        shorter = any(search.shows(msgspec.structs.replace(search.case, faults=rest)) for rest in candidates)
        if not shorter and size == 1:
            return
        pieces = 2 if shorter else pieces * 2
