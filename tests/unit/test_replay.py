"""A policy on a recorded load: what is counted, and that nothing is left to chance."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scaling_policies import GENERATED, write_trace
from scaling.hpa.behavior import Bounds
from scaling.replay import Planned, ReplaySetup, TraceError, TraceSample, View, read_trace, replay
from scaling.replay_policies import FirstDesign, KnativeLike, Ours, PlainHpa

BOUNDS = Bounds(at_least=1, at_most=30)
SETUP = ReplaySetup(agents_at_first=1, agent_second_usd=0.01)
POLICIES = [Ours, PlainHpa, KnativeLike, FirstDesign]
TRACES = Path(__file__).resolve().parents[2] / "benchmarks" / "traces"


class Scripted:
    """A policy that says what it was told to, plan by plan."""

    def __init__(self, *agents: int, interval_s: float = 10.0, warm: int = 0) -> None:
        self.agents = list(agents)
        self.interval_s = interval_s
        self.warm = warm
        self.views: list[View] = []

    def plan(self, view: View) -> Planned:
        self.views.append(view)
        return Planned(self.agents.pop(0) if len(self.agents) > 1 else self.agents[0], self.warm)


def steady(tasks_per_s: float, seconds: float = 100.0, **fields) -> list[TraceSample]:
    return [TraceSample(0.0, tasks_per_s, 1.0, **fields), TraceSample(seconds, 0.0, 1.0)]


def test_enough_agents_miss_nothing_and_cost_what_they_cost():
    outcome = replay(steady(1.0), Scripted(1), setup=SETUP)
    assert (outcome.tasks, outcome.missed_tasks) == (100.0, 0.0)
    assert outcome.usd == pytest.approx(100 * 0.01)
    assert (outcome.agents_mean, outcome.agents_max, outcome.changes) == (1.0, 1, 0)


def test_too_few_agents_make_all_tasks_late_once_the_queue_is_long():
    outcome = replay(steady(2.0), Scripted(1), setup=SETUP)
    assert outcome.missed_percent == pytest.approx(97.0)


def test_a_new_agent_is_paid_for_before_it_serves():
    policy = Scripted(3)
    outcome = replay(steady(3.0, 20.0), policy, setup=SETUP)
    assert outcome.usd == pytest.approx(20 * 3 * 0.01)
    assert [(view.agents, view.ready) for view in policy.views] == [(1, 1), (3, 1)]
    assert policy.views[1].queued == pytest.approx(20.0)


def test_a_warm_agent_serves_after_a_step_and_is_free():
    cold, warm = (replay(steady(3.0), Scripted(1, 6, warm=count), setup=SETUP) for count in (0, 5))
    assert warm.missed_tasks < cold.missed_tasks
    assert warm.usd == cold.usd


def test_a_policy_sees_averages_since_its_last_plan():
    policy = Scripted(2)
    replay([TraceSample(0, 1.0, 1.0), TraceSample(15, 3.0, 0.5), TraceSample(40, 0.0, 1.0)], policy, setup=SETUP)
    assert [view.tasks_per_s for view in policy.views[1:]] == [1.0, 2.0, 3.0]
    assert policy.views[1].busy_percent == pytest.approx(100.0)


def test_changes_in_opposite_directions_within_ten_minutes_are_flaps():
    assert replay(steady(0.0), Scripted(1, 3, 2, 2, 1, 5), setup=SETUP).flaps == 2


def test_agents_that_do_not_serve_yet_go_first():
    policy = Scripted(5, 2, interval_s=5.0)
    replay(steady(0.0, 20.0), policy, setup=SETUP)
    assert [(view.agents, view.ready) for view in policy.views] == [(1, 1), (5, 1), (2, 1), (2, 2)]


@pytest.mark.parametrize("make", POLICIES)
def test_a_replay_gives_the_same_twice(make):
    trace = [TraceSample(at, 3.0 + (at // 60) % 7, 1.0, 10.0 + at / 60) for at in range(0, 3000, 30)]
    assert replay(trace, make(BOUNDS)) == replay(trace, make(BOUNDS))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(POLICIES),
    st.lists(st.tuples(st.floats(0, 200), st.floats(0.01, 20), st.none() | st.floats(5, 90)), min_size=2, max_size=12),
)
def test_whatever_the_load_a_policy_keeps_its_bounds_and_loses_no_task(make, levels):
    trace = [TraceSample(40.0 * number, *level) for number, level in enumerate(levels)]
    outcome = replay(trace, make(BOUNDS), setup=SETUP)
    assert outcome.agents_max <= BOUNDS.at_most
    assert outcome.agents_mean >= BOUNDS.at_least
    assert 0 <= outcome.missed_tasks <= outcome.tasks
    assert outcome.tasks == pytest.approx(sum(40.0 * level[0] for level in levels[:-1]))


def test_the_first_design_grows_by_one_a_minute():
    outcome = replay(steady(20.0, 301.0), FirstDesign(BOUNDS), setup=SETUP)
    assert outcome.agents_max == 6


def test_ours_misses_less_than_the_cluster_rule_when_load_jumps():
    trace = [TraceSample(0, 2.0, 1.0), TraceSample(600, 20.0, 1.0), TraceSample(1800, 0.0, 1.0)]
    ours, plain = (replay(trace, make(BOUNDS)) for make in (Ours, PlainHpa))
    assert ours.missed_tasks < plain.missed_tasks / 2


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_traces_of_the_benchmark_are_generated_the_same_every_time(name, tmp_path):
    path = TRACES / f"{name}.csv"
    write_trace(tmp_path / "again.csv", GENERATED[name]())
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    assert list(read_trace(path.read_text().splitlines())) == GENERATED[name]()


HEADER = "at_s,tasks_per_s,task_s,volatility_percent"


def test_volatility_may_be_left_out():
    trace = read_trace([HEADER, "0,1,1,", "60,2,1,17.5"])
    assert [sample.volatility_percent for sample in trace] == [None, 17.5]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(["at_s,rate"], "no column tasks_per_s, task_s", id="columns"),
        pytest.param([HEADER, "0,1,1,"], "fewer than two", id="one sample"),
        pytest.param([HEADER, "0,1,1,", "0,1,1,"], "line 3 of the trace: 0.0 s is not after", id="time stands"),
        pytest.param([HEADER, "0,many,1,"], "line 2 of the trace: could not convert", id="a word"),
        pytest.param([HEADER, "0,-1,1,"], "line 2 of the trace", id="negative"),
        pytest.param([HEADER, "0,1,0,"], "line 2 of the trace", id="no duration"),
        pytest.param([HEADER, "0,nan,1,"], "line 2 of the trace", id="not a number"),
        pytest.param([HEADER, "0,1"], "line 2 of the trace", id="short"),
    ],
)
def test_a_trace_that_cannot_be_read_is_named_by_its_line(lines, message):
    with pytest.raises(TraceError, match=message):
        read_trace(lines)
