"""Agents killed and stopped, links made bad: nothing lost, nothing twice, and the decisions of a run without faults."""

import pytest

TOPOLOGIES = ("mesh", "hierarchical", "ring", "star")
ROLES = [
    pytest.param("mesh", "peer", id="Mesh peer"),
    pytest.param("hierarchical", "root", id="Hierarchical root"),
    pytest.param("hierarchical", "deputy", id="Hierarchical deputy"),
    pytest.param("hierarchical", "leader", id="Hierarchical leader"),
    pytest.param("hierarchical", "worker", id="Hierarchical worker"),
    pytest.param("ring", "agent-001", id="Ring first stage"),
    pytest.param("ring", "agent-004", id="Ring last stage of a lane"),
    pytest.param("ring", "stage", id="Ring stage"),
    pytest.param("star", "hub", id="Star hub"),
    pytest.param("star", "deputy", id="Star deputy"),
    pytest.param("star", "spoke", id="Star spoke"),
]
LINKS = [pytest.param(topology, id=topology.title()) for topology in TOPOLOGIES]
SIZE = {"agents": 8, "ticks": 50, "strategy": ("momentum", "mean_reversion")}


@pytest.fixture(scope="session")
def struck(swarm):
    """Return a function that deploys a swarm and does something to it; equal requests share one run."""

    def run(topology, chaos):
        return swarm(topology, **SIZE, pace=0.05, chaos=chaos).summary

    return run


def killed_then_stopped(role):
    return f"kill:{role}@round=5; stop:{role}@1s"


BAD_LINKS = "drop:random,random@100ms/400ms/20%; delay:random@600ms/400ms/30ms; partition:random>random@1100ms/400ms"


def assert_nothing_lost_doubled_or_left(summary):
    tasks = summary.tasks
    assert (tasks.lost, tasks.duplicated, tasks.failed, summary.success_rate) == (0, 0, 0, 1.0)
    assert tasks.assigned == tasks.completed > 0
    assert summary.sandboxes.left == 0


@pytest.mark.parametrize(("topology", "role"), ROLES)
def test_dead_agents_cost_no_task_and_leave_no_sandbox(struck, topology, role):
    assert_nothing_lost_doubled_or_left(struck(topology, killed_then_stopped(role)))


@pytest.mark.parametrize(("topology", "role"), ROLES)
def test_decisions_are_those_of_a_run_in_which_nobody_dies(struck, mock_swarm, topology, role):
    undisturbed = mock_swarm(topology, **SIZE).summary
    assert struck(topology, killed_then_stopped(role)).targets_hash == undisturbed.targets_hash


@pytest.mark.parametrize(("topology", "role"), ROLES)
def test_each_death_is_reported_with_its_cause_and_repaired(struck, topology, role):
    summary = struck(topology, killed_then_stopped(role))
    assert not summary.chaos.missed
    assert [fault.failed for fault in summary.chaos.injected] == ["", ""]
    met = [(fault.agents[0], fault.fault) for fault in summary.chaos.injected]
    deaths = [one for one in summary.failovers if one.fault in killed_then_stopped(role)]  # a busy machine may add some
    assert [(one.agent, one.fault) for one in deaths] == met
    assert all(one.detected_ms >= 0 and one.repaired_ms > 0 for one in deaths)


@pytest.mark.parametrize("topology", LINKS)
def test_bad_links_cost_no_task(struck, topology):
    assert_nothing_lost_doubled_or_left(struck(topology, BAD_LINKS))


@pytest.mark.parametrize("topology", LINKS)
def test_bad_links_change_no_decision(struck, mock_swarm, topology):
    assert struck(topology, BAD_LINKS).targets_hash == mock_swarm(topology, **SIZE).summary.targets_hash


@pytest.mark.parametrize("topology", LINKS)
def test_two_deaths_at_once_cost_no_task(struck, topology):
    summary = struck(topology, "kill:agent-001@round=5; stop:agent-005@round=5")
    assert_nothing_lost_doubled_or_left(summary)
    assert {one.agent for one in summary.failovers} >= {"agent-001", "agent-005"}


# ---- by chance: mock mode's alone


@pytest.fixture(scope="session")
def harsh(mock_swarm):
    """Return a function that deploys a swarm in the harshest surroundings, anew each time."""

    def run(topology, seed):
        fields = {"agents": 8, "ticks": 40, "pace": 1.0, "chaos": "harsh", "seed": seed, "round_deadline": 60.0}
        return mock_swarm(topology, **fields).summary

    return run


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("topology", LINKS)
def test_chance_costs_no_task_however_harsh(harsh, topology, seed):
    summary = harsh(topology, seed)
    assert (summary.tasks.lost, summary.tasks.duplicated, summary.sandboxes.left) == (0, 0, 0)
    assert (summary.success_rate, summary.tasks.completed) == (1.0, summary.tasks.assigned)
    assert len(summary.chaos.injected) > 2
    assert summary.failovers


@pytest.mark.parametrize("topology", LINKS)
def test_same_seed_gives_the_same_faults_and_the_same_journal(harsh, topology):
    assert harsh(topology, 2) == harsh(topology, 2)


def test_another_seed_gives_other_faults(harsh):
    one, other = harsh("ring", 1), harsh("ring", 2)
    assert one.chaos != other.chaos
    assert one.journal_hash != other.journal_hash
