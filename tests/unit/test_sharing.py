"""A leader's tasks find branches by every strategy, whoever is away, and what comes back is learned from."""

import pytest

from topologies.distribution import tasks_of_round
from topologies.kinds import DistributionStrategy
from topologies.messages import Vote
from topologies.seats import Branch
from topologies.sharing import Sharing

BOTH = {"m": 1, "r": 1}
BRANCHES = (Branch("hub", {}), Branch("a", BOTH), Branch("b", BOTH), Branch("c", {"m": 1}))
TASKS = tasks_of_round(1, ("X", "Y", "Z"), strategies=("m", "r"))


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def sharing(strategy, clock=None):
    return Sharing(BRANCHES, strategy, seed="test", now_s=clock or Clock())


def votes(tasks, agent, error=""):
    return [Vote(task.key, task.symbol, agent, task.strategy, 0.0, 0.0, error) for task in tasks]


@pytest.mark.parametrize("strategy", DistributionStrategy)
@pytest.mark.parametrize("away", [(), ("a",), ("a", "c")], ids=lambda away: f"without {away}")
def test_every_task_finds_somebody_who_is_there(strategy, away):
    one = sharing(strategy)
    invited = one.invite(TASKS)
    alive = [branch for branch in BRANCHES if branch.agent not in away]
    shares = one.share(invited, alive, turn=1)
    assert sorted(task.key for given in shares.values() for task in given) == sorted(task.key for task in invited)
    assert all(not shares.get(agent) for agent in (*away, "hub"))


@pytest.mark.parametrize("strategy", DistributionStrategy)
def test_where_nobody_left_was_meant_to_run_a_task_anybody_does(strategy):
    one = sharing(strategy)
    shares = one.share(one.invite(TASKS), [BRANCHES[3]], turn=1)
    assert {task.strategy for task in shares["c"]} == {"m", "r"}


@pytest.mark.parametrize("strategy", DistributionStrategy)
def test_nothing_is_shared_out_when_nobody_can_work(strategy):
    assert sharing(strategy).share(TASKS, [BRANCHES[0]], turn=1) == {}


def test_consensus_asks_different_branches():
    one = sharing(DistributionStrategy.CONSENSUS)
    invited = one.invite(TASKS[:1])
    assert [task.key for task in invited] == ["1/X/m#0", "1/X/m#1", "1/X/m#2"]
    shares = one.share(invited, BRANCHES, turn=4)
    assert sorted(len(given) for given in shares.values()) == [1, 1, 1]


def test_adaptive_learns_who_is_fast():
    clock = Clock()
    one = sharing(DistributionStrategy.ADAPTIVE, clock)
    took_s = {"a": 0.01, "b": 1.0, "c": 1.0}
    given_to = []
    for turn in range(40):
        shares = one.share(TASKS[:1], BRANCHES, turn=turn)
        (agent,) = [agent for agent, given in shares.items() if given]
        given_to.append(agent)
        clock.now_s += took_s[agent]
        one.answered(agent, votes(TASKS[:1], agent))
    assert given_to[-10:].count("a") >= 9


def test_adaptive_leaves_those_who_fail_alone():
    clock = Clock()
    one = sharing(DistributionStrategy.ADAPTIVE, clock)
    given_to = []
    for turn in range(40):
        (agent,) = [agent for agent, given in one.share(TASKS[:1], BRANCHES, turn=turn).items() if given]
        given_to.append(agent)
        clock.now_s += 0.1
        if agent == "a":
            one.lost(agent, 1)
        else:
            one.answered(agent, votes(TASKS[:1], agent))
    assert given_to[-10:].count("a") <= 2
