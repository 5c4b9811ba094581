"""Chaos plans survive being written and read, and nothing that is typed breaks the reader."""

import random

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.chaos.aim import AgentBlow, LinkBlow, aim
from orchestrator.chaos.grammar import (
    DURATION_MS_MAX,
    LINK_KINDS,
    SIZE_MB_MAX,
    ChaosError,
    FaultKind,
    WantedFault,
    format_faults,
    parse_faults,
)
from orchestrator.chaos.source import Chaos
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out

TARGETS = st.sampled_from(["hub", "leader", "random", "agent-001", "agent-199"])
DURATIONS = st.integers(1, DURATION_MS_MAX)
AGENTS = tuple(f"agent-{number:03}" for number in range(1, 9))


@st.composite
def wanted_faults(draw):
    kind = draw(st.sampled_from(FaultKind))
    two = kind in LINK_KINDS and draw(st.booleans())
    is_in_round = draw(st.booleans())
    amounts = {
        FaultKind.MEMORY: st.integers(1, SIZE_MB_MAX),
        FaultKind.DROP: st.integers(1, 100),
        FaultKind.DELAY: DURATIONS,
    }
    lasting = {FaultKind.KILL: st.none(), FaultKind.VANISH: st.none()}
    lasting |= {FaultKind.STOP: st.none() | DURATIONS, FaultKind.MEMORY: st.none() | DURATIONS}
    return WantedFault(
        kind=kind,
        targets=tuple(draw(st.lists(TARGETS, min_size=1 + two, max_size=1 + two))),
        is_one_way=two and draw(st.booleans()),
        round=draw(st.integers(1, 10**9 - 1)) if is_in_round else None,
        after_ms=None if is_in_round else draw(st.integers(0, DURATION_MS_MAX)),
        lasts_ms=draw(lasting.get(kind, DURATIONS)),
        amount=draw(amounts.get(kind, st.none())),
    )


@given(plan=st.lists(wanted_faults(), min_size=1, max_size=5).map(tuple))
def test_plan_that_is_written_is_read_again_as_the_same(plan):
    assert parse_faults(format_faults(plan)) == plan


@given(text=st.text() | st.text("kilstop:@,>/;=round0123456789.msGB% -"))
def test_whatever_is_typed_is_read_or_refused_in_one_line(text):
    said = ""
    try:
        assert parse_faults(text)
    except ChaosError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


@given(kind=st.sampled_from(TopologyKind), plan=st.lists(wanted_faults(), min_size=1, max_size=5), seed=st.integers(0))
def test_whoever_is_met_has_the_role_that_was_asked_for_and_every_link_exists(kind, plan, seed):
    topology = lay_out(kind, LayoutRequest(agents=AGENTS, strategies=("momentum",), symbols=("AAPL", "IBM")))
    for wanted in plan:
        try:
            chaos = Chaos(faults=(wanted,))
            (blow,) = aim(chaos, topology, rounds=10**9, lasts_s=0.0, rng=random.Random(seed))
        except ChaosError:
            continue
        match blow:
            case AgentBlow(agent=agent):
                assert wanted.targets[0] in {"random", agent, str(topology.role(agent))}
            case LinkBlow(orders=orders):
                assert orders
                assert all(order.neighbour in topology.neighbours(sender) for sender, order in orders)
