"""Whom faults meet: roles of the topology, links that exist, and the seed's choice among them."""

import random

import pytest

from orchestrator.chaos.aim import ApiBlow, CutOffBlow, aim
from orchestrator.chaos.grammar import ChaosError, parse_faults
from orchestrator.chaos.source import Chaos
from orchestrator.simulation.faults import FaultPlan
from sandboxes.injector import BurnCpu, Kill, Stop, Vanish
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from workers.codec import Impair
from workers.impairment import ImpairmentKind

AGENTS = tuple(f"agent-{number:03}" for number in range(1, 9))


def aimed(text, topology="star", seed=0):
    request = LayoutRequest(agents=AGENTS, strategies=("momentum",), symbols=("AAPL", "IBM"))
    chaos = Chaos(faults=parse_faults(text))
    return aim(chaos, lay_out(TopologyKind(topology), request), rounds=20, lasts_s=0.0, rng=random.Random(seed))


@pytest.mark.parametrize(
    ("target", "topology", "agents"),
    [
        pytest.param("hub", "star", {"agent-001"}, id="hub"),
        pytest.param("deputy", "star", {"agent-002"}, id="deputy of the hub"),
        pytest.param("spoke", "star", set(AGENTS[1:]), id="spoke"),
        pytest.param("root", "hierarchical", {"agent-001"}, id="root"),
        pytest.param("stage", "ring", set(AGENTS), id="stage"),
        pytest.param("peer", "mesh", set(AGENTS), id="peer"),
        pytest.param("random", "mesh", set(AGENTS), id="random"),
        pytest.param("agent-005", "ring", {"agent-005"}, id="by name"),
    ],
)
def test_role_means_every_agent_of_it_by_some_seed(target, topology, agents):
    assert {aimed(f"kill:{target}@1s", topology, seed)[0].agent for seed in range(200)} == agents


def test_same_seed_meets_the_same_agents():
    text = "kill:random@1s; stop:random@2s; partition:random,random@3s/1s"
    assert aimed(text, "mesh", 7) == aimed(text, "mesh", 7)


def test_faults_of_agents_become_what_an_injector_knows():
    text = "kill:hub@1s; stop:hub@1s; stop:hub@1s/2s; cpu:hub@1s/500ms; vanish:hub@1s"
    assert [blow.fault for blow in aimed(text)] == [Kill(), Stop(None), Stop(2.0), BurnCpu(0.5), Vanish()]


def test_link_is_impaired_at_both_ends_or_at_the_sender_alone():
    both, one_way = aimed("delay:hub,agent-005@1s/2s/30ms; drop:agent-005>hub@1s/2s/25%")
    assert both.orders == (
        ("agent-001", Impair("agent-005", ImpairmentKind.DELAY, 2.0, 0.03)),
        ("agent-005", Impair("agent-001", ImpairmentKind.DELAY, 2.0, 0.03)),
    )
    assert one_way.orders == (("agent-005", Impair("agent-001", ImpairmentKind.DROP, 2.0, 0.25)),)


def test_one_target_means_all_its_links():
    (blow,) = aimed("partition:hub@1s/1s")
    assert {sender for sender, _ in blow.orders} == set(AGENTS)
    assert len(blow.orders) == 2 * 7


@pytest.mark.parametrize(
    ("text", "topology", "said"),
    [
        pytest.param("kill:hub@1s", "ring", "no hub in this ring; choose stage, random, or one of agent-001", id="hub"),
        pytest.param("kill:root@1s", "mesh", "no root in this mesh; choose peer, random", id="root"),
        pytest.param("kill:agent-009@1s", "star", "no agent-009 in this star; choose hub, spoke, root", id="agent"),
        pytest.param("drop:agent-004,agent-005@1s/1s", "star", "no link between the two in this star", id="link"),
        pytest.param("drop:hub,hub@1s/1s", "star", "no link between the two", id="to itself"),
        pytest.param("kill:hub@round=21", "star", "there are only 20 rounds", id="round"),
    ],
)
def test_what_the_swarm_does_not_have_is_refused_in_one_line(text, topology, said):
    with pytest.raises(ChaosError) as failure:
        aimed(text, topology)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)


def test_chance_draws_faults_of_all_kinds_for_as_long_as_trading_may_last():
    kinds = ("crashes", "vanishes", "hangs", "partitions", "api_outages")
    chance = Chaos(chance=FaultPlan(one_way_share=0.5, **{f"{kind}_per_min": 9.0 for kind in kinds}))
    request = LayoutRequest(agents=AGENTS, strategies=("momentum",), symbols=("AAPL",))
    blows = aim(chance, lay_out(TopologyKind.RING, request), rounds=20, lasts_s=600.0, rng=random.Random(1))
    assert all(0.0 < blow.after_s < 600.0 and blow.is_by_chance for blow in blows)
    cut_off = [blow for blow in blows if isinstance(blow, CutOffBlow)]
    assert {blow.is_one_way for blow in cut_off} == {True, False}
    assert {type(getattr(blow, "fault", None)) for blow in blows} == {Kill, Vanish, Stop, type(None)}
    assert any(isinstance(blow, ApiBlow) for blow in blows)
