"""How tasks are shared out: to those who can do them, evenly, the same way each time."""

import pytest
from fixed_desk import make_task

from topologies.distribution import UnmatchedCapability, least_loaded, round_robin, tasks_of_round
from topologies.messages import Task
from topologies.seats import Branch


def both(tasks, branches, turn=0):
    return [
        round_robin(tasks, branches, turn=turn),
        least_loaded(tasks, branches, outstanding={}, turn=turn),
    ]


def tasks_for(strategies, number=12):
    return tasks_of_round(1, [f"S{index:02}" for index in range(number)], strategies=strategies)


def sizes(shares):
    return {agent: len(given) for agent, given in shares.items()}


def test_round_has_a_task_for_each_strategy_of_each_symbol():
    assert tasks_of_round(3, ["B", "A"], strategies=["r", "m"]) == (
        Task("3/A/m", "A", "m"),
        Task("3/A/r", "A", "r"),
        Task("3/B/m", "B", "m"),
        Task("3/B/r", "B", "r"),
    )


@pytest.mark.parametrize("turn", range(5))
def test_tasks_go_only_to_those_who_can_do_them(turn):
    able = {"a": {"m"}, "b": {"r"}, "c": {"m", "r"}}
    branches = [Branch(name, dict.fromkeys(names, 1)) for name, names in able.items()]
    for shares in both(tasks_for(["m", "r"]), branches, turn):
        assert all(task.strategy in able[agent] for agent, given in shares.items() for task in given)
        assert sorted(task.key for given in shares.values() for task in given) == [
            task.key for task in tasks_for(["m", "r"])
        ]


@pytest.mark.parametrize(
    ("branches", "known"),
    [
        pytest.param([Branch("a", {"m": 1}), Branch("b", {"r": 2})], "m, r", id="others"),
        pytest.param([Branch("a", {"mine": 0})], "mine", id="nobody left who can"),
        pytest.param([], "none", id="no branches"),
    ],
)
def test_task_that_nobody_can_do_is_an_error_that_says_what_can_be_done(branches, known):
    text = f"task 1/X/mine needs strategy 'mine'; the branches here can run: {known}$"
    for share in (round_robin, lambda *args, turn: least_loaded(*args, outstanding={}, turn=turn)):
        with pytest.raises(UnmatchedCapability, match=text):
            share([make_task("1/X/mine", "mine")], branches, turn=0)


@pytest.mark.parametrize("turn", range(4))
def test_one_strategy_is_shared_out_evenly(turn):
    branches = [Branch(name, {"m": 1}) for name in "abc"]
    for shares in both(tasks_for(["m"]), branches, turn):
        assert sizes(shares) == {"a": 4, "b": 4, "c": 4}


def test_branch_with_more_workers_gets_more():
    branches = [Branch("a", {"m": 3}), Branch("b", {"m": 1})]
    assert [sizes(shares) for shares in both(tasks_for(["m"]), branches)] == [{"a": 9, "b": 3}] * 2


def test_least_loaded_shares_mixed_strategies_evenly():
    branches = [Branch(name, {"m": 1, "r": 1}) for name in "ab"]
    shares = least_loaded(tasks_for(["m", "r"]), branches, outstanding={}, turn=0)
    assert sizes(shares) == {"a": 12, "b": 12}


def test_dealing_in_turn_shares_out_each_of_mixed_strategies_evenly():
    branches = [Branch(name, {"m": 1, "r": 1}) for name in "ab"]
    shares = round_robin(tasks_for(["m", "r"]), branches, turn=0)
    assert [task.strategy for task in shares["a"]].count("m") == 6


def test_branches_without_a_task_have_an_empty_share():
    branches = [Branch("a", {"m": 1}), Branch("b", {"r": 1})]
    for shares in both(tasks_for(["m"], 1), branches):
        assert sizes(shares) == {"a": 1, "b": 0}


def test_turn_moves_who_is_first():
    branches = [Branch(name, {"m": 1}) for name in "abc"]
    firsts = [
        [next(a for a, given in s.items() if given) for s in both(tasks_for(["m"], 1), branches, t)] for t in range(4)
    ]
    assert firsts == [["a", "a"], ["b", "b"], ["c", "c"], ["a", "a"]]


@pytest.mark.parametrize(
    ("outstanding", "expected"),
    [
        pytest.param({"a": 2}, {"a": 0, "b": 2}, id="idle first"),
        pytest.param({"a": 1}, {"a": 1, "b": 1}, id="level again"),
        pytest.param({"a": 9, "b": 9}, {"a": 1, "b": 1}, id="equally busy"),
        pytest.param({"a": 100}, {"a": 0, "b": 2}, id="far behind"),
    ],
)
def test_least_loaded_prefers_the_idle(outstanding, expected):
    branches = [Branch(name, {"m": 1}) for name in "ab"]
    assert sizes(least_loaded(tasks_for(["m"], 2), branches, outstanding=outstanding, turn=0)) == expected


def test_load_is_counted_by_worker():
    branches = [Branch("a", {"m": 4}), Branch("b", {"m": 1})]
    shares = least_loaded(tasks_for(["m"], 1), branches, outstanding={"a": 3, "b": 1}, turn=0)
    assert sizes(shares) == {"a": 1, "b": 0}
