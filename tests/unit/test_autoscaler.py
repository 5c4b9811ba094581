"""The pipeline as a whole: the stages by example."""

import math

import pytest

from scaling.actions import ScalingAction
from scaling.autoscaler import AutoscalerPolicy, Decision, Observation, decide
from scaling.demand import Usage
from scaling.feasibility import Account, Budget
from scaling.hpa.behavior import Bounds
from scaling.regimes import Regime, RegimeState
from scaling.schedule import ScheduledFloor

POLICY = AutoscalerPolicy(bounds=Bounds(at_least=2, at_most=40))


def cpu(percent: float, *, at_s: float = 0.0, name: str = "cpu") -> Usage:
    return Usage(name=name, value=percent, target=70.0, at_s=at_s)


def observe(agents: int, *metrics: Usage, now: float = 0.0, **fields) -> Observation:
    return Observation(now=now, agents=agents, ready=fields.pop("ready", agents), metrics=metrics, **fields)


def regime(regime: Regime, *, since_s: float = 0.0) -> RegimeState:
    return RegimeState(regime=regime, since_s=since_s, heard_at_s=since_s, reason="as told")


def first(observation: Observation, policy: AutoscalerPolicy = POLICY) -> Decision:
    return decide(None, observation, policy=policy)


def settled(agents: int, *metrics: Usage, policy: AutoscalerPolicy = POLICY, **fields) -> Decision:
    """Decide after ten quiet minutes, so that no window holds the count."""
    state = first(observe(agents, cpu(70.0)), policy).state
    metrics = tuple(Usage(name=one.name, value=one.value, target=one.target, at_s=600.0) for one in metrics)
    return decide(state, observe(agents, *metrics, now=600.0, **fields), policy=policy)


def test_seed_example_load_takes_a_fleet_from_2_to_10():
    agents, state, now, counts = 2, None, 0.0, []
    for _ in range(12):
        load = 85.0 * 2 / agents * 4  # four times what two agents carry at 85 %
        decision = decide(state, observe(agents, cpu(load, at_s=now), now=now), policy=POLICY)
        agents, state, now = decision.agents, decision.state, now + 15.0
        counts.append(agents)
    assert counts[-1] == 10
    assert max(counts) <= 10 * 1.15
    assert len(set(counts[4:])) == 1, "no thrash"


def test_the_highest_of_several_metrics_counts():
    decision = settled(10, cpu(35.0, name="cpu"), cpu(91.0, name="memory"))
    assert (decision.agents, decision.action) == (13, ScalingAction.SCALE_UP)
    assert "memory" in decision.stages[0].reason


def test_a_quiet_fleet_shrinks_after_the_window_to_its_least():
    assert settled(10, cpu(0.0)).agents == 2
    assert settled(10, cpu(0.0)).action is ScalingAction.SCALE_DOWN


def test_a_lost_state_holds_the_fleet_for_a_window():
    assert first(observe(10, cpu(0.0))).agents == 10


@pytest.mark.parametrize(
    "doubtful",
    [cpu(math.nan, name="memory"), Usage(name="memory", value=1.0, target=70.0, at_s=-900.0)],
    ids=["not a number", "old"],
)
def test_doubt_stops_a_scale_down_and_not_a_scale_up(doubtful):
    state = first(observe(10, cpu(70.0))).state
    down = decide(state, observe(10, cpu(7.0, at_s=600.0), doubtful, now=600.0), policy=POLICY)
    up = decide(state, observe(10, cpu(105.0, at_s=600.0), doubtful, now=600.0), policy=POLICY)
    assert (down.agents, down.action) == (10, ScalingAction.MAINTAIN)
    assert "memory is not believed" in down.reason
    assert up.agents == 15


def test_no_metric_at_all_holds_the_count():
    decision = settled(10)
    assert decision.agents == 10
    assert "no metric" in decision.reason


def test_a_sudden_load_is_met_at_once_beyond_the_rate():
    decision = settled(4, cpu(700.0))
    assert decision.agents == 40
    assert any(stage.name == "panic" and "panic: 40" in stage.reason for stage in decision.stages)


def test_a_regime_lifts_the_floor_and_locks_the_way_down():
    assert settled(2, cpu(70.0), regime=regime(Regime.PANIC)).agents == 4
    locked = settled(10, cpu(0.0), regime=regime(Regime.HIGH))
    assert locked.agents == 10
    assert "no scale-down" in locked.reason
    assert settled(10, cpu(0.0), regime=regime(Regime.HIGH, since_s=-1800.0)).agents == 3, "a lock ends"
    assert settled(2, cpu(70.0), regime=regime(Regime.HIGH)).warm == 1


def test_the_calendar_and_open_positions_are_floors():
    opening = ScheduledFloor(start_s=1200.0, end_s=7200.0, agents=8, reason="opening")
    assert settled(2, cpu(70.0), schedule=(opening,)).agents == 8
    assert settled(10, cpu(0.0), positions_agents=5).agents == 5


def test_bounds_are_met_at_once():
    assert settled(100, cpu(70.0)).agents == 40
    assert settled(0, cpu(0.0)).agents == 2


def test_a_dollar_cap_wins_over_the_least_and_is_an_alarm():
    policy = AutoscalerPolicy(bounds=POLICY.bounds, budget=Budget(total_usd=5.0))
    decision = settled(10, cpu(70.0), policy=policy, spent_usd=5.0, positions_agents=3)
    assert (decision.agents, decision.is_alarm) == (0, True)
    assert "$0.00 are left" in decision.reason
    assert not settled(10, cpu(70.0), spent_usd=5.0).is_alarm


def test_a_silent_ledger_is_taken_to_have_spent_what_ran():
    policy = AutoscalerPolicy(bounds=POLICY.bounds, budget=Budget(total_usd=1.0, agent_hour_usd=1.0))
    state = first(observe(4, cpu(70.0), spent_usd=0.5), policy).state
    later = decide(state, observe(4, cpu(70.0, at_s=600.0), now=600.0, spent_usd=math.nan), policy=policy)
    assert later.state.spent_usd == pytest.approx(0.5 + 4 / 6)
    assert later.agents == 0


def test_a_session_that_ends_gets_a_successor_within_the_account():
    policy = AutoscalerPolicy(bounds=POLICY.bounds, account=Account(sandboxes_max=12))
    decision = settled(10, cpu(70.0), policy=policy, sessions_due=5)
    assert (decision.agents, decision.rotate) == (10, 2)


def test_a_decision_explains_itself_and_can_be_replayed():
    decision = settled(10, cpu(105.0), regime=regime(Regime.ELEVATED))
    assert [stage.name for stage in decision.stages] == [
        "demand",
        "stabilise",
        "rate",
        "regime",
        "calendar",
        "bounds",
        "feasibility",
    ]
    assert all(stage.reason for stage in decision.stages)
    assert decision.explain().count("\n") == 6
    assert decision == settled(10, cpu(105.0), regime=regime(Regime.ELEVATED))


def test_bounds_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="bounds are 5 to 2"):
        AutoscalerPolicy(bounds=Bounds(at_least=5, at_most=2))
