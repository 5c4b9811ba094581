"""All that is decided before anything starts: the agents, how they are wired, what they run on, and on which prices.

A plan is made from a spec without starting anything, so that every fault of the request is found first.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.chaos.aim import AnyBlow, aim
from orchestrator.chaos.source import Chaos, read_chaos
from orchestrator.modes import check_chaos
from orchestrator.spec import SwarmSpec
from orchestrator.strategies_chosen import ChosenStrategy, choose
from strategies import StrategyError
from topologies.charter import Charter
from topologies.layouts import LayoutRequest, Topology, lay_out
from trading.market_data import WARMUP_BARS, Tape, load_tape
from trading.user_data import read_user_data

# An agent decides with what it has when this share of a round's deadline is over: before the coordinator gives up.
AGENT_SHARE_OF_DEADLINE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one swarm will be. `blows`: what is done to it on purpose."""

    spec: SwarmSpec
    topology: Topology
    tape: Tape
    strategies: Sequence[ChosenStrategy]
    chaos: Chaos = field(default_factory=Chaos)
    blows: Sequence[AnyBlow] = ()


class UnknownRiskStrategy(StrategyError):
    """A risk strategy is named that does not run, or none is left to choose a position."""


def make_plan(spec: SwarmSpec) -> Plan:
    """Work out a plan. Raises StrategyError, MarketDataError or SpecError: what was asked, found and is to be done."""
    chaos = read_chaos(spec.chaos) if spec.chaos is not None else Chaos()
    check_chaos(spec.mode, chaos)
    strategies = choose(spec.strategy)
    warmup = max(WARMUP_BARS, *(strategy.lookback or 0 for strategy in strategies))
    series = read_user_data(spec.data) if spec.data is not None else None
    tape = load_tape(spec.symbols, spec.ticks, warmup=warmup, series=series)
    topology = lay_out(
        spec.topology,
        LayoutRequest(
            agents=tuple(f"agent-{number:03}" for number in range(1, spec.agents + 1)),
            strategies=tuple(strategy.reference.name for strategy in strategies),
            symbols=tuple(sorted(tape.symbols)),
            deadline_s=spec.round_deadline * AGENT_SHARE_OF_DEADLINE,
            distribution=spec.distribution,
            charter=_charter(spec, strategies),
        ),
    )
    rounds = len(tape.ticks)
    longest_s = rounds * (spec.pace + spec.round_deadline)
    blows = aim(chaos, topology, rounds=rounds, lasts_s=longest_s, rng=random.Random(f"{spec.seed}/chaos"))
    return Plan(spec=spec, topology=topology, tape=tape, strategies=strategies, chaos=chaos, blows=blows)


def _charter(spec: SwarmSpec, strategies: Sequence[ChosenStrategy]) -> Charter:
    """Make the rules of voting. Raises UnknownRiskStrategy."""
    running = [strategy.reference.name for strategy in strategies]
    unknown = sorted(set(spec.risk_strategy) - set(running))
    if unknown:
        raise UnknownRiskStrategy(
            f"risk strategy {', '.join(unknown)} does not run; name it with --strategy too; "
            f"running: {', '.join(running)}"
        )
    if not set(running) - set(spec.risk_strategy):
        raise UnknownRiskStrategy("all strategies are risk strategies; at least one must choose a position")
    return Charter(rule=spec.voting, risk_strategies=frozenset(spec.risk_strategy))
