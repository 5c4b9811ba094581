"""What holds for every distribution strategy: nothing is lost, doubled or given to who cannot do it or is away."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.consensus import REPLICAS, SLOT_MARK
from topologies.distribution import DistributionStrategy, create_distribution, least_loaded, tasks_of_round
from topologies.messages import Task
from topologies.seats import Branch
from topologies.two_choices import LeastLoaded

capacities = st.dictionaries(st.sampled_from("mrs"), st.integers(1, 4), min_size=1)
crews = st.dictionaries(st.sampled_from("abcdefgh"), capacities, min_size=1).map(
    lambda crew: [Branch(agent, capacity) for agent, capacity in sorted(crew.items())]
)
strategies = st.sampled_from(DistributionStrategy)
answers = st.tuples(st.integers(0, 30), st.floats(0.0, 100.0), st.integers(0, 30))


def tasks_they_can_do(branches, round, number):
    known = sorted({name for branch in branches for name in branch.capacity})
    return tasks_of_round(round, [f"S{index}" for index in range(number)], strategies=known)


@settings(deadline=None)
@given(branches=crews, strategy=strategies, seed=st.integers(0, 99), data=st.data())
def test_each_task_goes_to_one_able_branch_or_as_many_as_agreement_takes(branches, strategy, seed, data):
    distribution = create_distribution(strategy, branches, rng=Random(seed))
    able = {branch.agent: set(branch.capacity) for branch in branches}
    for round in range(1, 5):
        tasks = tasks_they_can_do(branches, round, data.draw(st.integers(0, 6)))
        away = data.draw(st.sets(st.sampled_from([branch.agent for branch in branches])))
        if any(all(task.strategy not in able[agent] for agent in able.keys() - away) for task in tasks):
            away = set()
        shares = distribution.share(tasks, turn=round, away=away)
        assert set(shares) == set(able)
        assert not any(shares[agent] for agent in away)
        assert all(task.strategy in able[agent] for agent, given in shares.items() for task in given)
        keys = Counter(task.key for given in shares.values() for task in given)
        assert set(keys.values()) <= {1}
        copies = Counter(key.partition(SLOT_MARK)[0] for key in keys)
        many = strategy is DistributionStrategy.CONSENSUS
        assert copies == {
            task.key: min(REPLICAS if many else 1, sum(task.strategy in able[agent] for agent in able.keys() - away))
            for task in tasks
        }
        for agent in sorted(able):
            number, elapsed_s, errors = data.draw(answers)
            distribution.answered(agent, number, elapsed_s=elapsed_s, errors=errors)


@settings(deadline=None)
@given(branches=crews, strategy=strategies, seed=st.integers(0, 99), turn=st.integers(0, 9))
def test_same_answers_and_seed_give_the_same_shares(branches, strategy, seed, turn):
    def run():
        distribution = create_distribution(strategy, branches, rng=Random(seed))
        first = distribution.share(tasks_they_can_do(branches, 1, 5), turn=turn)
        for agent, share in first.items():
            distribution.answered(agent, len(share), elapsed_s=0.1 * len(agent), errors=0)
        return first, distribution.share(tasks_they_can_do(branches, 2, 5), turn=turn + 1)

    assert run() == run()


@settings(deadline=None)
@given(branches=crews.filter(lambda crew: len(crew) <= 2), seed=st.integers(0, 99), turn=st.integers(0, 9))
def test_two_choices_among_two_are_the_least_loaded_of_all(branches, seed, turn):
    tasks = tasks_they_can_do(branches, 1, 7)
    assert LeastLoaded(branches, rng=Random(seed)).share(tasks, turn=turn) == least_loaded(
        tasks, branches, outstanding={}, turn=turn
    )


@pytest.mark.parametrize("seed", range(20))
def test_longest_queue_of_two_choices_stays_near_the_mean(seed):
    branches = [Branch(f"w{index:02}", {"m": 1}) for index in range(16)]
    tasks = [Task(f"1/S{index}/m", f"S{index}", "m") for index in range(160)]
    load = [len(given) for given in LeastLoaded(branches, rng=Random(seed)).share(tasks, turn=0).values()]
    assert max(load) <= 10 + 3  # log2(log2(16)) = 2, and one
