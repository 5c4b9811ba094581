"""A ring: one cycle through all agents, cut into lanes of four stages.

Lanes work side by side, each on its share of the symbols. Agents beyond a multiple of four become additional signal
stages. With fewer than four agents one does several stages.
"""

from itertools import accumulate

import msgspec
import networkx as nx

from topologies.kinds import STAGE_ORDER, Role, Stage, TopologyKind
from topologies.layouts.topology import LayoutRequest, Topology, capabilities
from topologies.rounds.ring import stages_for
from topologies.seats import RingSeat

IN_FLIGHT_MAX = 4


def ring(request: LayoutRequest) -> Topology:
    """Lay out a ring over the agents in order; the data stages are the entries."""
    agents = request.agents
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(agents, role=Role.STAGE)
    graph.add_edges_from((agent, agents[(index + 1) % len(agents)]) for index, agent in enumerate(agents))
    seats: dict[str, RingSeat] = {}
    lanes = _lanes(agents)
    for number, lane in enumerate(lanes):
        symbols = tuple(sorted(request.symbols))[number :: len(lanes)]
        seats |= _seat_lane(lane, number=number, symbols=symbols, strategies=request.strategies)
    for index, agent in enumerate(agents):
        seats[agent] = msgspec.structs.replace(seats[agent], following=agents[(index + 1) % len(agents)])
        graph.nodes[agent]["stages"] = seats[agent].stages
    entries = tuple(lane[0] for lane in lanes)
    return Topology(kind=TopologyKind.RING, graph=graph, seats=seats, entries=entries, request=request)


def _lanes(agents: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cut the cycle into as many lanes as have four agents each, their lengths as even as can be."""
    count = max(1, len(agents) // len(STAGE_ORDER))
    lengths = [len(agents) // count + (1 if index < len(agents) % count else 0) for index in range(count)]
    ends = list(accumulate(lengths))
    return [agents[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _seat_lane(
    lane: tuple[str, ...], *, number: int, symbols: tuple[str, ...], strategies: tuple[str, ...]
) -> dict[str, RingSeat]:
    stages = {agent: stages_for(position, len(lane)) for position, agent in enumerate(lane)}
    able = capabilities([agent for agent in lane if Stage.SIGNAL in stages[agent]], strategies)
    tasks: dict[str, list[tuple[str, str]]] = {agent: [] for agent in lane}
    for strategy in sorted(strategies):
        who = [agent for agent, names in able.items() if strategy in names]
        for turn, symbol in enumerate(symbols):
            tasks[who[turn % len(who)]].append((strategy, symbol))
    return {
        agent: RingSeat(
            agent=agent,
            role=Role.STAGE,
            strategies=able.get(agent, ()),
            lane=number,
            stages=stages[agent],
            following="",
            tasks=tuple(tasks[agent]),
            symbols=symbols,
            in_flight_max=IN_FLIGHT_MAX,
        )
        for agent in lane
    }
