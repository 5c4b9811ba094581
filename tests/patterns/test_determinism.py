"""Mock mode is a promise: the same request does the same things in the same order, in any process."""

import json
import subprocess
import sys

import pytest

TOPOLOGIES = [
    pytest.param("mesh", id="Mesh"),
    pytest.param("hierarchical", id="Hierarchical"),
    pytest.param("ring", id="Ring"),
    pytest.param("star", id="Star"),
]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_two_mock_runs_have_one_journal(mock_swarm, topology):
    assert mock_swarm(topology).summary == mock_swarm(topology).summary


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_another_seed_gives_another_journal_but_the_same_decisions(mock_swarm, topology):
    one, other = mock_swarm(topology, seed=1).summary, mock_swarm(topology, seed=2).summary
    assert one.journal_hash != other.journal_hash
    assert one.decisions_hash == other.decisions_hash


def test_hash_seed_of_the_interpreter_changes_nothing():
    command = [sys.executable, "-m", "orchestrator.main", "deploy", "--topology", "mesh", "--mode", "mock"]
    command += ["--ticks", "10", "--agents", "8", "--strategy", "momentum", "--strategy", "mean_reversion", "--json"]
    summaries = []
    for hash_seed in ("0", "1", "12345"):
        done = subprocess.run(command, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True, timeout=60)
        summaries.append(json.loads(done.stdout))
    assert summaries[0] == summaries[1] == summaries[2]
