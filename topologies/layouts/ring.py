"""A ring: one cycle through all agents, cut into lanes of four stages.

Lanes work side by side, each on its share of the symbols. Agents beyond a multiple of four become additional signal
stages. With fewer than four agents one does several stages.
"""

from itertools import accumulate

import networkx as nx

from topologies.kinds import STAGE_ORDER, Role, Stage, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities
from topologies.seats import Lane, RingSeat
from topologies.stages import stages_for

IN_FLIGHT_MAX = 4


def ring(request: LayoutRequest) -> Topology:
    """Lay out a ring over the agents in order; the data stages are the entries.

    Every agent has an edge to the one after the next as well, which carries nothing until the next dies.
    """
    agents = request.agents
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(agents, role=Role.STAGE)
    for index, agent in enumerate(agents):
        graph.add_edge(agent, agents[(index + 1) % len(agents)], is_standby=False)
    for index, agent in enumerate(agents):
        second = agents[(index + 2) % len(agents)]
        if second != agent and not graph.has_edge(agent, second):
            graph.add_edge(agent, second, is_standby=True)
    lanes = _lanes(request)
    seats: dict[str, RingSeat] = {}
    for index, agent in enumerate(agents):
        number = next(number for number, lane in enumerate(lanes) if agent in lane.agents)
        place = lanes[number].agents.index(agent)
        graph.nodes[agent]["stages"] = stages_for(place, len(lanes[number].agents))
        second = agents[(index + 2) % len(agents)]
        seats[agent] = RingSeat(
            agent=agent,
            role=Role.STAGE,
            strategies=tuple(sorted({strategy for strategy, _ in lanes[number].tasks[place]})),
            lane=number,
            following=(agents[(index + 1) % len(agents)], *((second,) if second != agent else ())),
            lanes=lanes,
            in_flight_max=IN_FLIGHT_MAX,
            charter=request.charter,
            watches=tuple(sorted({*graph.successors(agent), *graph.predecessors(agent)})),
        )
    entries = tuple(lane.agents for lane in lanes)
    return Topology(kind=TopologyKind.RING, graph=graph, seats=seats, entries=entries, request=request)


def _lanes(request: LayoutRequest) -> tuple[Lane, ...]:
    """Cut the cycle into as many lanes as have four agents each, their lengths as even as can be."""
    agents = request.agents
    count = max(1, len(agents) // len(STAGE_ORDER))
    lengths = [len(agents) // count + (1 if index < len(agents) % count else 0) for index in range(count)]
    ends = list(accumulate(lengths))
    return tuple(
        _lane(
            agents[end - length : end],
            symbols=tuple(sorted(request.symbols))[number::count],
            strategies=request.strategies,
        )
        for number, (end, length) in enumerate(zip(ends, lengths, strict=True))
    )


def _lane(agents: tuple[str, ...], *, symbols: tuple[str, ...], strategies: tuple[str, ...]) -> Lane:
    signalling = [agent for place, agent in enumerate(agents) if Stage.SIGNAL in stages_for(place, len(agents))]
    able = capabilities(signalling, strategies)
    tasks: dict[str, list[tuple[str, str]]] = {agent: [] for agent in agents}
    for strategy in sorted(strategies):
        who = [agent for agent, names in able.items() if strategy in names]
        for turn, symbol in enumerate(symbols):
            tasks[who[turn % len(who)]].append((strategy, symbol))
    return Lane(agents, symbols, tuple(tuple(tasks[agent]) for agent in agents))
