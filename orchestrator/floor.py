"""The trading floor: takes the market's ticks through the swarm one after the other, and books what was decided.

A decision of one tick is traded at the next tick's price. The floor measures what a user would feel: from a tick sent
to its decisions heard.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from orchestrator.board import Board
from orchestrator.crew import Crew
from orchestrator.journal import Journal
from orchestrator.ledger import RoundLedger
from orchestrator.plan import Plan
from topologies.messages import Tick
from topologies.voting import shares
from trading.market_data import MarketTick
from trading.paper import PaperAccount
from workers.codec import Decided, encode_bar


@dataclass(slots=True)
class Floor:
    """The rounds of one swarm, its decisions and its paper account."""

    plan: Plan
    journal: Journal
    board: Board
    now_s: Callable[[], float]
    ledger: RoundLedger = field(init=False)
    account: PaperAccount = field(init=False)
    _round_over: anyio.Event = field(default_factory=anyio.Event)
    _current: int = 0

    def __post_init__(self) -> None:
        symbols = self.plan.topology.request.symbols
        self.ledger = RoundLedger(symbols=symbols, task_keys=self.plan.topology.task_keys)
        self.account = PaperAccount(symbols)

    def hear(self, account: Decided) -> None:
        """Take decisions as they come."""
        now_s = self.now_s()
        for decision in account.decisions:
            if not self.ledger.report(decision, now_s):
                self.journal.record("decision.repeated", decision.key, agent=account.agent)
        if self.ledger.is_complete(self._current):
            self._round_over.set()

    async def run(self, crew: Crew) -> None:
        """Trade the whole tape. Raises AgentLost."""
        begun_s = anyio.current_time()
        for number, market_tick in enumerate(self.plan.tape.ticks, start=1):
            await anyio.sleep_until(begun_s + (number - 1) * self.plan.spec.pace)
            self._book_fills(market_tick)
            await self._play(number, market_tick, crew=crew)

    async def _play(self, number: int, market_tick: MarketTick, *, crew: Crew) -> None:
        """Play one round: until all its decisions are there, or its deadline."""
        tick = Tick(number, market_tick.time, {symbol: encode_bar(bar) for symbol, bar in market_tick.bars.items()})
        self._current, self._round_over = number, anyio.Event()
        self.ledger.begin(number, self.now_s())
        await crew.start_round(tick)
        with anyio.move_on_after(self.plan.spec.round_deadline):
            await self._round_over.wait()
        if not self.ledger.end(number):
            self.journal.record("round.failed", str(number), deadline_s=self.plan.spec.round_deadline)
        self._book_decisions(number)

    def _book_fills(self, market_tick: MarketTick) -> None:
        for fill in self.account.on_tick(market_tick):
            self.journal.record("trade", fill.symbol, time=fill.time, quantity=fill.quantity, price=fill.price)

    def _book_decisions(self, number: int) -> None:
        made = [decision for decision in self.ledger.recent() if decision.round == number]
        for decision in sorted(made, key=lambda decision: decision.symbol):
            self.journal.record("decision", decision.key, target=decision.target, votes=len(decision.votes))
            self.account.decide(decision.symbol, decision.target, shares=dict(shares(decision)))
        self.board.round = number
        self.board.decisions = len(self.ledger.decisions)
        self.board.trades = self.account.trades
        self.board.pnl = self.account.pnl().total
        self.board.latency_ms = self.ledger.latencies_ms[-1] if self.ledger.latencies_ms else None
