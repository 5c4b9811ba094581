"""The strategies as leaders use them: by load, by capability, to several, and never to who is away."""

from random import Random

import msgspec
import pytest
from fixed_desk import make_task, vote

from topologies.consensus import Consensus, questions_of, replicas_of
from topologies.distribution import (
    Distribution,
    DistributionStrategy,
    UnmatchedCapability,
    create_distribution,
    tasks_of_round,
)
from topologies.poll import Charter, Verdict, resolve
from topologies.seats import Branch
from topologies.specialized import BACKLOG_MAX, Specialized
from topologies.two_choices import LeastLoaded
from topologies.voting import VotingRule

ALL = pytest.mark.parametrize("strategy", list(DistributionStrategy))


def workers(*names, strategies="m"):
    return [Branch(name, dict.fromkeys(strategies, 1)) for name in names]


def tasks_for(strategies, number=12):
    return tasks_of_round(1, [f"S{index:02}" for index in range(number)], strategies=strategies)


def sizes(shares):
    return {agent: len(given) for agent, given in shares.items()}


def make(strategy, branches) -> Distribution:
    return create_distribution(strategy, branches, rng=Random(7))


@ALL
def test_branch_that_is_away_gets_nothing(strategy):
    shares = make(strategy, workers(*"abcd")).share(tasks_for("m"), turn=3, away={"b"})
    assert shares["b"] == ()
    assert all(shares[agent] for agent in "acd")


@ALL
def test_nobody_there_who_can_is_an_error_and_nothing_was_given(strategy):
    distribution = make(strategy, [*workers("a"), *workers("b", strategies="r")])
    with pytest.raises(UnmatchedCapability, match=r"task 1/X/r needs strategy 'r'; all who can are away: b$"):
        distribution.share([make_task("1/X/m", "m"), make_task("1/X/r", "r")], turn=0, away={"b"})
    both = distribution.share([make_task("1/X/m", "m"), make_task("1/X/r", "r")], turn=0)
    assert sizes(both) == {"a": 1, "b": 1}


@ALL
def test_answer_of_a_stranger_changes_nothing(strategy):
    told, untold = (make(strategy, workers(*"abcd")) for _ in range(2))
    told.answered("stranger", 5, elapsed_s=0.1, errors=5)
    assert told.share(tasks_for("m"), turn=0) == untold.share(tasks_for("m"), turn=0)


def test_least_loaded_counts_what_is_still_owed():
    distribution = LeastLoaded(workers("a", "b"), rng=Random(0))
    assert sizes(distribution.share(tasks_for("m", 6), turn=0)) == {"a": 3, "b": 3}
    distribution.answered("b", 3, elapsed_s=0.1, errors=0)
    assert sizes(distribution.share(tasks_for("m", 3), turn=0)) == {"a": 0, "b": 3}
    distribution.answered("a", 99, elapsed_s=0.1, errors=0)
    assert sizes(distribution.share(tasks_for("m", 3), turn=0)) == {"a": 3, "b": 0}


def test_two_choices_are_far_more_even_than_one():
    """With 32 branches and 1,024 tasks, one draw leaves a branch with about 50; the lesser of two about 34."""
    branches = workers(*(f"w{index:02}" for index in range(32)))
    load = sizes(LeastLoaded(branches, rng=Random(1)).share(tasks_for("m", 1024), turn=0))
    assert max(load.values()) - min(load.values()) <= 6


def test_branch_with_more_workers_is_drawn_more_often():
    branches = [Branch("big", {"m": 8}), *workers("a", "b", "c", "d")]
    load = sizes(LeastLoaded(branches, rng=Random(1)).share(tasks_for("m", 240), turn=0))
    assert load["big"] == pytest.approx(160, abs=12)


def test_specialist_goes_before_generalist():
    branches = [*workers("generalist", strategies="mr"), *workers("specialist")]
    shares = Specialized(branches).share(tasks_for("mr", 3), turn=0)
    assert {agent: {task.strategy for task in given} for agent, given in shares.items()} == {
        "generalist": {"r"},
        "specialist": {"m"},
    }


def test_generalist_helps_a_specialist_that_is_behind():
    branches = [*workers("generalist", strategies="mr"), *workers("specialist")]
    distribution = Specialized(branches)
    assert sizes(distribution.share(tasks_for("m", BACKLOG_MAX + 1), turn=0)) == {
        "generalist": 1,
        "specialist": BACKLOG_MAX,
    }
    assert sizes(distribution.share(tasks_for("m", BACKLOG_MAX + 3), turn=0)) == {"generalist": 5, "specialist": 2}


def test_generalist_stands_in_for_a_specialist_that_is_away():
    branches = [*workers("generalist", strategies="mr"), *workers("specialist")]
    shares = Specialized(branches).share(tasks_for("m", 2), turn=0, away={"specialist"})
    assert sizes(shares) == {"generalist": 2, "specialist": 0}


def test_consensus_gives_each_task_to_several_branches():
    shares = Consensus(workers(*"abcd")).share(tasks_for("m", 4), turn=0)
    assert sizes(shares) == {"a": 3, "b": 3, "c": 3, "d": 3}
    holders = {key: [a for a, given in shares.items() if key in {t.key for t in given}] for key in ("1/S00/m#0",)}
    assert holders == {"1/S00/m#0": ["a"]}


@pytest.mark.parametrize(
    ("able", "slots"),
    [pytest.param("a", 1, id="one"), pytest.param("ab", 2, id="two"), pytest.param("abcde", 3, id="5")],
)
def test_replicas_are_as_many_as_can_do_the_task_at_most(able, slots):
    replicas = replicas_of(make_task("1/X/m", "m"), workers(*able), replicas=3)
    assert [task.key for task in replicas] == [f"1/X/m#{slot}" for slot in range(slots)]


def test_replica_is_not_replicated_again_below():
    shares = Consensus(workers("a", "b")).share([make_task("1/X/m#1", "m")], turn=0)
    assert [task.key for given in shares.values() for task in given] == ["1/X/m#1"]


@pytest.mark.parametrize(
    ("answers", "verdict", "target"),
    [
        pytest.param({"a": 1.0, "b": 1.0, "c": -1.0}, "decided", 1.0, id="two against one"),
        pytest.param({"a": 1.0, "b": 1.0}, "decided", 1.0, id="one silent"),
        pytest.param({"a": 1.0}, "no quorum", 0.0, id="two silent"),
        pytest.param({"a": 1.0, "b": -1.0}, "tie", 0.0, id="one against one"),
    ],
)
def test_answers_of_replicas_are_fused_by_the_rule(answers, verdict, target):
    shares = Consensus(workers(*"abc")).share([make_task("1/X/m", "m")], turn=0)
    (question,) = questions_of(1, [task for given in shares.values() for task in given])
    votes = [
        vote(agent, task.key, target=answers[agent], strategy="m")
        for agent, given in shares.items()
        for task in given
        if agent in answers
    ]
    resolution = resolve(question, votes, charter=Charter(rule=VotingRule.MAJORITY))
    assert (resolution.verdict, resolution.decision.target, resolution.invited) == (verdict, target, 3)


def test_branch_that_is_away_leaves_its_slot_to_the_quorum():
    branches = workers(*"abc")
    task = make_task("1/X/m", "m")
    (question,) = questions_of(1, replicas_of(task, branches, replicas=3))
    shares = Consensus(branches).share([task], turn=0, away={"b", "c"})
    (given,) = shares["a"]
    alone = [msgspec.structs.replace(vote("a", given.key), strategy="m")]
    assert resolve(question, alone, charter=Charter()).verdict is Verdict.NO_QUORUM
