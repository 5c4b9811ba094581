"""The panic window: a demand that doubles within seconds is met at once and not given up soon.

After knative/serving `pkg/autoscaler/scaling/autoscaler.go` (Apache-2.0), at commit 98e5ef90. Demand is averaged over a
stable window of 60 s and a panic window of a tenth of it. When the panic average asks for at least twice what is
ready, the count follows the panic average, is not limited in its rate and never falls, until one whole stable window
has passed without a new reason.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PanicPolicy:
    """Knative's defaults."""

    stable_window_s: float = 60.0
    panic_window_s: float = 6.0
    threshold: float = 2.0
    """Times what is ready."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PanicState:
    """Recent demand, and the panic if there is one."""

    demand: tuple[tuple[float, int], ...] = ()
    """(when, agents asked for), oldest first, of the stable window."""
    triggered_at_s: float | None = None
    """When the last reason was seen; None without a panic."""
    peak: int = 0
    """The most agents since the panic began."""


@dataclasses.dataclass(frozen=True, slots=True)
class Panicked:
    """The count after looking at panic, why, and what to remember."""

    agents: int
    reason: str
    state: PanicState

    @property
    def is_panic(self) -> bool:
        """Whether there is one."""
        return self.state.triggered_at_s is not None


def check_panic(
    state: PanicState, desired: int, *, ready: int, now: float, policy: PanicPolicy | None = None
) -> Panicked:
    """Return the count for a demand of `desired`: the demand itself, or in a panic no less than ever in it."""
    policy = policy or PanicPolicy()
    demand = (*((at, asked) for at, asked in state.demand if now - policy.stable_window_s < at <= now), (now, desired))
    recent = [asked for at, asked in demand if now - at < policy.panic_window_s]
    wanted = math.ceil(sum(recent) / len(recent))
    triggered_at_s = state.triggered_at_s
    if triggered_at_s is not None and now - triggered_at_s > policy.stable_window_s:
        triggered_at_s = None
    if wanted >= policy.threshold * max(ready, 1):
        triggered_at_s = now
    if triggered_at_s is None:
        return Panicked(desired, "no panic", PanicState(demand=demand))
    before = state.peak if state.triggered_at_s is not None else ready
    peak = max(before, desired, wanted)
    reason = f"panic: {wanted} wanted in {policy.panic_window_s:.0f} s with {ready} ready; not below {peak}"
    return Panicked(peak, reason, PanicState(demand=demand, triggered_at_s=triggered_at_s, peak=peak))
