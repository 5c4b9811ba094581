"""Who is told what about its place: seats with the tokens of today, neighbours with their endpoints of today. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.office_book import OfficeBook
from orchestrator.plan import Plan
from sandboxes.provider import Sandbox
from strategies import Bar
from topologies.detector import DetectorSettings
from topologies.layouts import Topology
from workers.codec import PROTOCOL_VERSION, Assign, Neighbour

# Of all agents together: at 40 us a beat, both ends counted, a tenth of one core.
BEATS_PER_S_MAX = 2500


@dataclass(slots=True)
class Assignments:
    """Makes the orders that tell agents who they are. `secret`: the token every connection of the swarm shows."""

    plan: Plan
    swarm: str
    secret: str
    detector: DetectorSettings
    offices: OfficeBook

    def assign(self, agent: str, sandboxes: Mapping[str, Sandbox], *, rounds_over: int) -> Assign:
        """Tell a worker who it is, in a swarm that has played that many rounds."""
        plan = self.plan
        return Assign(
            version=PROTOCOL_VERSION,
            swarm=self.swarm,
            generation=sandboxes[agent].generation,
            token=self.secret,
            seat=self.offices.seat(agent),
            neighbours=tuple(self.neighbour(agent, sandboxes[other]) for other in plan.topology.neighbours(agent)),
            strategies=tuple(strategy.reference for strategy in plan.strategies),
            history=_history(plan, rounds_over),
            seed=plan.spec.seed,
            detector=self.detector,
            rounds_over=rounds_over,
        )

    def neighbour(self, agent: str, other: Sandbox) -> Neighbour:
        """Describe to an agent where a neighbour lives now."""
        graph = self.plan.topology.graph
        return Neighbour(
            agent=other.agent,
            endpoint=other.endpoint,
            dials=agent < other.agent,
            sends=graph.has_edge(agent, other.agent),
            hears=graph.has_edge(other.agent, agent),
        )


def detector_settings(topology: Topology, *, heartbeat_s_min: float) -> DetectorSettings:
    """Choose how often agents give signs of life: as fast as asked, but no more beats than a swarm can afford."""
    watching = sum(len(seat.watches) for seat in topology.seats.values())
    return DetectorSettings.paced(max(heartbeat_s_min, watching / BEATS_PER_S_MAX))


def _history(plan: Plan, rounds_over: int) -> dict[str, tuple[Bar, ...]]:
    """Return the bars before the next round, as many of each symbol as there were before the first."""
    if not rounds_over:
        return dict(plan.tape.history)
    history: dict[str, tuple[Bar, ...]] = {}
    for symbol, bars in plan.tape.history.items():
        played = [tick.bars[symbol] for tick in plan.tape.ticks[:rounds_over] if symbol in tick.bars]
        history[symbol] = (*bars, *played)[-max(1, len(bars)) :]
    return history
