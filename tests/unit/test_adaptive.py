"""What the adaptive distribution learns of its branches, and what it makes of it."""

import pytest

from topologies.adaptive import AGEING, Adaptive, Belief
from topologies.distribution import tasks_of_round
from topologies.seats import Branch


def workers(*names):
    return [Branch(name, {"m": 1}) for name in names]


def tasks_for(number):
    return tasks_of_round(1, [f"S{index:03}" for index in range(number)], strategies=["m"])


def sizes(shares):
    return {agent: len(given) for agent, given in shares.items()}


def trained(task_s, *, error_rates=None, rounds=20, tasks=12):
    """Run rounds in which each branch takes `task_s` seconds for a task and fails its share of tasks."""
    distribution = Adaptive(workers(*task_s))
    for turn in range(rounds):
        for agent, number in sizes(distribution.share(tasks_for(tasks), turn=turn)).items():
            errors = round(number * (error_rates or {}).get(agent, 0.0))
            distribution.answered(agent, number, elapsed_s=number * task_s[agent], errors=errors)
    return distribution


def test_branches_of_which_nothing_is_known_share_evenly():
    assert sizes(Adaptive(workers(*"abc")).share(tasks_for(12), turn=0)) == {"a": 4, "b": 4, "c": 4}


def test_before_any_answer_more_workers_get_more():
    distribution = Adaptive([Branch("a", {"m": 3}), Branch("b", {"m": 1})])
    assert sizes(distribution.share(tasks_for(12), turn=0)) == {"a": 9, "b": 3}


def test_work_is_shared_out_in_proportion_to_speed():
    assert sizes(trained({"a": 0.01, "b": 0.03}).share(tasks_for(40), turn=0)) == pytest.approx(
        {"a": 30, "b": 10}, abs=2
    )


def test_what_is_outstanding_counts_as_time():
    distribution = trained({"a": 0.01, "b": 0.01})
    distribution.share(tasks_for(10), turn=0)
    distribution.answered("b", 5, elapsed_s=0.05, errors=0)
    assert sizes(distribution.share(tasks_for(4), turn=0)) == {"a": 0, "b": 4}


def test_branch_that_fails_gets_less():
    distribution = trained({"a": 0.01, "b": 0.01, "c": 0.01}, error_rates={"b": 0.5})
    given = sizes(distribution.share(tasks_for(12), turn=0))
    assert given["b"] <= 2
    assert min(given["a"], given["c"]) >= 5


def test_branch_that_slows_down_is_followed_within_ten_answers():
    distribution = trained({"a": 0.01, "b": 0.01})
    for _ in range(10):
        distribution.answered("b", 1, elapsed_s=0.1, errors=0)
    assert sizes(distribution.share(tasks_for(22), turn=0))["b"] <= 5


def test_branch_left_alone_is_tried_again():
    distribution = trained({"a": 0.01, "b": 1.0}, tasks=4)
    given_b = 0
    for turn in range(200):
        given = sizes(distribution.share(tasks_for(4), turn=turn))
        given_b += given["b"]
        for agent, number in given.items():  # b has recovered
            distribution.answered(agent, number, elapsed_s=number * 0.01, errors=0)
    assert given_b == pytest.approx(400, rel=0.25)


def test_newcomer_is_thought_as_fast_as_the_others():
    distribution = Adaptive(workers("a", "b"))
    distribution.answered("a", 1, elapsed_s=0.5, errors=0)
    assert distribution.task_s()["b"] == pytest.approx(0.5)


def test_belief_is_a_fading_mean_of_answers():
    belief = Belief()
    for elapsed_s in (1.0, 1.0, 4.0):
        belief.learn(2, elapsed_s=elapsed_s, errors=1)
    assert 0.5 < belief.task_s(guess_log_s=0.0) < 2.0
    assert belief.error_rate == pytest.approx((0.5 + 1.355) / (10.0 + 2.71))


def test_answer_without_tasks_teaches_nothing():
    belief = Belief()
    belief.learn(0, elapsed_s=5.0, errors=0)
    assert (belief.answers, belief.log_s) == (0.0, 0.0)


def test_work_too_short_to_measure_is_still_a_speed():
    belief = Belief()
    belief.learn(1, elapsed_s=0.0, errors=0)
    assert belief.task_s(guess_log_s=0.0) > 0.0


def test_what_is_not_seen_is_believed_less():
    belief = Belief()
    belief.learn(1, elapsed_s=10.0, errors=1)
    assert (belief.task_s(guess_log_s=0.0), belief.error_rate) == pytest.approx((10**0.5, 1.5 / 11))
    for _ in range(100):
        belief.age(AGEING)
    assert belief.task_s(guess_log_s=0.0) == pytest.approx(1.0, abs=0.05)
    assert belief.error_rate == pytest.approx(0.05, abs=0.01)
