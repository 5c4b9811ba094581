"""Deaths at bad moments and in bad company, in mock mode: each of these broke a swarm once."""

import pytest

TOPOLOGIES = [pytest.param(topology, id=topology.title()) for topology in ("mesh", "hierarchical", "ring", "star")]
SIZE = {"agents": 8, "pace": 0.05, "strategy": ("momentum", "mean_reversion")}


def assert_nothing_lost(summary):
    assert (summary.success_rate, summary.tasks.lost, summary.tasks.duplicated) == (1.0, 0, 0)
    assert summary.sandboxes.left == 0


@pytest.mark.parametrize("topology", ["mesh", "hierarchical", "star"])
def test_idle_agent_that_stops_just_before_the_end_costs_its_last_account_only(mock_swarm, topology):
    idle = {"symbols": "AAPL", "strategy": ("momentum",)}
    summary = mock_swarm(topology, **{**SIZE, **idle}, ticks=20, chaos="stop:agent-006@950ms").summary
    assert_nothing_lost(summary)
    assert [(one.agent, one.fault, one.repaired_ms) for one in summary.failovers] == [
        ("agent-006", "stop:agent-006@950ms", None)
    ]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_sandbox_that_vanishes_without_hanging_up_is_replaced_at_the_first_attempt(mock_swarm, topology):
    summary = mock_swarm(topology, **SIZE, ticks=60, chaos="vanish:agent-003@1s").summary
    assert_nothing_lost(summary)
    assert [one.agent for one in summary.failovers] == ["agent-003"]
    assert summary.failovers[0].repaired_ms is not None
    assert summary.sandboxes.created == 9


def test_replacement_that_cannot_reach_a_neighbour_is_tried_again_and_never_twice_at_once(mock_swarm):
    chaos = "partition:agent-001,agent-003@900ms/8s; kill:agent-003@1s"
    summary = mock_swarm("star", **{**SIZE, "pace": 0.5}, ticks=40, chaos=chaos).summary
    assert_nothing_lost(summary)
    assert [one.agent for one in summary.failovers] == ["agent-003"]
    assert (summary.failovers[0].repaired_ms is not None, summary.sandboxes.created) == (True, 10)


def test_agent_that_stops_while_a_watcher_is_replaced_is_found_out_as_soon(mock_swarm):
    chaos = "kill:deputy@100ms; stop:agent-008@150ms"
    summary = mock_swarm("star", **SIZE, ticks=60, chaos=chaos).summary
    assert_nothing_lost(summary)
    assert sorted(one.agent for one in summary.failovers) == ["agent-002", "agent-008"]
    assert all(one.detected_ms < 300 for one in summary.failovers)  # virtual time


def test_fault_of_an_agent_that_is_being_replaced_waits_for_its_new_process(mock_swarm):
    summary = mock_swarm("ring", **SIZE, ticks=60, chaos="kill:agent-003@100ms; kill:agent-003@150ms").summary
    assert_nothing_lost(summary)
    first, second = summary.failovers
    assert (first.agent, second.agent) == ("agent-003", "agent-003")
    injected = summary.chaos.injected
    assert injected[1].at_s > injected[0].at_s + first.repaired_ms / 1000.0


def test_fault_that_comes_too_late_is_told(mock_swarm):
    summary = mock_swarm("star", **SIZE, ticks=10, chaos="kill:hub@1min; kill:spoke@100ms").summary
    assert summary.chaos.missed == ("kill:hub@60s",)
    assert [fault.fault for fault in summary.chaos.injected] == ["kill:spoke@100ms"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_faults_of_all_kinds_have_one_journal(mock_swarm, topology):
    chaos = (
        "kill:random@100ms; stop:random@400ms/300ms; cpu:random@700ms/300ms; vanish:random@1s; "
        "drop:random,random@1200ms/300ms/30%; delay:random@1300ms/300ms/20ms; partition:random@1600ms/300ms"
    )

    def deploy():
        return mock_swarm(topology, **SIZE, ticks=60, chaos=chaos).summary

    assert deploy() == deploy()
