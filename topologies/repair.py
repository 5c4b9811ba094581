"""Make a topology sound again when agents have failed, and take back an agent that returned. Graphs in, graphs out.

The coordinator and the simulator ask `repair` what to open and close; `invariants` says whether a shape is sound. Of
all sound shapes over the survivors the one with the fewest new edges is chosen, within each topology's own rules:

- mesh: up to 32 agents complete; beyond, each has the neighbours its layout asks for, and all are connected;
- star: if the hub failed, its deputy is the survivor that needs the fewest new edges;
- hierarchy: a failed leader's orphans stay together: they go to one of them, the deputy, who takes the leader's
  place, or to the leader's own leader. So no agent ever ends deeper than it was;
- ring: the agents keep their order, and each does also the stages of the failed ones right before it.

An edge that stands by is open already: putting it to work is no new edge.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, permutations
from typing import assert_never

import networkx as nx

from topologies.augmentation import fewest_links
from topologies.invariants import depths, invariants
from topologies.kinds import Role, Stage, TopologyKind
from topologies.layouts.mesh import COMPLETE_AGENTS_MAX
from topologies.layouts.topology import Edge
from topologies.shape import Shape, cycle_of, degree_min, parents_of, roles_of

__all__ = ["Change", "ChangeKind", "Reason", "Repair", "invariants", "rejoin", "repair"]


class NotSound(ValueError):
    """The shape to be repaired broke its topology's rules before any agent failed."""


class ChangeKind(StrEnum):
    ADDED = "added"
    PUT_TO_WORK = "put to work"
    RELIEVED = "stands by again"
    REMOVED = "removed"


class Reason(StrEnum):
    """Why an edge was changed."""

    AGENT_FAILED = "one of its ends failed"
    MESH_INCOMPLETE = "a mesh of this size is complete"
    MESH_SPARSE = "peers had too few neighbours, or were not connected"
    NEW_HUB = "the deputy is the hub now"
    NEW_LEADER = "the deputy took its leader's place"
    ADOPTED = "the leader's own leader took its orphans"
    BYPASSED = "the ring goes past the failed"
    REJOINED = "the agent came back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One edge that is new, works from now on, works no more, or is gone."""

    kind: ChangeKind
    edge: Edge
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The sound shape over the survivors, and how it came from the one before, in the order of edges."""

    graph: "Shape[str]"
    changes: tuple[Change, ...]

    @property
    def added(self) -> tuple[Edge, ...]:
        return self._edges(ChangeKind.ADDED)

    @property
    def put_to_work(self) -> tuple[Edge, ...]:
        return self._edges(ChangeKind.PUT_TO_WORK)

    @property
    def removed(self) -> tuple[Edge, ...]:
        return self._edges(ChangeKind.REMOVED)

    def _edges(self, kind: ChangeKind) -> tuple[Edge, ...]:
        return tuple(change.edge for change in self.changes if change.kind is kind)


def repair(kind: TopologyKind, graph: "Shape[str]", *, failures: Collection[str]) -> Repair:
    """Return a sound shape over the agents that have not failed, with the fewest new edges.

    `graph` is a shape (see `topologies.shape`) and stays as it is; names in `failures` that it lacks have no effect.
    Raises NotSound when `graph` broke a rule before, ValueError when nobody is left.
    """
    if broken := invariants(kind, graph):
        raise NotSound(f"cannot repair a {kind} that was not sound: {'; '.join(broken)}")
    failed = {agent for agent in graph if agent in set(failures)}
    if len(failed) == len(graph):
        raise ValueError(f"cannot repair a {kind} without a survivor: all {len(graph)} agents failed")
    draft = _Draft(graph)
    match kind:
        case TopologyKind.MESH:
            draft.drop(failed)
            _complete_mesh(draft)
        case TopologyKind.STAR:
            _repair_star(draft, failed)
        case TopologyKind.HIERARCHICAL:
            _repair_hierarchy(draft, failed)
        case TopologyKind.RING:
            _repair_ring(draft, failed)
        case _:
            assert_never(kind)
    return draft.finish()


def rejoin(kind: TopologyKind, graph: "Shape[str]", *, agent: str, home: "Shape[str]") -> Repair:
    """Take an agent back, with the fewest new edges. `home` is the shape as laid out, with that agent in it.

    In a ring it has its old place and stages again. In a star or a hierarchy it comes back as a spoke or a worker, not
    in its old office: under its old leader if that one leads now, else under the root. An agent that is in already
    changes nothing. It gets no new edges to stand by.
    Raises NotSound when `graph` broke a rule before, KeyError when `home` does not know the agent.
    """
    if broken := invariants(kind, graph):
        raise NotSound(f"cannot take {agent} back into a {kind} that was not sound: {'; '.join(broken)}")
    attributes = home.nodes[agent]
    draft = _Draft(graph)
    if agent in graph:
        return draft.finish()
    draft.graph.add_node(agent, **attributes)
    match kind:
        case TopologyKind.MESH:
            _complete_mesh(draft, reason=Reason.REJOINED)
        case TopologyKind.STAR:
            draft.graph.nodes[agent]["role"] = Role.SPOKE
            hub = next(name for name, role in roles_of(graph).items() if role is Role.HUB)
            draft.link((hub, agent), reason=Reason.REJOINED)
        case TopologyKind.HIERARCHICAL:
            _rejoin_hierarchy(draft, agent, old_parent=attributes["parent"])
        case TopologyKind.RING:
            _rejoin_ring(draft, home)
        case _:
            assert_never(kind)
    return draft.finish()


class _Draft:
    """A shape under repair, with the reasons of its changes."""

    def __init__(self, graph: "Shape[str]") -> None:
        self._before = graph
        self.graph: Shape[str] = graph.copy()
        self._reasons: dict[Edge, Reason] = {}

    def drop(self, failed: Collection[str]) -> None:
        self.graph.remove_nodes_from(failed)

    def cost(self, u: str, v: str) -> int:
        """Count the new edges that a link between two agents needs."""
        return sum(edge not in self.graph.edges for edge in ((u, v), (v, u)))

    def link(self, pair: Edge, *, reason: Reason) -> None:
        """Let two agents work together in both directions."""
        for edge in (pair, pair[::-1]):
            self.work(edge, reason=reason)

    def work(self, edge: Edge, *, reason: Reason) -> None:
        if edge not in self.graph.edges or self.graph.edges[edge].get("is_standby"):
            self.graph.add_edge(*edge, is_standby=False)
            self._reasons[edge] = reason

    def rest(self, edge: Edge, *, reason: Reason, stays_open: bool) -> None:
        """Let an edge work no more: it stands by, or is closed."""
        if stays_open:
            self.graph.edges[edge]["is_standby"] = True
        else:
            self.graph.remove_edge(*edge)
        self._reasons[edge] = reason

    def finish(self) -> Repair:
        changes: list[Change] = []
        for edge in sorted(set(self._before.edges) | set(self.graph.edges)):
            reason = self._reasons.get(edge, Reason.AGENT_FAILED)
            if edge not in self.graph.edges:
                changes.append(Change(kind=ChangeKind.REMOVED, edge=edge, reason=reason))
            elif edge not in self._before.edges:
                changes.append(Change(kind=ChangeKind.ADDED, edge=edge, reason=reason))
            elif self._is_idle(self._before, edge) is not self._is_idle(self.graph, edge):
                kind = ChangeKind.RELIEVED if self._is_idle(self.graph, edge) else ChangeKind.PUT_TO_WORK
                changes.append(Change(kind=kind, edge=edge, reason=reason))
        return Repair(graph=self.graph, changes=tuple(changes))

    @staticmethod
    def _is_idle(graph: "Shape[str]", edge: Edge) -> bool:
        return bool(graph.edges[edge].get("is_standby"))


def _complete_mesh(draft: _Draft, *, reason: Reason | None = None) -> None:
    count = len(draft.graph)
    if count <= COMPLETE_AGENTS_MAX:
        for edge in permutations(draft.graph, 2):
            draft.work(edge, reason=reason or Reason.MESH_INCOMPLETE)
        return
    linked: nx.Graph[str] = nx.Graph(draft.graph)
    for pair in fewest_links(linked, degree_min(count)):
        draft.link(pair, reason=reason or Reason.MESH_SPARSE)


def _repair_star(draft: _Draft, failed: set[str]) -> None:
    draft.drop(failed)
    survivors = sorted(draft.graph)
    if Role.HUB in roles_of(draft.graph).values():
        return
    deputy = min(survivors, key=lambda hub: sum(draft.cost(hub, other) for other in survivors if other != hub))
    draft.graph.nodes[deputy]["role"] = Role.HUB
    for other in survivors:
        if other != deputy:
            draft.link((deputy, other), reason=Reason.NEW_HUB)


def _repair_hierarchy(draft: _Draft, failed: set[str]) -> None:
    """Replace failed agents one by one, the deepest first: so a deputy is an orphan of the next failed leader above."""
    depth = depths(draft.graph)
    parents = parents_of(draft.graph)
    reasons: dict[str, Reason] = {}
    for gone in sorted(failed, key=lambda agent: (-depth[agent], agent)):
        orphans = sorted(agent for agent, parent in parents.items() if parent == gone)
        above = parents.pop(gone)
        heir, reason = _heir(draft, orphans, above=above, is_above_alive=bool(above) and above not in failed)
        for orphan in orphans:
            parents[orphan] = above if orphan == heir else heir
            reasons[orphan] = reason
    draft.drop(failed)
    _set_parents(draft, parents, reasons=reasons)


def _heir(draft: _Draft, orphans: list[str], *, above: str, is_above_alive: bool) -> tuple[str, Reason]:
    """Choose who takes orphans over: that one of them, or the leader above, that needs the fewest new edges.

    A tie is the deputy's, so that no leader comes to lead more than before, and among deputies the first name's.
    """
    costs = {
        deputy: sum(draft.cost(deputy, orphan) for orphan in orphans if orphan != deputy)
        + (draft.cost(deputy, above) if is_above_alive else 0)
        for deputy in orphans
    }
    deputy = min(orphans, key=lambda name: (costs[name], name), default=above)
    if is_above_alive and (not orphans or sum(draft.cost(above, orphan) for orphan in orphans) < costs[deputy]):
        return above, Reason.ADOPTED
    return deputy, Reason.NEW_LEADER


def _set_parents(draft: _Draft, parents: dict[str, str], *, reasons: dict[str, Reason]) -> None:
    leaders = set(parents.values())
    for agent, parent in parents.items():
        draft.graph.nodes[agent]["parent"] = parent
        draft.graph.nodes[agent]["role"] = Role.LEADER if agent in leaders else Role.WORKER
        if parent:
            draft.link((parent, agent), reason=reasons.get(agent, Reason.NEW_LEADER))


def _rejoin_hierarchy(draft: _Draft, agent: str, *, old_parent: str) -> None:
    parents = {name: parent for name, parent in parents_of(draft.graph).items() if name != agent}
    root = next(name for name, parent in parents.items() if not parent)
    leaders = set(parents.values()) - {""}
    parents[agent] = old_parent if old_parent in leaders else root
    _set_parents(draft, parents, reasons={agent: Reason.REJOINED})


def _repair_ring(draft: _Draft, failed: set[str]) -> None:
    before = draft.graph.copy()
    draft.drop(failed)
    _close_ring(draft, [agent for agent in cycle_of(before) if agent not in failed], reason=Reason.BYPASSED)
    _share_stages(draft, before, failed=failed)


def _rejoin_ring(draft: _Draft, home: "Shape[str]") -> None:
    members = set(draft.graph)
    order = [agent for agent in cycle_of(home) if agent in members]
    reserve = {edge for edge in home.edges if home.edges[edge].get("is_standby")}
    _close_ring(draft, order, reason=Reason.REJOINED, reserve=reserve)
    _share_stages(draft, home, failed=set(home) - members)


def _close_ring(draft: _Draft, order: list[str], *, reason: Reason, reserve: Collection[Edge] = ()) -> None:
    """Make the working edges a cycle through the agents in this order; the others rest."""
    cycle = set(pairwise([*order, order[0]])) if len(order) > 1 else set()
    for edge in sorted(draft.graph.edges):
        if edge not in cycle and not draft.graph.edges[edge].get("is_standby"):
            draft.rest(edge, reason=reason, stays_open=edge in reserve)
    for edge in sorted(cycle):
        draft.work(edge, reason=reason)


def _share_stages(draft: _Draft, before: "Shape[str]", *, failed: set[str]) -> None:
    """Give each survivor the stages of the failed right before it and its own; signal stages in a row are one."""
    cycle = cycle_of(before)
    first = next(index for index, agent in enumerate(cycle) if agent not in failed)
    inherited: list[Stage] = []
    for agent in (*cycle[first + 1 :], *cycle[: first + 1]):
        inherited += before.nodes[agent]["stages"]
        if agent not in failed:
            stages = tuple(
                stage
                for index, stage in enumerate(inherited)
                if stage is not Stage.SIGNAL or inherited[index - 1 : index] != [Stage.SIGNAL]
            )
            draft.graph.nodes[agent]["stages"] = stages
            inherited = []
