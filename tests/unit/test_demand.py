"""What each measurement asks for, what panics, and what the calendar says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.demand import Arrivals, Backlog, DemandPolicy, Usage, propose, propose_all
from scaling.panic import PanicState, check_panic
from scaling.schedule import ScheduledFloor, floor_at

NOW = 100.0
POLICY = DemandPolicy()


def usage(value: float, *, name: str = "cpu", at_s: float = NOW) -> Usage:
    return Usage(name=name, value=value, target=70.0, at_s=at_s)


def backlog(queued: float, running: float = 0.0, task_s: float = 1.0, target_s: float = 5.0) -> Backlog:
    return Backlog(name="queue", queued=queued, running=running, task_s=task_s, target_s=target_s, at_s=NOW)


@pytest.mark.parametrize(
    ("metric", "agents"),
    [
        pytest.param(usage(140.0), 20, id="twice the target"),
        pytest.param(usage(75.0), 10, id="within the tolerance"),
        pytest.param(usage(35.0), 5, id="half the target"),
        pytest.param(backlog(100), 20, id="100 s of work in 5 s"),
        pytest.param(backlog(2, task_s=60.0), 2, id="no more agents than tasks"),
        pytest.param(backlog(0), 0, id="nothing to do"),
        pytest.param(backlog(0.1), 1, id="a little to do"),
        pytest.param(Arrivals(name="in", per_s=12.0, task_s=1.0, busy_share=0.5, at_s=NOW), 24, id="half busy"),
        pytest.param(Arrivals(name="in", per_s=0.0, task_s=1.0, busy_share=0.5, at_s=NOW), 0, id="nothing comes"),
    ],
)
def test_a_metric_asks_for(metric, agents):
    assert propose(metric, 10, ready=10, now=NOW, policy=POLICY).agents == agents


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(usage(math.nan), id="not a number"),
        pytest.param(usage(math.inf), id="infinite"),
        pytest.param(usage(-1.0), id="negative"),
        pytest.param(usage(1.0, at_s=NOW - 61), id="old"),
        pytest.param(usage(1.0, at_s=NOW + 6), id="from the future"),
        pytest.param(usage(1.0, at_s=math.nan), id="of no time"),
        pytest.param(backlog(1, target_s=0.0), id="no target"),
    ],
)
def test_what_cannot_be_believed_asks_for_nothing_and_says_why(metric):
    proposed = propose(metric, 10, ready=10, now=NOW, policy=POLICY)
    assert proposed.agents is None
    assert "not believed" in proposed.reason


def test_agents_that_do_not_serve_yet_are_not_asked_for_twice():
    assert propose(usage(140.0), 20, ready=10, now=NOW, policy=POLICY).agents == 20


def test_a_metric_that_contradicts_itself_is_not_believed():
    proposals = propose_all([usage(70.0), usage(140.0), backlog(5)], 10, ready=10, now=NOW, policy=POLICY)
    assert [proposal.agents for proposal in proposals] == [None, None, 1]
    assert "contradicts itself" in proposals[0].reason
    agreeing = propose_all([usage(140.0), usage(140.0)], 10, ready=10, now=NOW, policy=POLICY)
    assert [proposal.agents for proposal in agreeing] == [20, 20]


@given(st.floats(), st.floats(), st.floats(), st.integers(0, 1000))
def test_no_measurement_raises_or_asks_for_less_than_nothing(value, target, at_s, agents):
    metrics = (
        Usage(name="u", value=value, target=target, at_s=at_s),
        Backlog(name="b", queued=value, running=target, task_s=value, target_s=target, at_s=at_s),
        Arrivals(name="a", per_s=value, task_s=target, busy_share=value, at_s=at_s),
    )
    for proposed in propose_all(metrics, agents, ready=agents, now=NOW, policy=POLICY):
        assert proposed.agents is None or proposed.agents >= 0


def test_a_demand_that_doubles_panics_and_is_held_for_a_window():
    state = PanicState()
    found = check_panic(state, 10, ready=5, now=0.0)
    assert (found.is_panic, found.agents) == (True, 10)
    found = check_panic(found.state, 3, ready=10, now=30.0)
    assert (found.is_panic, found.agents) == (True, 10)
    found = check_panic(found.state, 3, ready=10, now=60.0)
    assert found.is_panic, "a whole window must have passed"
    found = check_panic(found.state, 3, ready=10, now=60.1)
    assert (found.is_panic, found.agents) == (False, 3)


def test_one_high_sample_among_many_is_no_panic():
    state = PanicState()
    for second in range(6):
        found = check_panic(state, 12 if second == 5 else 5, ready=5, now=float(second))
        state = found.state
    assert not found.is_panic


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50), st.floats(0.1, 40)), max_size=30))
def test_a_panic_never_falls(steps):
    state, now, before = PanicState(), 0.0, None
    for desired, ready, wait_s in steps:
        now += wait_s
        found = check_panic(state, desired, ready=ready, now=now)
        if found.is_panic and before is not None:
            assert found.agents >= before
        before = found.agents if found.is_panic else None
        assert found.agents >= desired
        state = found.state


def test_the_calendar_counts_before_its_window_and_takes_the_highest():
    opening = ScheduledFloor(start_s=3600.0, end_s=7200.0, agents=8, reason="opening")
    figures = ScheduledFloor(start_s=5000.0, end_s=5600.0, agents=12, reason="figures", lead_s=0.0)
    windows = (opening, figures)
    assert floor_at(windows, 1799.0) is None
    assert floor_at(windows, 1800.0) is opening
    assert floor_at(windows, 5000.0) is figures
    assert floor_at(windows, 7200.0) is None
