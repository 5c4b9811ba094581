"""Policies to replay beside each other: ours, Kubernetes' autoscaler, one like Knative's, and the first design's rule.

Each sees the same `View`. Bounds are the same for all, so that what is compared is judgement.
"""

import dataclasses
import math

from scaling.autoscaler import AutoscalerPolicy, AutoscalerState, Observation, decide
from scaling.demand import Arrivals, Backlog, Usage
from scaling.hpa.behavior import Behavior, Bounds, Changes, Events, limit_rate, store_event
from scaling.hpa.calculator import Tolerance
from scaling.hpa.stabilisation import Recommendation, Windows, stabilise
from scaling.regimes import Quote, RegimeState, first_regime, next_regime
from scaling.replay import Planned, View

CPU_TARGET_PERCENT = 70.0
BUSY_SHARE = 0.8
"""Ours knows what comes and need not leave as much room for what it does not know."""
BACKLOG_TARGET_S = 2.0
"""Within how many seconds what waits should be done: the objective of the replay."""


class Ours:
    """The pipeline of `scaling.autoscaler`: usage, backlog and arrivals, panic window, regime."""

    interval_s = 2.0

    def __init__(self, bounds: Bounds) -> None:
        self.policy = AutoscalerPolicy(bounds=bounds)
        self.state: AutoscalerState | None = None
        self.regime: RegimeState | None = None

    def plan(self, view: View) -> Planned:
        """Decide as in operation."""
        decision = decide(self.state, self.observe(view), policy=self.policy)
        self.state = decision.state
        return Planned(decision.agents, decision.warm)

    def observe(self, view: View) -> Observation:
        """Put what is seen into metrics and the regime."""
        at_s, task_s = view.now, view.task_s
        if view.volatility_percent is not None:
            quote = Quote(volatility_percent=view.volatility_percent, at_s=view.now)
            self.regime = next_regime(self.regime or first_regime(view.now), quote, now=view.now)
        return Observation(
            now=view.now,
            agents=view.agents,
            ready=view.ready,
            warm=view.warm,
            metrics=(
                Usage(name="busy", value=view.busy_percent, target=100.0 * BUSY_SHARE, at_s=at_s),
                Backlog(
                    name="backlog",
                    queued=view.queued,
                    running=view.running,
                    task_s=task_s,
                    target_s=BACKLOG_TARGET_S,
                    at_s=at_s,
                ),
                Arrivals(name="arrivals", per_s=view.tasks_per_s, task_s=task_s, busy_share=BUSY_SHARE, at_s=at_s),
            ),
            regime=self.regime,
        )


class PlainHpa:
    """Kubernetes' autoscaler on CPU at 70 % with its defaults."""

    interval_s = 15.0

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.history: tuple[Recommendation, ...] = ()
        self.events = Events()
        self.behavior = Behavior()

    def plan(self, view: View) -> Planned:
        """Scale by the ratio of usage to target, stabilise, limit the rate."""
        ratio = math.floor(view.busy_percent) / CPU_TARGET_PERCENT
        desired = view.agents if Tolerance().holds(ratio) else math.ceil(ratio * view.ready)
        found = stabilise(desired, current=view.agents, history=self.history, now=view.now, windows=Windows())
        self.history = found.history
        changes = Changes(events=self.events, now=view.now)
        limited = limit_rate(
            found.replicas, view.agents, bounds=self.bounds, behavior=self.behavior, changes=changes
        ).replicas
        agents = min(max(limited, self.bounds.at_least), self.bounds.at_most)
        self.remember(agents - view.agents, view.now)
        return Planned(agents)

    def remember(self, change: int, now: float) -> None:
        """Store a change for the rate of the next one."""
        if change > 0:
            ups = store_event(self.events.ups, change, rules=self.behavior.up, now=now)
            self.events = dataclasses.replace(self.events, ups=ups)
        elif change < 0:
            downs = store_event(self.events.downs, -change, rules=self.behavior.down, now=now)
            self.events = dataclasses.replace(self.events, downs=downs)


class KnativeLike:
    """Knative's autoscaler on concurrency, one task an agent at 70 %, with its defaults.

    After knative/serving `pkg/autoscaler/scaling/autoscaler.go`, at commit 98e5ef90: averages of 60 s and 6 s, panic
    from twice what is ready, never down in a panic, down by half at most.
    """

    interval_s = 2.0
    stable_s, panic_s = 60.0, 6.0
    target = 0.7
    panic_threshold, scale_down_rate_max, scale_up_rate_max = 2.0, 2.0, 1000.0

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.samples: list[tuple[float, float]] = []
        self.panic_at_s: float | None = None
        self.panic_agents = 0

    def plan(self, view: View) -> Planned:
        """Scale by the average concurrency; in a panic by that of the last seconds."""
        now, ready = view.now, max(view.ready, 1)
        self.samples = [(at, value) for at, value in self.samples if at > now - self.stable_s]
        self.samples.append((now, view.queued + view.running))
        least, most = math.floor(ready / self.scale_down_rate_max), math.ceil(self.scale_up_rate_max * ready)
        stable = min(max(self.wanted(now, self.stable_s), least), most)
        wanted = self.wanted(now, self.panic_s)
        panic = min(max(wanted, least), most)
        if wanted / ready >= self.panic_threshold:
            self.panic_at_s = now
        elif self.panic_at_s is not None and now - self.panic_at_s > self.stable_s:
            self.panic_at_s, self.panic_agents = None, 0
        agents = stable
        if self.panic_at_s is not None:
            self.panic_agents = agents = max(self.panic_agents, stable, panic, view.ready)
        return Planned(min(max(agents, self.bounds.at_least), self.bounds.at_most))

    def wanted(self, now: float, window_s: float) -> int:
        """Return what the average of a window asks for."""
        values = [value for at, value in self.samples if at > now - window_s]
        return math.ceil(sum(values) / len(values) / self.target)


class FirstDesign:
    """The first design's monitor: one more above 80 % CPU, one fewer below 30 %, a minute between changes.

    Volatility above 0.7 adds one and above 0.8 two, and a fleet shrinks below 0.3 only; taken as the VIX in hundredths.
    The original compared percent with shares, so that it always grew; here the units agree.
    """

    interval_s = 5.0
    cooldown_s = 60.0

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.changed_at_s = -math.inf

    def plan(self, view: View) -> Planned:
        """Add or take away one, and more by volatility."""
        volatility = (view.volatility_percent or 0.0) / 100.0
        change = 0
        if view.now - self.changed_at_s >= self.cooldown_s:
            extra = 2 if volatility > 0.8 else int(volatility > 0.7)
            if view.busy_percent > 80.0 or extra:
                change = (1 if view.busy_percent > 80.0 else 0) + extra
            elif view.busy_percent < 30.0 and volatility < 0.3:
                change = -1
        agents = min(max(view.agents + change, self.bounds.at_least), self.bounds.at_most)
        if agents != view.agents:
            self.changed_at_s = view.now
        return Planned(agents)
