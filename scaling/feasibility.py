"""What an account and a budget allow of what is wanted: sandboxes at once, sandboxes a second, dollars.

These limits are hard. Whatever the load, the regime or the least number of agents ask for, no plan goes above them;
where a plan falls below the least number because of them, it says so as an alarm. E2B: 20 sandboxes at once and one
a second on the Hobby plan, 100 and five on Pro; a session ends after 1 h and 24 h.
"""

import dataclasses
import math

from scaling.cost import E2B_PRICE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the provider allows."""

    sandboxes_max: int = 100
    """At once."""
    creates_per_s: float = 5.0
    creates_burst: float = 75.0
    """How many one plan may ask for: what can be made in the 15 s until the next, over which they are spread."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent, in US dollars. The default is no limit."""

    hourly_usd: float = math.inf
    """While running."""
    total_usd: float = math.inf
    agent_hour_usd: float = 3600 * E2B_PRICE.per_second_usd(vcpus=2, memory_gib=0.5)
    """One agent for an hour."""
    horizon_s: float = 60.0
    """What is running is paid for this long: until the next plan at the latest."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """How many sandboxes may be made now: a token bucket that fills at the account's rate."""

    left: float
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxes:
    """What there is, what is wanted, and what has been spent."""

    agents: int
    warm: int
    """Made and without work; counted against every limit as if running, though a paused one is free."""
    agents_wanted: int
    warm_wanted: int
    sessions_due: int
    """Agents whose session ends before it can be renewed: each needs a successor beside it."""
    spent_usd: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Feasible:
    """What is allowed of it."""

    agents: int
    warm: int
    rotate: int
    """Successors to make now for sessions that end; they replace agents and are not more."""
    creates: int
    reasons: tuple[str, ...]
    tokens: Tokens

    @property
    def sandboxes(self) -> int:
        """All that would run at once."""
        return self.agents + self.warm + self.rotate


def refill(tokens: Tokens, account: Account, *, now: float) -> Tokens:
    """Return the tokens there are now. A clock that went back adds none."""
    gained = max(0.0, now - tokens.at_s) * account.creates_per_s
    return Tokens(left=min(account.creates_burst, tokens.left + gained), at_s=max(now, tokens.at_s))


def fit(sandboxes: Sandboxes, *, account: Account, budget: Budget, tokens: Tokens) -> Feasible:
    """Cut what is wanted down to what is allowed: agents first, then successors, then the warm pool.

    A scale-up takes warm sandboxes before new ones. Agents that are there count against the limits as well: if
    even they are too many, fewer are allowed.
    """
    most, limit = affordable(account, budget, spent_usd=sandboxes.spent_usd)
    reasons: list[str] = []
    agents = min(sandboxes.agents_wanted, most)
    if agents < sandboxes.agents_wanted:
        reasons.append(f"{sandboxes.agents_wanted} agents cut to {agents}: {limit}")
    startable = math.floor(tokens.left)
    ready_soon = sandboxes.agents + min(sandboxes.warm, most) + startable
    if agents > ready_soon:
        reasons.append(f"{agents} agents cut to {ready_soon}: {startable} sandboxes may be made now")
        agents = ready_soon
    added = max(0, agents - sandboxes.agents)
    from_warm = min(added, sandboxes.warm)
    creates = added - from_warm
    rotate = _least(sandboxes.sessions_due, agents, most - agents, startable - creates)
    if rotate < min(sandboxes.sessions_due, agents):
        reasons.append(f"{rotate} of {sandboxes.sessions_due} sessions that end can be renewed now")
    creates += rotate
    warm_left = sandboxes.warm - from_warm
    warm = _least(sandboxes.warm_wanted, most - agents - rotate, warm_left + startable - creates)
    if warm < sandboxes.warm_wanted:
        reasons.append(f"{warm} of {sandboxes.warm_wanted} warm sandboxes")
    creates += max(0, warm - warm_left)
    return Feasible(
        agents=agents,
        warm=warm,
        rotate=rotate,
        creates=creates,
        reasons=tuple(reasons),
        tokens=dataclasses.replace(tokens, left=tokens.left - creates),
    )


def affordable(account: Account, budget: Budget, *, spent_usd: float) -> tuple[int, str]:
    """Return how many sandboxes may run at once, and which limit says so."""
    left_usd = budget.total_usd - spent_usd
    by_hour = _count(budget.hourly_usd, budget.agent_hour_usd)
    by_total = _count(left_usd, budget.agent_hour_usd * budget.horizon_s / 3600)
    limits = (
        (account.sandboxes_max, f"the account allows {account.sandboxes_max} sandboxes at once"),
        (by_hour, f"${budget.hourly_usd:.2f} an hour pay for {by_hour}"),
        (by_total, f"${max(left_usd, 0.0):.2f} are left, for {by_total} over {budget.horizon_s:.0f} s"),
    )
    return min(limits, key=lambda limit: limit[0])


def _count(amount_usd: float, each_usd: float) -> int:
    if amount_usd <= 0:
        return 0
    exact = amount_usd / each_usd if each_usd > 0 else math.inf
    return math.floor(exact) if exact < 2**31 else 2**31


def _least(*counts: int) -> int:
    return max(0, min(counts))
