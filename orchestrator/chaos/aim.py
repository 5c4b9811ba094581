"""Whom and what a plan of faults means in one swarm: roles become agents, links become orders. Pure, from a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from orchestrator.chaos.grammar import LINK_KINDS, ChaosError, FaultKind, WantedFault
from orchestrator.chaos.source import Chaos
from orchestrator.simulation.faults import Fault, draw_faults
from orchestrator.simulation.faults import FaultKind as Chance
from sandboxes.injector import BurnCpu, GrowMemory, Kill, ProcessFault, Stop, Vanish
from topologies.kinds import TopologyKind
from topologies.layouts import Topology
from workers.codec import Impair
from workers.impairment import ImpairmentKind

ANY = "random"
ROOT, DEPUTY = "root", "deputy"
LED = frozenset({TopologyKind.HIERARCHICAL, TopologyKind.STAR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One thing that will be done. `text`: how it is told. When: in a `round`, or `after_s` since trading began."""

    text: str
    is_by_chance: bool = False
    round: int | None = None
    after_s: float | None = None
    lasts_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBlow(Blow):
    """To an agent's process or sandbox."""

    agent: str
    fault: ProcessFault


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBlow(Blow):
    """To links: who is told to treat its way to a neighbour badly."""

    orders: tuple[tuple[str, Impair], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOffBlow(Blow):
    """To some agents' ways to all others, where surroundings are simulated."""

    agents: tuple[str, ...]
    is_one_way: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiBlow(Blow):
    """To the provider's API, where surroundings are simulated."""


AnyBlow = AgentBlow | LinkBlow | CutOffBlow | ApiBlow


def aim(chaos: Chaos, topology: Topology, *, rounds: int, lasts_s: float, rng: random.Random) -> tuple[AnyBlow, ...]:
    """Work out what will be done in a swarm; `lasts_s`: how long trading lasts at most. Raises ChaosError."""
    blows = [_aim_one(fault, topology, rounds=rounds, rng=rng) for fault in chaos.faults]
    if chaos.chance is not None:
        drawn = draw_faults(chaos.chance, topology.agents, rng=rng, until_s=lasts_s)
        return (*blows, *(_from_chance(fault) for fault in drawn))
    return tuple(blows)


def _aim_one(wanted: WantedFault, topology: Topology, *, rounds: int, rng: random.Random) -> AnyBlow:
    if wanted.round is not None and wanted.round > rounds:
        raise ChaosError(f"fault '{wanted}': there are only {rounds} rounds")
    after_s = wanted.after_ms / 1000 if wanted.after_ms is not None else None
    lasts_s = wanted.lasts_ms / 1000 if wanted.lasts_ms is not None else None
    if wanted.kind not in LINK_KINDS:
        agent = rng.choice(_candidates(wanted, wanted.targets[0], topology=topology))
        fault = _process_fault(wanted, lasts_s)
        return AgentBlow(
            text=str(wanted), round=wanted.round, after_s=after_s, lasts_s=lasts_s, agent=agent, fault=fault
        )
    orders = tuple(
        (sender, Impair(receiver, ImpairmentKind(wanted.kind), lasts_s or 0.0, _severity(wanted)))
        for sender, receiver in _ways(wanted, topology, rng=rng)
    )
    return LinkBlow(text=str(wanted), round=wanted.round, after_s=after_s, lasts_s=lasts_s, orders=orders)


def _candidates(wanted: WantedFault, target: str, *, topology: Topology) -> Sequence[str]:
    """Name the agents that a target may mean. Raises ChaosError when there is none."""
    agents = topology.agents
    if target == ANY:
        return agents
    if target in agents:
        return (target,)
    if target in (ROOT, DEPUTY) and topology.kind in LED:
        return (topology.entries[0][target == DEPUTY],)
    found = [agent for agent in agents if topology.role(agent) == target]
    if not found:
        roles = sorted({str(topology.role(agent)) for agent in agents})
        words = [*roles, *((ROOT, DEPUTY) if topology.kind in LED else ()), ANY]
        raise ChaosError(
            f"fault '{wanted}': there is no {target} in this {topology.kind}; "
            f"choose {', '.join(words)}, or one of {agents[0]} to {agents[-1]}"
        )
    return found


def _ways(wanted: WantedFault, topology: Topology, *, rng: random.Random) -> list[tuple[str, str]]:
    """Name who sends to whom over what is to suffer: one link, or all links of one agent."""
    first = _candidates(wanted, wanted.targets[0], topology=topology)
    if len(wanted.targets) == 1:
        agent = rng.choice(first)
        pairs = [(agent, other) for other in topology.neighbours(agent)]
    else:
        second = _candidates(wanted, wanted.targets[1], topology=topology)
        links = [(one, other) for one in first for other in second if other in topology.neighbours(one)]
        if not links:
            raise ChaosError(f"fault '{wanted}': there is no link between the two in this {topology.kind}")
        pairs = [rng.choice(links)]
    return pairs if wanted.is_one_way else [way for one, other in pairs for way in ((one, other), (other, one))]


def _process_fault(wanted: WantedFault, lasts_s: float | None) -> ProcessFault:
    match wanted.kind:
        case FaultKind.KILL:
            return Kill()
        case FaultKind.STOP:
            return Stop(lasts_s)
        case FaultKind.VANISH:
            return Vanish()
        case FaultKind.CPU:
            return BurnCpu(lasts_s or 0.0)
        case FaultKind.MEMORY:
            return GrowMemory(wanted.amount or 0, lasts_s)
        case FaultKind.DROP | FaultKind.DELAY | FaultKind.PARTITION:
            raise AssertionError(f"{wanted.kind} is no fault of a process")
        case _:
            assert_never(wanted.kind)


def _severity(wanted: WantedFault) -> float:
    """Return the share of frames dropped, or the seconds of delay."""
    return (wanted.amount or 0) / (100 if wanted.kind is FaultKind.DROP else 1000)


def _from_chance(fault: Fault) -> AnyBlow:
    """Turn a fault that a generator drew into a blow."""
    after_s, lasts_s = fault.at_s, fault.duration_s
    text = f"{fault.kind} of {', '.join(fault.agents)}"
    match fault.kind:
        case Chance.CRASH | Chance.VANISH | Chance.HANG:
            deeds: dict[Chance, ProcessFault] = {Chance.CRASH: Kill(), Chance.VANISH: Vanish()}
            return AgentBlow(
                text=text,
                is_by_chance=True,
                after_s=after_s,
                lasts_s=lasts_s or None,
                agent=fault.agents[0],
                fault=deeds.get(fault.kind, Stop(lasts_s)),
            )
        case Chance.PARTITION | Chance.ONE_WAY_PARTITION:
            return CutOffBlow(
                text=text,
                is_by_chance=True,
                after_s=after_s,
                lasts_s=lasts_s,
                agents=fault.agents,
                is_one_way=fault.kind is Chance.ONE_WAY_PARTITION,
            )
        case Chance.API_OUTAGE:
            return ApiBlow(text=str(fault.kind), is_by_chance=True, after_s=after_s, lasts_s=lasts_s)
        case _:
            assert_never(fault.kind)
