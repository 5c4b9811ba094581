"""What a swarm spends, how long its money lasts, and what that allows: at 80 % a warning, at 100 % an end.

Two caps: on all that was ever spent, and on what was spent in the last 60 minutes. Spending is counted from when each
sandbox started and ended, at the price of that time; the account's monthly fee, credit and discounts are not known
here. Pure: the time comes in.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scaling.prices import E2B_PRICES, PriceTable

HOUR_S = 3600.0
ROUNDING_USD = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be spent, in US dollars: in the last hour, and in total. None: no such cap."""

    hour_usd: float | None = None
    total_usd: float | None = None
    warning_share: float = 0.8
    """The share of a cap from which there is a warning."""

    def __post_init__(self) -> None:
        for name, cap in (("hour_usd", self.hour_usd), ("total_usd", self.total_usd)):
            if cap is not None and not (math.isfinite(cap) and cap >= 0):
                raise ValueError(f"{name} is {cap!r}; a cap is a number of dollars of at least 0")
        if not 0 < self.warning_share <= 1:
            raise ValueError(f"warning_share is {self.warning_share!r}; it is above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One sandbox: its size, and from when to when it ran; `ended_at` is None while it does. Pauses end a usage."""

    started_at: datetime
    ended_at: datetime | None
    vcpus: float = 2
    memory_gib: float = 0.5


class BudgetStatus(StrEnum):
    """WARNING: a cap is nearly reached. SPENT: one is; nothing more is created, and what runs is drained."""

    WITHIN = "WITHIN"
    WARNING = "WARNING"
    SPENT = "SPENT"


class Cap(StrEnum):
    """The caps there are."""

    HOUR = "hour"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDecision:
    """Where the budget stands. `cap`: the one that decides `status`, None when it is WITHIN.

    `burn_usd_per_h`: at the present number of sandboxes. `left_s`: until a cap is reached if that number stays; None
    if none ever is.
    """

    status: BudgetStatus
    cap: Cap | None
    spent_total_usd: float
    spent_hour_usd: float
    burn_usd_per_h: float
    left_s: float | None

    @property
    def may_create(self) -> bool:
        return self.status is not BudgetStatus.SPENT

    @property
    def must_drain(self) -> bool:
        return self.status is BudgetStatus.SPENT


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one sandbox's life at one price, in seconds relative to now. `end_s` is None while it runs."""

    start_s: float
    end_s: float | None
    usd_per_s: float

    def spent_usd(self, since_s: float) -> float:
        end_s = 0.0 if self.end_s is None else self.end_s
        return self.usd_per_s * max(0.0, end_s - max(self.start_s, since_s))


def decide(
    budget: Budget, usages: Sequence[Usage], *, now: datetime, prices: PriceTable = E2B_PRICES
) -> BudgetDecision:
    """Say where the budget stands. Usages that begin after `now` count as nothing yet."""
    pieces = [piece for usage in usages for piece in _pieces(usage, prices, now=now)]
    total = math.fsum(piece.spent_usd(-math.inf) for piece in pieces)
    hour = math.fsum(piece.spent_usd(-HOUR_S) for piece in pieces)
    burn = math.fsum(piece.usd_per_s for piece in pieces if piece.end_s is None)
    shares = [(_share(hour, budget.hour_usd), Cap.HOUR), (_share(total, budget.total_usd), Cap.TOTAL)]
    share, cap = max(shares)
    status = BudgetStatus.WITHIN
    if share >= 1.0:
        status = BudgetStatus.SPENT
    elif share >= budget.warning_share:
        status = BudgetStatus.WARNING
    lefts = [_total_left_s(budget.total_usd, total, burn=burn), _hour_left_s(budget.hour_usd, pieces)]
    return BudgetDecision(
        status=status,
        cap=None if status is BudgetStatus.WITHIN else cap,
        spent_total_usd=total,
        spent_hour_usd=hour,
        burn_usd_per_h=burn * HOUR_S,
        left_s=min((left for left in lefts if left is not None), default=None),
    )


def affordable(decision: BudgetDecision, budget: Budget, *, hold_s: float, usd_per_s: float) -> int | None:
    """Count how many more sandboxes of a price the budget carries, if all run for `hold_s` from now; None: any number.

    `hold_s` is the lease: that long they run and cost even if the coordinator dies now.
    """
    burn_usd_per_s = decision.burn_usd_per_h / HOUR_S
    rooms = [
        cap - spent - burn_usd_per_s * hold_s
        for cap, spent in ((budget.hour_usd, decision.spent_hour_usd), (budget.total_usd, decision.spent_total_usd))
        if cap is not None
    ]
    if not rooms or usd_per_s * hold_s == 0:
        return None if decision.may_create else 0
    return max(0, math.floor(min(rooms) / (usd_per_s * hold_s)))


def _pieces(usage: Usage, prices: PriceTable, *, now: datetime) -> Iterator[_Piece]:
    is_running = usage.ended_at is None or usage.ended_at > now
    end = now if usage.ended_at is None or usage.ended_at > now else usage.ended_at
    if usage.started_at > end:
        return
    for early, late, price in prices.periods(usage.started_at, end):
        yield _Piece(
            (early - now) / timedelta(seconds=1),
            None if is_running and late == end else (late - now) / timedelta(seconds=1),
            price.per_second_usd(vcpus=usage.vcpus, memory_gib=usage.memory_gib),
        )


def _share(spent: float, cap: float | None) -> float:
    """Give the share of a cap that is spent; a cap of nothing is spent from the start."""
    if cap is None:
        return 0.0
    return spent / cap if cap > 0 else 1.0


def _total_left_s(cap: float | None, spent: float, *, burn: float) -> float | None:
    if cap is None:
        return None
    if spent >= cap:
        return 0.0
    return (cap - spent) / burn if burn else None


def _hour_left_s(cap: float | None, pieces: Sequence[_Piece]) -> float | None:
    """Find when the spending of the last hour first reaches its cap: a line that bends where a piece begins to leave
    the hour, and where it has left."""
    if cap is None:
        return None
    spent = math.fsum(piece.spent_usd(-HOUR_S) for piece in pieces)
    if spent >= cap:
        return 0.0
    slope = math.fsum(piece.usd_per_s for piece in pieces if piece.end_s is None)
    bends: list[tuple[float, float]] = []
    for piece in pieces:
        bends.append((max(0.0, piece.start_s + HOUR_S), -piece.usd_per_s))
        if piece.end_s is not None:
            bends.append((max(0.0, piece.end_s + HOUR_S), piece.usd_per_s))
    at_s = 0.0
    for bend_s, change in sorted(bends):
        reached_s = at_s + (cap - spent) / slope if slope > ROUNDING_USD / HOUR_S else math.inf
        if reached_s <= bend_s:
            return reached_s
        spent += slope * (bend_s - at_s)
        slope, at_s = slope + change, bend_s
    return None
