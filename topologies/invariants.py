"""What must hold of a shape for its topology to work, each rule with a name. Used by tests and by the simulator."""

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import permutations
from typing import assert_never

import networkx as nx

from topologies.kinds import STAGE_ORDER, Role, Stage, TopologyKind
from topologies.layouts.mesh import COMPLETE_AGENTS_MAX
from topologies.shape import Shape, cycle_of, degree_min, parents_of, roles_of, working

# one letter for each stage, so that "whole lanes one after another" is a regular expression
LETTERS = dict(zip(STAGE_ORDER, "DSRE", strict=True))
LANES = re.compile(r"(DS+RE)+")


class Invariant(StrEnum):
    """A rule of one topology. Every rule is about working edges; what stands by is not looked at."""

    SOME_AGENT = "there is an agent"
    MESH_ROLES = "mesh: every agent is a peer"
    MESH_BOTH_WAYS = "mesh: every edge has its opposite"
    MESH_COMPLETE = "mesh: up to 32 agents, each has an edge to each other"
    MESH_CONNECTED = "mesh: each agent reaches each other"
    MESH_DEGREE = "mesh: beyond 32 agents, each has at least as many neighbours as there are distances 1, 2, 4, ..."
    STAR_ROLES = "star: one hub, all others are spokes"
    STAR_EDGES = "star: edges both ways between the hub and each spoke, and no others"
    TREE_ROOT = "hierarchy: one root"
    TREE_PARENTS = "hierarchy: each other agent has one parent, and parents lead to the root"
    TREE_EDGES = "hierarchy: edges both ways between each agent and its parent, and no others"
    TREE_ROLES = "hierarchy: who has someone below is a leader, all others are workers"
    RING_ROLES = "ring: every agent is a stage"
    RING_CYCLE = "ring: one directed cycle through all agents"
    RING_LANES = "ring: around the cycle the stages are whole lanes: data, signal, risk, execution"


def invariants(kind: TopologyKind, graph: "Shape[str]") -> tuple[Invariant, ...]:
    """Name every rule that a shape breaks; none when it is sound. A single agent without edges is sound."""
    if not graph:
        return (Invariant.SOME_AGENT,)
    match kind:
        case TopologyKind.MESH:
            return tuple(_mesh(working(graph)))
        case TopologyKind.STAR:
            return tuple(_star(working(graph)))
        case TopologyKind.HIERARCHICAL:
            return tuple(_hierarchical(working(graph)))
        case TopologyKind.RING:
            return tuple(_ring(working(graph)))
        case _:
            assert_never(kind)


def depths(graph: "Shape[str]") -> dict[str, int]:
    """Say how far below its root each agent of a sound hierarchy is."""
    parents = parents_of(graph)
    return {agent: len(_ancestors(agent, parents)) for agent in graph}


def _mesh(graph: "Shape[str]") -> Iterator[Invariant]:
    if set(roles_of(graph).values()) != {Role.PEER}:
        yield Invariant.MESH_ROLES
    if any(not graph.has_edge(v, u) for u, v in graph.edges):
        yield Invariant.MESH_BOTH_WAYS
    if len(graph) <= COMPLETE_AGENTS_MAX:
        if any(not graph.has_edge(u, v) for u, v in permutations(graph, 2)):
            yield Invariant.MESH_COMPLETE
        return
    if not nx.is_strongly_connected(graph):
        yield Invariant.MESH_CONNECTED
    if min(degree for _, degree in graph.out_degree) < degree_min(len(graph)):
        yield Invariant.MESH_DEGREE


def _star(graph: "Shape[str]") -> Iterator[Invariant]:
    hubs = [agent for agent, role in roles_of(graph).items() if role is Role.HUB]
    others = [agent for agent, role in roles_of(graph).items() if role is Role.SPOKE]
    if len(hubs) != 1 or len(others) != len(graph) - 1:
        yield Invariant.STAR_ROLES
    if set(graph.edges) != _both_ways({(hub, spoke) for hub in hubs for spoke in others}):
        yield Invariant.STAR_EDGES


def _hierarchical(graph: "Shape[str]") -> Iterator[Invariant]:
    parents = parents_of(graph)
    roots = [agent for agent, parent in parents.items() if parent == ""]
    if len(roots) != 1:
        yield Invariant.TREE_ROOT
    if any([*_ancestors(agent, parents), agent][0] not in roots for agent in graph):
        yield Invariant.TREE_PARENTS
    if set(graph.edges) != _both_ways({(parent, agent) for agent, parent in parents.items() if parent}):
        yield Invariant.TREE_EDGES
    leaders = {agent for agent, role in roles_of(graph).items() if role is Role.LEADER}
    workers = {agent for agent, role in roles_of(graph).items() if role is Role.WORKER}
    if leaders != {parent for parent in parents.values() if parent} or len(leaders | workers) != len(graph):
        yield Invariant.TREE_ROLES


def _ring(graph: "Shape[str]") -> Iterator[Invariant]:
    if set(roles_of(graph).values()) != {Role.STAGE}:
        yield Invariant.RING_ROLES
    cycle = cycle_of(graph)
    is_closed = len(graph) == 1 or graph.has_edge(cycle[-1], cycle[0])
    if len(cycle) != len(graph) or not is_closed or graph.number_of_edges() != (len(graph) if len(graph) > 1 else 0):
        yield Invariant.RING_CYCLE
    stages = [stage for agent in cycle for stage in graph.nodes[agent]["stages"]]
    start = stages.index(Stage.DATA) if Stage.DATA in stages else 0
    if not LANES.fullmatch("".join(LETTERS[stage] for stage in stages[start:] + stages[:start])):
        yield Invariant.RING_LANES


def _ancestors(agent: str, parents: dict[str, str]) -> list[str]:
    """List those above an agent, the topmost first; a loop ends the list, so that its first is nobody's root."""
    above: list[str] = []
    current = parents.get(agent)
    while current and current not in above:
        above.insert(0, current)
        current = parents.get(current)
    return above


def _both_ways(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return pairs | {(v, u) for u, v in pairs}
