"""How likely a topology is to serve when each agent has failed with probability p, independently of the others.

A topology serves when every symbol can still be decided with every strategy heard. Precisely, of the agents alive:

- mesh: of each symbol's r owners a quorum. With failover a dead owner's slot is taken by the next in the symbol's
  ranking who has edges to the owners: in a complete mesh any peer, beyond 32 agents one spare.
- star: the hub and, for each strategy, one spoke to which that strategy was dealt. With failover the deputy (the first
  spoke) stands in for the hub; then it computes nothing itself.
- hierarchy: the root and, for each strategy, one worker it was dealt to, with all leaders between it and the root.
  With failover each office is held by its leader or by its deputy, the first of the group; a worker that stands in
  computes nothing itself, a leader that stands in keeps its own office too.
- ring: all agents. With failover no two neighbours on the cycle are dead (the bypass reaches one over), so that every
  stage of every lane is done by its own agent or by the next.

The running rules differ with failover. In a tree the holder of an office needs a majority of its group alive as well
(`topologies.offices`), which is stricter. In a mesh owners take each other's voices over (`topologies.voices`), so that
one of them is enough; but without any the one spare is too few, however many other peers are alive.

`serves` is the definition as code; `reliability` computes its probability exactly, by closed forms and dynamic
programming, or where that has too many states by `estimate`, a seeded simulation that asks `serves`.
"""

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, assert_never

from topologies.kinds import TopologyKind
from topologies.layouts.mesh import COMPLETE_AGENTS_MAX
from topologies.layouts.topology import Topology, capabilities
from topologies.ownership import owners, ranking
from topologies.shape import children_of, shape
from topologies.voting import quorum_size

STATES_MAX = 200_000
FALLBACK_SAMPLES = 20_000
Z_95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A probability with its 95 % confidence interval; `samples` is 0 and the interval a point when it is exact."""

    value: float
    low: float
    high: float
    samples: int


def reliability(topology: Topology, p: float, *, has_failover: bool, rng: random.Random) -> Estimate:
    """Say how likely a topology serves when each agent has failed with probability `p`, in [0, 1].

    `rng` is drawn from only where the exact computation would need more than STATES_MAX states.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a probability of failure is in [0, 1], found {p}")
    match topology.kind:
        case TopologyKind.MESH:
            exact = _mesh(_votes_needed(topology, has_failover=has_failover), p)
            if exact is None:
                return estimate(topology, p, has_failover=has_failover, samples=FALLBACK_SAMPLES, rng=rng)
        case TopologyKind.STAR | TopologyKind.HIERARCHICAL:
            exact = _tree(_Tree.of(topology), p, has_failover=has_failover)
        case TopologyKind.RING:
            exact = _ring(len(topology.agents), p, has_failover=has_failover)
        case _:
            assert_never(topology.kind)
    return Estimate(value=exact, low=exact, high=exact, samples=0)


def estimate(topology: Topology, p: float, *, has_failover: bool, samples: int, rng: random.Random) -> Estimate:
    """Simulate: let agents fail `samples` times and count how often the topology serves (Wilson score interval)."""
    is_serving = _judge(topology, has_failover=has_failover)
    agents = topology.agents
    served = sum(is_serving({agent for agent in agents if rng.random() >= p}) for _ in range(samples))
    low, high = wilson(served, samples, z=Z_95)
    return Estimate(value=served / samples, low=low, high=high, samples=samples)


def serves(topology: Topology, alive: Collection[str], *, has_failover: bool) -> bool:
    """Say whether a topology serves with these agents alive; the definition stands in the module's docstring."""
    return _judge(topology, has_failover=has_failover)(set(alive))


def wilson(successes: int, samples: int, *, z: float) -> tuple[float, float]:
    """Return the score interval of a proportion that is `z` standard errors wide on each side (E. B. Wilson 1927)."""
    share, weight = successes / samples, z * z / samples
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / samples + weight / (4 * samples))
    return max(0.0, middle - half), min(1.0, middle + half)


def _judge(topology: Topology, *, has_failover: bool) -> Callable[[set[str]], bool]:
    """Prepare the question whether a topology serves, so that it can be asked often."""
    match topology.kind:
        case TopologyKind.MESH:
            needs = _votes_needed(topology, has_failover=has_failover)
            return lambda alive: all(sum(agent in alive for agent in who) >= votes for who, votes in needs)
        case TopologyKind.STAR | TopologyKind.HIERARCHICAL:
            tree = _Tree.of(topology)
            return lambda alive: tree.heard(alive, has_failover=has_failover) == tree.wanted
        case TopologyKind.RING:
            pairs = tuple(pairwise((*topology.agents, topology.agents[0])))
            if has_failover:
                return lambda alive: all(u in alive or v in alive for u, v in pairs)
            return lambda alive: all(agent in alive for agent in topology.agents)
        case _:
            assert_never(topology.kind)


def _votes_needed(topology: Topology, *, has_failover: bool) -> tuple[tuple[tuple[str, ...], int], ...]:
    """List for each symbol of a mesh who may vote on it, and how many must."""
    request = topology.request
    able = capabilities(request.agents, request.strategies)
    spares = (len(request.agents) if len(request.agents) <= COMPLETE_AGENTS_MAX else 1) if has_failover else 0
    needs: dict[tuple[str, ...], int] = {}
    for symbol in request.symbols:
        group, _ = owners(symbol, able, replicas=request.replicas)
        others = [agent for agent in ranking(symbol, request.agents) if agent not in group]
        who = tuple(sorted((*group, *others[:spares])))
        needs[who] = max(needs.get(who, 0), quorum_size(len(group), request.quorum))
    return tuple(needs.items())


def _mesh(needs: Sequence[tuple[tuple[str, ...], int]], p: float) -> float | None:
    """Add up the probabilities of all ways to serve, agent by agent; None when there are too many.

    A state counts the dead of each symbol that still has agents to come. A symbol with too many dead ends its state;
    so a state holds few and small numbers, and the sum of what is left is the probability that all symbols serve.
    """
    open_agents = [set(who) for who, _ in needs]
    spare = [len(who) - votes for who, votes in needs]
    states: dict[tuple[int, ...], float] = {(0,) * len(needs): 1.0}
    while any(open_agents):
        nearest = min((agents for agents in open_agents if agents), key=len)
        agent = min(nearest)
        concerned = [index for index, agents in enumerate(open_agents) if agent in agents]
        for index in concerned:
            open_agents[index].discard(agent)
        following: dict[tuple[int, ...], float] = {}
        for dead, chance in states.items():
            more = [number + (index in concerned) for index, number in enumerate(dead)]
            for counts, weight in ((dead, 1.0 - p), (more, p)):
                if all(counts[index] <= spare[index] for index in concerned):
                    key = tuple(n if agents else 0 for n, agents in zip(counts, open_agents, strict=True))
                    following[key] = following.get(key, 0.0) + chance * weight
        states = following
        if len(states) > STATES_MAX:
            return None
    return sum(states.values())


def _ring(agents: int, p: float, *, has_failover: bool) -> float:
    """Without failover all live. With it: no two neighbours of a cycle dead, the trace of ((q, q), (p, 0)) ** n."""
    q = 1.0 - p
    if not has_failover:
        return q**agents
    root = math.sqrt(q * q + 4.0 * p * q)
    return float(((q + root) / 2.0) ** agents + ((q - root) / 2.0) ** agents)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    """A star or a hierarchy as a tree. `runs`: the strategies dealt to each agent without anybody below, as bits."""

    root: str
    below: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, int]
    wanted: int

    @classmethod
    def of(cls, topology: Topology) -> Self:
        below = children_of(topology.kind, shape(topology))
        strategies = topology.request.strategies
        able = capabilities([agent for agent in topology.agents if not below[agent]], strategies)
        bits = {strategy: 1 << index for index, strategy in enumerate(strategies)}
        return cls(
            root=topology.agents[0],
            below=below,
            runs={agent: sum(bits[name] for name in names) for agent, names in able.items()},
            wanted=sum(bits.values()),
        )

    def heard(self, alive: set[str], *, has_failover: bool) -> int:
        """Return the strategies, as bits, whose workers are reached from the root."""
        heard = 0
        offices = [self.root]
        while offices:
            leader = offices.pop()
            group = self.below[leader]
            stands_in = has_failover and leader not in alive
            if not group or not (leader in alive or (stands_in and group[0] in alive)):
                continue
            for member in group:
                if self.below[member]:
                    offices.append(member)
                elif member in alive and not (stands_in and member == group[0]):
                    heard |= self.runs[member]
        return heard

    def within(self, agent: str, p: float, *, has_failover: bool) -> tuple[list[float], list[float]]:
        """For each set of strategies: how likely no other is heard from `agent` and below, if it lives and if not."""
        sets = range(self.wanted + 1)
        group = self.below[agent]
        if not group:
            return [float(self.runs[agent] & ~heard == 0) for heard in sets], [1.0 for _ in sets]
        members = [self.within(member, p, has_failover=has_failover) for member in group]
        either = [[(1.0 - p) * lives[heard] + p * dead[heard] for heard in sets] for lives, dead in members]
        if_alive = [math.prod(member[heard] for member in either) for heard in sets]
        if not has_failover:
            return if_alive, [1.0 for _ in sets]
        deputy = members[0][0] if self.below[group[0]] else [1.0 for _ in sets]
        if_dead = [p + (1.0 - p) * deputy[heard] * math.prod(member[heard] for member in either[1:]) for heard in sets]
        return if_alive, if_dead


def _tree(tree: _Tree, p: float, *, has_failover: bool) -> float:
    """From "no others than these are heard" to "all are heard", by inclusion and exclusion over sets of strategies."""
    if_alive, if_dead = tree.within(tree.root, p, has_failover=has_failover)
    return math.fsum(
        (-1) ** (tree.wanted.bit_count() - heard.bit_count()) * ((1.0 - p) * if_alive[heard] + p * if_dead[heard])
        for heard in range(tree.wanted + 1)
    )
