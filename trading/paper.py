"""The paper account: what the swarm's decisions would have earned, and which agent earned it.

A decision made on one tick becomes a trade at the open of the next, so nothing trades at a price it has
already seen. A position is held, not rebalanced daily, until the decision changes. Positions are marked to
the last close and never closed out at the end. Quantities are fractional; short sales are free; there is no
interest, margin or slippage.

Every agent has a sub-ledger for its share of each decision. The account's own ledger is kept apart from them,
and the two agree: what the agents earned is what the account earned.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from trading.errors import PaperAccountError
from trading.market_data import MarketTick

SAME = 1e-12
"""Targets and shares that differ by no more are the same decision."""
SHARES_TOLERANCE = 1e-9
"""How far from 1 the sum of the shares may be; they are scaled to 1."""
BASIS_POINT = 1e-4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What the swarm wants to hold of one symbol, and who owns which part of it."""

    symbol: str
    target: float
    """-1 to 1, a share of the capital given to the symbol."""
    shares: dict[str, float]
    """Positive, by agent in alphabetical order, summing to 1; empty when the target is 0."""

    def is_same_as(self, other: "Allocation") -> bool:
        """Whether both want the same, to within 1e-12."""
        return (
            abs(self.target - other.target) <= SAME
            and self.shares.keys() == other.shares.keys()
            and all(abs(share - other.shares[agent]) <= SAME for agent, share in self.shares.items())
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One net order, executed."""

    time: str
    """The time of the tick at whose open it was executed."""
    symbol: str
    quantity: float
    """Units bought, or sold when negative."""
    price: float
    fee: float
    """In the currency of the account; positive."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PnL:
    """Profit and loss since the start, marked to the last close, after fees; in the currency of the account."""

    total: float
    fees: float
    """All fees paid; already taken off `total`."""
    per_agent: dict[str, float]
    """By every agent that ever owned a share, in alphabetical order; sums to `total` within 1e-6."""


@dataclasses.dataclass(slots=True)
class _Ledger:
    """The cash an owner took in minus what it paid out, and the units it holds by symbol."""

    cash: float = 0.0
    quantities: dict[str, float] = dataclasses.field(default_factory=dict)

    def worth(self, closes: Mapping[str, float]) -> float:
        return math.fsum([self.cash, *(units * closes[symbol] for symbol, units in self.quantities.items())])


class PaperAccount:
    """Books decisions against a tape. The capital is split evenly over the symbols and not compounded."""

    def __init__(self, symbols: Sequence[str], capital: float = 100_000.0, *, fee_bps: float = 5.0) -> None:
        """Open an account with `capital` in any currency and a fee in basis points of each order.

        Raises PaperAccountError for no or repeated symbols, capital that is not positive, or a negative fee.
        """
        if not symbols or len(set(symbols)) != len(symbols):
            raise PaperAccountError(f"the symbols are {list(symbols)}; name at least one, and each once")
        if not (math.isfinite(capital) and capital > 0):
            raise PaperAccountError(f"the capital is {capital!r}; it must be positive")
        if not (math.isfinite(fee_bps) and fee_bps >= 0):
            raise PaperAccountError(f"the fee is {fee_bps!r} basis points; it must be 0 or more")
        self.capital = capital
        self.fee_bps = fee_bps
        self._fee_rate = fee_bps * BASIS_POINT
        self._capital_per_symbol = capital / len(symbols)
        self._held = {symbol: Allocation(symbol=symbol, target=0.0, shares={}) for symbol in sorted(symbols)}
        self._pending: dict[str, Allocation] = {}
        self._account = _Ledger()
        self._agents: dict[str, _Ledger] = {}
        self._closes: dict[str, float] = {}
        self._fills: list[Fill] = []

    def decide(self, symbol: str, target: float, *, shares: Mapping[str, float]) -> None:
        """Take the swarm's decision for `symbol`, to be executed at its next bar; the latest decision counts.

        `target` is -1 to 1, a share of the symbol's capital. `shares` says which agent owns which part: not
        negative, summing to 1; with a target of 0 nobody owns anything and they are dropped. A decision that
        is already held trades nothing. Raises PaperAccountError for an unknown symbol or numbers out of
        range.
        """
        if symbol not in self._held:
            raise PaperAccountError(f"a decision for {symbol!r}; the account trades {', '.join(self._held)}")
        decision = _make_decision(symbol, target, shares=shares)
        self._pending.pop(symbol, None)
        if not decision.is_same_as(self._held[symbol]):
            self._pending[symbol] = decision

    def on_tick(self, tick: MarketTick) -> tuple[Fill, ...]:
        """Execute pending decisions at the opens of this tick, then mark at its closes; return what was traded.

        A symbol without a bar keeps its decision and its last close. Raises PaperAccountError, having booked
        nothing, for a price that is not finite and positive.
        """
        bars = {symbol: tick.bars[symbol] for symbol in self._held if symbol in tick.bars}
        for symbol, bar in bars.items():
            if not (math.isfinite(bar.open) and bar.open > 0 and math.isfinite(bar.close) and bar.close > 0):
                raise PaperAccountError(
                    f"{symbol} at {tick.time} opens at {bar.open!r} and closes at {bar.close!r}; prices are positive"
                )
        executed = len(self._fills)
        for symbol, bar in bars.items():
            if symbol in self._pending:
                self._execute(self._pending.pop(symbol), price=bar.open, time=tick.time)
            self._closes[symbol] = bar.close
        return tuple(self._fills[executed:])

    @property
    def pending(self) -> dict[str, Allocation]:
        """Decisions that wait for a bar, by symbol in alphabetical order; those of the last tick stay here."""
        return {symbol: self._pending[symbol] for symbol in sorted(self._pending)}

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All net orders executed, in order."""
        return tuple(self._fills)

    @property
    def trades(self) -> int:
        """How many net orders were executed."""
        return len(self._fills)

    @property
    def equity(self) -> float:
        """The capital and what was earned on it, marked to the last close."""
        return self.capital + self._account.worth(self._closes)

    def quantities(self, agent: str | None = None) -> dict[str, float]:
        """Return the units held by `agent`, or by the whole account, by symbol; 0 for those not held."""
        ledger = self._account if agent is None else self._agents.get(agent, _Ledger())
        return {symbol: ledger.quantities.get(symbol, 0.0) for symbol in self._held}

    def pnl(self) -> PnL:
        """Return what was earned so far, in total and by agent."""
        return PnL(
            total=self._account.worth(self._closes),
            fees=math.fsum(fill.fee for fill in self._fills),
            per_agent={agent: self._agents[agent].worth(self._closes) for agent in sorted(self._agents)},
        )

    def _execute(self, decision: Allocation, *, price: float, time: str) -> None:
        """Bring every agent to its part of the decision; the account trades the net of their changes.

        Where only the owners change, the position stays as it is and changes hands at this price.
        """
        symbol = decision.symbol
        is_same_target = abs(decision.target - self._held[symbol].target) <= SAME
        held = self._account.quantities.get(symbol, 0.0)
        wanted = held if is_same_target else decision.target * self._capital_per_symbol / price
        changes: dict[str, float] = {}
        for agent in sorted({*self._held[symbol].shares, *decision.shares}):
            quantities = self._agents.setdefault(agent, _Ledger()).quantities
            units = wanted * decision.shares.get(agent, 0.0)
            changes[agent] = units - quantities.get(symbol, 0.0)
            quantities[symbol] = units
        net = math.fsum(changes.values())
        moved = math.fsum(abs(change) for change in changes.values())
        if abs(net) <= SAME * moved:  # agents traded among themselves: a transfer, not an order
            net = 0.0
        fee = abs(net) * price * self._fee_rate
        for agent, change in changes.items():
            paid = fee * abs(change) / moved if moved else 0.0
            self._agents[agent].cash -= change * price + paid
        self._account.cash -= net * price + fee
        self._account.quantities[symbol] = math.fsum(
            ledger.quantities.get(symbol, 0.0) for ledger in self._agents.values()
        )
        self._held[symbol] = decision
        if net:
            self._fills.append(Fill(time=time, symbol=symbol, quantity=net, price=price, fee=fee))


def _make_decision(symbol: str, target: float, *, shares: Mapping[str, float]) -> Allocation:
    if not -1.0 <= target <= 1.0:  # also refuses nan
        raise PaperAccountError(f"{symbol}: the target is {target!r}; it must be from -1 to 1")
    for agent, share in shares.items():
        if not 0.0 <= share <= 1.0 + SHARES_TOLERANCE:
            raise PaperAccountError(f"{symbol}: the share of {agent} is {share!r}; it must be from 0 to 1")
    if target == 0.0:
        return Allocation(symbol=symbol, target=0.0, shares={})
    total = math.fsum(shares.values())
    if abs(total - 1.0) > SHARES_TOLERANCE:
        raise PaperAccountError(f"{symbol}: the shares of {len(shares)} agents sum to {total!r}; they must sum to 1")
    owned = {agent: shares[agent] / total for agent in sorted(shares) if shares[agent] > 0.0}
    return Allocation(symbol=symbol, target=target, shares=owned)
