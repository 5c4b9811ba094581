"""Campaigns in small: no invariant is violated, whatever goes wrong, and the same seed is the same world anywhere."""

import json
import os
import subprocess
import sys

import msgspec
import pytest

from orchestrator.simulation.engine import HeapEngine
from orchestrator.simulation.faults import PRESETS, Fault, FaultKind, FaultPlan, FaultPlanError, read_plan
from orchestrator.simulation.invariants import Invariant
from orchestrator.simulation.loop_engine import LoopEngine
from orchestrator.simulation.shrink import shrink
from orchestrator.simulation.world import Case, World
from topologies.kinds import TopologyKind
from topologies.rounds.ring import RingRound

HARSH = PRESETS["harsh"]


def case(topology, seed, *, agents=12, virtual_s=300.0, plan=HARSH, faults=None):
    return Case(topology=topology, agents=agents, seed=seed, virtual_s=virtual_s, plan=plan, faults=faults)


def play(case, engine=None):
    return World(case, engine or HeapEngine()).run()


@pytest.mark.parametrize("topology", TopologyKind)
@pytest.mark.parametrize("seed", range(8))
def test_no_invariant_is_violated_under_harsh_faults(topology, seed):
    outcome = play(case(topology, seed))
    assert outcome.violation is None, f"e2b-swarm simulate --replay {seed} --topology {topology} --faults harsh"
    assert outcome.rounds > 0
    assert outcome.checks > 1000


@pytest.mark.parametrize("topology", TopologyKind)
@pytest.mark.parametrize("agents", [2, 3, 5, 33])
def test_swarms_of_any_size_survive(topology, agents):
    assert play(case(topology, 1, agents=agents, virtual_s=240.0)).violation is None


@pytest.mark.parametrize("topology", TopologyKind)
def test_nothing_happens_without_faults(topology):
    outcome = play(case(topology, 0, plan=FaultPlan()))
    assert (outcome.deaths, outcome.failed_rounds, outcome.faults, outcome.violation) == (0, 0, {}, None)


@pytest.mark.parametrize("topology", TopologyKind)
def test_both_engines_write_the_same_trace(topology):
    on_heap, on_loop = play(case(topology, 3)), play(case(topology, 3), LoopEngine())
    assert on_heap == on_loop
    assert on_heap.deaths > 0


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.API_OUTAGE])
@pytest.mark.parametrize("topology", TopologyKind)
def test_one_fault_is_got_over(topology, kind):
    fault = Fault(30.0, kind, ("agent-001",), 20.0)
    outcome = play(case(topology, 0, plan=FaultPlan(), faults=(fault,)))
    assert outcome.violation is None
    assert outcome.failed_rounds == 0
    assert outcome.deaths >= 1


def test_trace_is_the_same_in_any_process():
    command = [
        sys.executable,
        "-m",
        "orchestrator.main",
        "simulate",
        "--seeds",
        "2",
        "--virtual-minutes",
        "4",
        "--json",
    ]
    hashes = set()
    for hash_seed in ("0", "1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120)
        hashes.add(json.loads(run.stdout)["hash"])
    assert len(hashes) == 1


def test_violation_is_made_short(monkeypatch):
    original = RingRound.__init__
    monkeypatch.setattr(RingRound, "__init__", lambda self, seat, desk, **others: original(self, seat, desk))
    guilty = Fault(80.0, FaultKind.CRASH, ("agent-001",))  # the data stage: it would admit four rounds and no more
    others = tuple(Fault(20.0 + 10 * n, FaultKind.HANG, (f"agent-00{n}",), 1.0) for n in (2, 3, 4, 5))
    faults = (*others[:2], guilty, *others[2:])
    shortest = shrink(case(TopologyKind.RING, 0, agents=5, plan=FaultPlan(drop=0.01), faults=faults))
    assert shortest.violation.invariant is Invariant.PROGRESS
    assert shortest.faults == (guilty,)
    assert shortest.noise == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("drop = 2.0", "between 0 and 1", id="a probability above 1"),
        pytest.param("hang_s = -1.0", "0 or more", id="a negative duration"),
        pytest.param("drops = 0.1", "unknown field", id="an unknown field"),
        pytest.param("drop = ", "Invalid value", id="no TOML"),
    ],
)
def test_bad_plan_is_refused_in_one_line(text, said, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(FaultPlanError) as refusal:
        read_plan(str(path))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_plan_is_read_from_a_file(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("drop = 0.25\ncrashes_per_min = 2.0\n")
    assert read_plan(str(path)) == msgspec.structs.replace(FaultPlan(), drop=0.25, crashes_per_min=2.0)
