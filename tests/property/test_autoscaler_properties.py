"""Whatever is measured, lost or restarted, no plan leaves the bounds, the account or the budget."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scaling.actions import ScalingAction
from scaling.autoscaler import AutoscalerPolicy, Observation, decide
from scaling.demand import Arrivals, Backlog, Usage
from scaling.feasibility import Account, Budget
from scaling.hpa.behavior import Bounds
from scaling.regimes import Regime, RegimeState
from scaling.schedule import ScheduledFloor

SLACK_USD = 1e-9
anything = st.floats() | st.floats(0, 1000)
ages = st.sampled_from([0.0, 10.0, 61.0, -30.0, float("nan")])
counts = st.integers(0, 60)


class Autoscaling(RuleBasedStateMachine):
    """A fleet under a scaler that may lose its memory, with measurements that may be anything."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.state = None
        self.decision = None
        self.observation = None
        self.spent_usd = 0.0
        self.made: list[tuple[float, int]] = []

    @initialize(
        least=st.integers(0, 10),
        more=st.integers(0, 60),
        sandboxes=st.integers(1, 80),
        hourly=st.floats(0, 10),
        total=st.floats(0, 5),
    )
    def choose(self, least, more, sandboxes, hourly, total):
        self.policy = AutoscalerPolicy(
            bounds=Bounds(at_least=least, at_most=least + more),
            account=Account(sandboxes_max=sandboxes, creates_per_s=1.0, creates_burst=15.0),
            budget=Budget(hourly_usd=hourly, total_usd=total),
            warm_agents=2,
        )
        self.agents, self.warm = min(least, sandboxes), 0

    @rule(
        values=st.lists(st.tuples(anything, anything, ages, st.sampled_from("uba")), max_size=4),
        ready=counts,
        regime=st.none() | st.sampled_from(Regime),
        since_s=st.floats(0, 10_000),
        floor=counts,
        due=counts,
        wait_s=st.sampled_from([0.0, 1.0, 15.0, 60.0, 400.0]),
        ledger_speaks=st.booleans(),
    )
    def plan(self, values, ready, regime, since_s, floor, due, wait_s, ledger_speaks):
        self.now += wait_s
        running = self.agents + self.warm
        self.spent_usd += running * self.policy.budget.agent_hour_usd * wait_s / 3600
        self.observation = Observation(
            now=self.now,
            agents=self.agents,
            ready=ready,
            warm=self.warm,
            metrics=tuple(self.make_metric(*value) for value in values),
            regime=None
            if regime is None
            else RegimeState(regime=regime, since_s=since_s, heard_at_s=0.0, reason="told"),
            schedule=(ScheduledFloor(start_s=self.now, end_s=self.now + 1, agents=floor, reason="a floor"),),
            sessions_due=due,
            spent_usd=self.spent_usd if ledger_speaks else float("nan"),
        )
        self.decision = decide(self.state, self.observation, policy=self.policy)
        self.state = self.decision.state
        self.made.append((self.now, self.decision.creates))
        self.agents, self.warm = self.decision.agents, self.decision.warm

    def make_metric(self, value, other, age_s, kind):
        at_s = self.now - age_s
        if kind == "u":
            return Usage(name=kind, value=value, target=other, at_s=at_s)
        if kind == "b":
            return Backlog(name=kind, queued=value, running=other, task_s=1.0, target_s=5.0, at_s=at_s)
        return Arrivals(name=kind, per_s=value, task_s=other, busy_share=0.7, at_s=at_s)

    @rule()
    def restart(self):
        """Lose the state; what the account allows in a second is then not remembered either."""
        self.state = None
        self.made = []

    @rule(agents=counts)
    def somebody_else_changes_the_fleet(self, agents):
        self.agents = agents

    @invariant()
    def limits_hold(self):
        if self.decision is None:
            return
        decision, policy = self.decision, self.policy
        running = decision.agents + decision.warm + decision.rotate
        hourly_usd = running * policy.budget.agent_hour_usd
        assert 0 <= decision.agents <= policy.bounds.at_most
        assert running <= policy.account.sandboxes_max
        assert hourly_usd <= policy.budget.hourly_usd + SLACK_USD
        left_usd = max(0.0, policy.budget.total_usd - decision.state.spent_usd)
        assert hourly_usd * policy.budget.horizon_s / 3600 <= left_usd + SLACK_USD
        assert decision.agents >= policy.bounds.at_least or decision.is_alarm

    @invariant()
    def sandboxes_are_made_no_faster_than_the_account_allows(self):
        if not self.made:
            return
        account = self.policy.account
        start_s = self.made[0][0]
        elapsed_s = self.now - start_s
        allowed = account.creates_per_s + account.creates_burst + elapsed_s * account.creates_per_s
        assert sum(count for _, count in self.made) <= allowed + 1e-6

    @invariant()
    def the_action_is_what_is_done_and_has_a_reason(self):
        if self.decision is None:
            return
        change = self.decision.agents - self.observation.agents
        expected = ScalingAction.MAINTAIN if change == 0 else None
        expected = expected or (ScalingAction.SCALE_UP if change > 0 else ScalingAction.SCALE_DOWN)
        assert self.decision.action is expected
        assert all(stage.reason for stage in self.decision.stages)

    @invariant()
    def a_fleet_never_shrinks_on_no_belief_but_for_a_limit(self):
        if self.decision is None:
            return
        demand, cut = self.decision.stages[0], self.decision.stages[-2:]
        if demand.reason.startswith("held"):
            before_limits = cut[0].before
            assert before_limits >= self.observation.agents


TestAutoscaling = Autoscaling.TestCase
TestAutoscaling.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
