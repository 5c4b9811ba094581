"""Who is told what about its place: seats with the tokens of today, neighbours with their endpoints of today. Pure.

The coordinator's book of offices is here too: the highest token seen of each, by which an effect of an older one is
refused (fencing), and by which it knows where a tick enters.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from orchestrator.plan import Plan
from sandboxes.provider import Sandbox
from strategies import Bar
from topologies.detector import DetectorSettings
from topologies.layouts import Topology
from topologies.seats import Branch, DelegationSeat, Office, Post, Seat, holder_of, next_token
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
    tokens: dict[str, int] = field(default_factory=dict)

    def took_office(self, office: str, token: int) -> bool:
        """Take note of a token in use; False when a newer one is known: whoever shows it has no right any more."""
        if token < self.tokens.get(office, 1):
            return False
        self.tokens[office] = token
        return True

    def appoint(self, agent: str) -> None:
        """Give a replaced agent the offices that nobody has taken over, under tokens that its former self never had."""
        seat = self.plan.topology.seats[agent]
        for post in seat.posts if isinstance(seat, DelegationSeat) else ():
            token = self.tokens.get(post.office.name, post.office.token)
            if holder_of(post.office, token) == agent:
                self.tokens[post.office.name] = next_token(post.office, agent, token)

    def assign(self, agent: str, sandboxes: Mapping[str, Sandbox], *, rounds_over: int) -> Assign:
        """Tell a worker who it is, in a swarm that has played that many rounds."""
        plan = self.plan
        return Assign(
            version=PROTOCOL_VERSION,
            swarm=self.swarm,
            generation=sandboxes[agent].generation,
            token=self.secret,
            seat=with_tokens(plan.topology.seats[agent], self.tokens),
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

    def entries(self, absent: Container[str]) -> Sequence[str]:
        """Name the agents that a tick goes to now; an entry without anybody present is left out."""
        found = [self._entry(candidates, absent) for candidates in self.plan.topology.entries]
        return [agent for agent in found if agent]

    def _entry(self, candidates: Sequence[str], absent: Container[str]) -> str:
        seat = self.plan.topology.seats[candidates[0]]
        if isinstance(seat, DelegationSeat):
            office = next(post.office for post in seat.posts if post.above is None)
            holder = holder_of(office, self.tokens.get(office.name, office.token))
            return "" if holder in absent else holder
        return next((agent for agent in candidates if agent not in absent), "")


def detector_settings(topology: Topology, *, heartbeat_s_min: float) -> DetectorSettings:
    """Choose how often agents give signs of life: as fast as asked, but no more beats than a swarm can afford."""
    watching = sum(len(seat.watches) for seat in topology.seats.values())
    return DetectorSettings.paced(max(heartbeat_s_min, watching / BEATS_PER_S_MAX))


def with_tokens(seat: Seat, tokens: Mapping[str, int]) -> Seat:
    """Bring the offices in a seat up to date."""
    if not isinstance(seat, DelegationSeat):
        return seat

    def dated(office: Office) -> Office:
        return msgspec.structs.replace(office, token=tokens.get(office.name, office.token))

    def branch_of(branch: Branch) -> Branch:
        return branch if branch.office is None else Branch(branch.agent, branch.capacity, dated(branch.office))

    posts = tuple(
        Post(
            office=dated(post.office),
            branches=tuple(branch_of(branch) for branch in post.branches),
            above=None if post.above is None else dated(post.above),
            deadline_s=post.deadline_s,
        )
        for post in seat.posts
    )
    return msgspec.structs.replace(seat, member_of=dated(seat.member_of), posts=posts)


def _history(plan: Plan, rounds_over: int) -> dict[str, tuple[Bar, ...]]:
    """Return the bars before the next round, as many of each symbol as there were before the first."""
    if not rounds_over:
        return dict(plan.tape.history)
    history: dict[str, tuple[Bar, ...]] = {}
    for symbol, bars in plan.tape.history.items():
        played = [tick.bars[symbol] for tick in plan.tape.ticks[:rounds_over] if symbol in tick.bars]
        history[symbol] = (*bars, *played)[-max(1, len(bars)) :]
    return history
