"""Swarms to look at: each is deployed once in the mode of this run, and many tests look at what it did."""

from dataclasses import dataclass
from functools import cache

import pytest

from orchestrator.deploying import deploy
from orchestrator.plan import Plan, make_plan
from orchestrator.spec import make_spec
from orchestrator.summary import Summary


@dataclass(frozen=True)
class Run:
    """A swarm that has run: what was planned, and what it came to."""

    plan: Plan
    summary: Summary

    @property
    def messages(self) -> dict[tuple[str, str], int]:
        return {(edge.source, edge.target): edge.messages for edge in self.summary.edges}


def run_swarm(**fields) -> Run:
    plan = make_plan(make_spec({}, fields))
    return Run(plan, deploy(plan, watch=lambda board: None))


@pytest.fixture(scope="session")
def swarm(mode):
    """Return a function that deploys a swarm in this run's mode; equal requests share one run."""

    @cache
    def run(topology, agents=5, ticks=20, strategy=("momentum", "mean_reversion"), **more):
        return run_swarm(topology=topology, agents=agents, ticks=ticks, strategy=strategy, mode=mode, **more)

    return run


@pytest.fixture(scope="session")
def mock_swarm():
    """Return a function that deploys a swarm in mock mode, anew each time."""

    def run(topology, **fields):
        return run_swarm(**{"agents": 5, "ticks": 20, **fields, "topology": topology, "mode": "mock"})

    return run
