"""The trading floor: takes the market's ticks through the swarm one after the other, and books what was decided.

A decision of one tick is traded at the next tick's price. The floor measures what a user would feel: from a tick sent
to its decisions heard.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import msgspec

from orchestrator.assignments import Assignments
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

# How long a round under way may hold up an agent that is to be let in.
ROUND_END_S = 0.1


@dataclass(slots=True)
class Floor:
    """The rounds of one swarm, its decisions and its paper account. `on_round`: told of each that has begun."""

    plan: Plan
    journal: Journal
    board: Board
    now_s: Callable[[], float]
    assignments: Assignments
    on_round: Callable[[int], None] = lambda number: None
    ledger: RoundLedger = field(init=False)
    account: PaperAccount = field(init=False)
    _crew: Crew | None = None
    _round_over: anyio.Event = field(default_factory=anyio.Event)
    _current: int = 0
    _tick: Tick | None = None
    _attempt: int = 1
    _admissions: int = 0
    _opened: anyio.Event = field(default_factory=anyio.Event)
    _is_asked: anyio.Event = field(default_factory=anyio.Event)
    _ended: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        symbols = self.plan.topology.request.symbols
        self.ledger = RoundLedger(symbols=symbols, task_keys=self.plan.topology.task_keys)
        self.account = PaperAccount(symbols)

    def hear(self, account: Decided) -> None:
        """Take decisions as they come; from who has lost the right to decide, none."""
        now_s = self.now_s()
        if account.office and not self.assignments.offices.took_office(account.office, account.token):
            self.journal.record("decision.refused", account.office, agent=account.agent, token=account.token)
            return
        for decision in account.decisions:
            if not self.ledger.report(decision, now_s):
                self.journal.record("decision.repeated", decision.key, agent=account.agent)
        if self.ledger.is_complete(self._current):
            self._round_over.set()

    async def run(self, crew: Crew) -> None:
        """Trade the whole tape."""
        self._crew = crew
        begun_s = anyio.current_time()
        for number, market_tick in enumerate(self.plan.tape.ticks, start=1):
            await anyio.sleep_until(begun_s + (number - 1) * self.plan.spec.pace)
            while self._admissions:
                await self._opened.wait()
            self._book_fills(market_tick)
            await self._play(number, market_tick)

    async def play_again(self) -> None:
        """Start the round that is under way once more: somebody who had a part in it is gone, or new."""
        if self._tick is not None:
            await self._start_again(self._tick)

    def ask_again(self) -> None:
        """Have the round under way started once more, soon: the office it enters at has a new holder."""
        self._is_asked.set()

    async def _repeat_on_demand(self) -> None:
        while True:
            self._is_asked = anyio.Event()
            await self._is_asked.wait()
            await self.play_again()

    async def _start_again(self, tick: Tick) -> None:
        assert self._crew is not None
        self._attempt += 1
        await self._crew.start_round(msgspec.structs.replace(tick, attempt=self._attempt))

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[int]:
        """Let no round begin, so that an agent can be let in; yields how many rounds are over.

        A round that is under way gets a moment to end. If it does not, it counts as still to be played by whoever is
        let in, and is started once more for its sake.
        """
        if not self._admissions:
            self._opened = anyio.Event()
        self._admissions += 1
        try:
            with anyio.move_on_after(ROUND_END_S):
                while self._tick is not None:
                    await self._ended.wait()
            in_play = self._tick
            yield self._current if in_play is None else self._current - 1
            if in_play is not None:
                await self._start_again(in_play)
        finally:
            self._admissions -= 1
            if not self._admissions:
                self._opened.set()

    async def _play(self, number: int, market_tick: MarketTick) -> None:
        """Play one round: until all its decisions are there, or its deadline."""
        bars = {symbol: encode_bar(bar) for symbol, bar in market_tick.bars.items()}
        self._current, self._round_over, self._ended = number, anyio.Event(), anyio.Event()
        self._attempt = 1
        self._tick = Tick(number, market_tick.time, bars)
        self.ledger.begin(number, self.now_s())
        assert self._crew is not None
        await self._crew.start_round(self._tick)
        self.on_round(number)
        with anyio.move_on_after(self.plan.spec.round_deadline):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._repeat_on_demand)
                await self._round_over.wait()
                tasks.cancel_scope.cancel()
        self._tick = None
        self._ended.set()
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
