"""How many agents there should be: one pure pipeline from measurements to a count that can be had.

    metrics -> a proposal of each -> the highest -> stabilise -> rate, or panic -> regime -> calendar -> bounds
            -> what the account and the budget allow

The judgement (how many) comes first and the permission (how fast, how dear, when) after it, in the order of
Kubernetes' autoscaler. Every stage says what it made of the count and why. Nothing is remembered but the state that
is handed in and out, so that a decision can be replayed. After a restart, when the state is lost, a fleet does not
shrink for one stabilisation window.
"""

import dataclasses
import math

from scaling.actions import ScalingAction
from scaling.demand import DemandPolicy, Metric, Proposed, propose_all
from scaling.feasibility import Account, Budget, Feasible, Sandboxes, Tokens, fit, refill
from scaling.hpa.behavior import Behavior, Bounds, Changes, Events, limit_rate, store_event
from scaling.hpa.stabilisation import Recommendation, Windows, stabilise
from scaling.panic import PanicPolicy, PanicState, check_panic
from scaling.regimes import RegimeState, regime_effect
from scaling.schedule import ScheduledFloor, floor_at

DEFAULT_DEMAND = DemandPolicy()
DEFAULT_WINDOWS = Windows(up_s=0.0, down_s=60.0)
"""Kubernetes waits 300 s before it shrinks; a sandbox is back in seconds, so that giving one up costs less."""
DEFAULT_BEHAVIOR = Behavior()
DEFAULT_PANIC = PanicPolicy()
DEFAULT_ACCOUNT = Account()
DEFAULT_BUDGET = Budget()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerPolicy:
    """How a fleet is scaled. Raises ValueError when the bounds contradict each other."""

    bounds: Bounds
    demand: DemandPolicy = DEFAULT_DEMAND
    windows: Windows = DEFAULT_WINDOWS
    behavior: Behavior = DEFAULT_BEHAVIOR
    panic: PanicPolicy | None = DEFAULT_PANIC
    """None: no panic window."""
    warm_agents: int = 0
    """Sandboxes to hold ready; a regime may ask for more."""
    account: Account = DEFAULT_ACCOUNT
    budget: Budget = DEFAULT_BUDGET

    def __post_init__(self) -> None:
        if not 0 <= self.bounds.at_least <= self.bounds.at_most:
            raise ValueError(f"bounds are {self.bounds.at_least} to {self.bounds.at_most}; give 0 <= least <= most")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known of a fleet at one time."""

    now: float
    """Seconds on the caller's clock."""
    agents: int
    """How many were asked for."""
    ready: int
    """How many serve."""
    metrics: tuple[Metric, ...]
    warm: int = 0
    regime: RegimeState | None = None
    """None: the market is not watched."""
    schedule: tuple[ScheduledFloor, ...] = ()
    sessions_due: int = 0
    """Agents whose sandbox reaches the end of its session before the next plan but one."""
    spent_usd: float = 0.0
    positions_agents: int = 0
    """How many agents the open positions need."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerState:
    """What a decision leaves for the next one."""

    at_s: float
    history: tuple[Recommendation, ...]
    events: Events
    panic: PanicState
    tokens: Tokens
    spent_usd: float
    sandboxes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """What one stage made of the count, and why."""

    name: str
    before: int
    after: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now."""

    action: ScalingAction
    agents: int
    warm: int
    rotate: int
    """Successors to make for sessions that end."""
    creates: int
    """Sandboxes to make in all."""
    is_alarm: bool
    """Whether the account or the budget holds the fleet below its least number or below what positions need."""
    stages: tuple[Stage, ...]
    state: AutoscalerState

    @property
    def reason(self) -> str:
        """What decided: the last stage that changed the count, else the first."""
        changing = [stage for stage in self.stages if stage.before != stage.after]
        return (changing or list(self.stages))[-1 if changing else 0].reason

    def explain(self) -> str:
        """Tell the way of the count through the stages, one line each."""
        return "\n".join(f"{stage.name}: {stage.before} -> {stage.after}: {stage.reason}" for stage in self.stages)


def decide(state: AutoscalerState | None, observation: Observation, *, policy: AutoscalerPolicy) -> Decision:
    """Decide how many agents there should be. `state` is that of the last decision, None at first and after a loss.

    Raises nothing for any measurement: what cannot be believed holds the count, and is said.
    """
    state = _resume(state, observation, policy=policy)
    stages: list[Stage] = []

    def pass_through(name: str, outcome: tuple[int, str]) -> int:
        stages.append(Stage(name, stages[-1].after if stages else observation.agents, *outcome))
        return outcome[0]

    demand = pass_through("demand", judge_demand(observation, policy))
    stabilised, history = _stabilise(state, demand, observation=observation, policy=policy)
    count = pass_through("stabilise", stabilised)
    panicked = None
    if policy.panic is not None:
        panicked = check_panic(state.panic, demand, ready=observation.ready, now=state.at_s, policy=policy.panic)
    if panicked and panicked.is_panic:
        count = pass_through("panic", (max(count, panicked.agents), panicked.reason))
    else:
        count = pass_through("rate", _limit(state, count, observation=observation, policy=policy))
    count = pass_through("regime", apply_regime(count, observation, agents_min=policy.bounds.at_least))
    count = pass_through("calendar", apply_schedule(count, observation))
    count = pass_through("bounds", apply_bounds(count, policy.bounds))
    feasible = _fit(state, count, observation=observation, policy=policy)
    pass_through("feasibility", (feasible.agents, "; ".join(feasible.reasons) or "within account and budget"))
    state = dataclasses.replace(state, history=history, panic=panicked.state if panicked else PanicState())
    return Decision(
        action=_action(observation.agents, feasible.agents),
        agents=feasible.agents,
        warm=feasible.warm,
        rotate=feasible.rotate,
        creates=feasible.creates,
        is_alarm=feasible.agents < max(policy.bounds.at_least, observation.positions_agents),
        stages=tuple(stages),
        state=_remember(state, observation, policy=policy, feasible=feasible),
    )


def judge_demand(observation: Observation, policy: AutoscalerPolicy) -> tuple[int, str]:
    """Return the highest proposal, and why.

    If a metric cannot be believed and the others would shrink the fleet, the count is held; without any metric that
    can be believed it is held too.
    """
    now, agents = observation.now, observation.agents
    proposals = propose_all(observation.metrics, agents, ready=observation.ready, now=now, policy=policy.demand)
    doubtful = [proposal.reason for proposal in proposals if proposal.agents is None]
    best: Proposed | None = None
    for proposal in proposals:
        if proposal.agents is not None and (best is None or proposal.agents > (best.agents or 0)):
            best = proposal
    if best is None or best.agents is None:
        return agents, f"held: {'; '.join(doubtful) or 'there is no metric'}"
    if doubtful and best.agents < agents:
        return agents, f"held, not down to {best.agents}: {'; '.join(doubtful)}"
    return best.agents, best.reason


def apply_regime(count: int, observation: Observation, *, agents_min: int) -> tuple[int, str]:
    """Raise the count to the regime's floor, and hold it where the regime locks the way down."""
    if observation.regime is None:
        return count, "the market is not watched"
    effect = regime_effect(observation.regime, agents_min, now=observation.now)
    name = observation.regime.regime.name
    if not effect.allows_scale_down and count < observation.agents:
        return max(observation.agents, effect.floor), f"{name}: no scale-down"
    if count < effect.floor:
        return effect.floor, f"{name}: at least {effect.floor}"
    return count, f"{name}: at least {effect.floor}"


def apply_schedule(count: int, observation: Observation) -> tuple[int, str]:
    """Raise the count to the calendar's floor and to what open positions need."""
    floor = floor_at(observation.schedule, observation.now)
    if floor is not None and count < max(floor.agents, observation.positions_agents):
        return max(floor.agents, observation.positions_agents), f"{floor.reason}: at least {floor.agents}"
    if count < observation.positions_agents:
        return observation.positions_agents, f"open positions need {observation.positions_agents}"
    return count, "nothing scheduled" if floor is None else f"{floor.reason}: at least {floor.agents}"


def apply_bounds(count: int, bounds: Bounds) -> tuple[int, str]:
    """Bring the count within the bounds, at once."""
    inside = min(max(count, bounds.at_least), bounds.at_most)
    return inside, f"{bounds.at_least} to {bounds.at_most}"


def _resume(state: AutoscalerState | None, observation: Observation, *, policy: AutoscalerPolicy) -> AutoscalerState:
    """Bring the state up to now, or make a cautious one: the fleet is as it is for a reason nobody remembers."""
    if state is None:
        now = observation.now
        return AutoscalerState(
            at_s=now,
            history=(Recommendation(observation.agents, now),),
            events=Events(),
            panic=PanicState(),
            tokens=Tokens(left=min(policy.account.creates_per_s, policy.account.creates_burst), at_s=now),
            spent_usd=observation.spent_usd if _is_amount(observation.spent_usd) else 0.0,
            sandboxes=observation.agents + observation.warm,
        )
    now = max(state.at_s, observation.now)  # a clock that goes back makes nothing younger
    running_usd = state.sandboxes * policy.budget.agent_hour_usd * (now - state.at_s) / 3600
    # What was spent never shrinks; while the ledger is silent it grows by what was running.
    known = _is_amount(observation.spent_usd)
    spent_usd = max(state.spent_usd, observation.spent_usd) if known else state.spent_usd + running_usd
    tokens = refill(state.tokens, policy.account, now=now)
    return dataclasses.replace(state, at_s=now, spent_usd=spent_usd, tokens=tokens)


def _stabilise(
    state: AutoscalerState,
    desired: int,
    *,
    observation: Observation,
    policy: AutoscalerPolicy,
) -> tuple[tuple[int, str], tuple[Recommendation, ...]]:
    found = stabilise(
        desired, current=observation.agents, history=state.history, now=state.at_s, windows=policy.windows
    )
    if found.replicas == desired:
        return (desired, "as recent proposals"), found.history
    side, window_s = ("high", policy.windows.down_s) if found.replicas > desired else ("low", policy.windows.up_s)
    reason = f"the {side}est proposal of {window_s:.0f} s holds it at {found.replicas}"
    return (found.replicas, reason), found.history


def _limit(
    state: AutoscalerState, desired: int, *, observation: Observation, policy: AutoscalerPolicy
) -> tuple[int, str]:
    changes = Changes(events=state.events, now=state.at_s)
    limited = limit_rate(desired, observation.agents, bounds=policy.bounds, behavior=policy.behavior, changes=changes)
    return limited.replicas, limited.limit.value


def _fit(state: AutoscalerState, count: int, *, observation: Observation, policy: AutoscalerPolicy) -> Feasible:
    warm = policy.warm_agents
    if observation.regime is not None:
        effect = regime_effect(observation.regime, policy.bounds.at_least, now=observation.now)
        warm = max(warm, effect.warm_agents)
    wanted = Sandboxes(
        agents=observation.agents,
        warm=observation.warm,
        agents_wanted=count,
        warm_wanted=warm,
        sessions_due=observation.sessions_due,
        spent_usd=state.spent_usd,
    )
    return fit(wanted, account=policy.account, budget=policy.budget, tokens=state.tokens)


def _remember(
    state: AutoscalerState,
    observation: Observation,
    *,
    policy: AutoscalerPolicy,
    feasible: Feasible,
) -> AutoscalerState:
    change, ups, downs = feasible.agents - observation.agents, state.events.ups, state.events.downs
    if change > 0:
        ups = store_event(ups, change, rules=policy.behavior.up, now=state.at_s)
    elif change < 0:
        downs = store_event(downs, -change, rules=policy.behavior.down, now=state.at_s)
    return dataclasses.replace(
        state, events=Events(ups=ups, downs=downs), tokens=feasible.tokens, sandboxes=feasible.sandboxes
    )


def _action(before: int, after: int) -> ScalingAction:
    if after == before:
        return ScalingAction.MAINTAIN
    return ScalingAction.SCALE_UP if after > before else ScalingAction.SCALE_DOWN


def _is_amount(usd: float) -> bool:
    return math.isfinite(usd) and usd >= 0
