"""A round in a ring: a lane's stages - data, signal, risk, execution - hand it on, and lanes close to a ring.

The execution stage of a lane passes `LaneDone` to the next agent of the ring, which is the next lane's data stage (or,
with one lane, its own). A data stage admits round r only when the lane before it has executed round r - in_flight_max:
so no lane runs away from the others, and what waits, waits in one bounded place.
"""

import math
from collections import deque

from topologies.kinds import STAGE_ORDER, Stage
from topologies.messages import Decision, Item, LaneDone, Message, Task, Tick
from topologies.round import Action, Desk, Report, Send
from topologies.seats import RingSeat
from topologies.voting import decide

WAITING_MAX = 1024


class RingOverflow(RuntimeError):
    """More ticks wait at a data stage than it holds."""


class RingRound:
    """One agent's stages of one lane, in every round. Rounds are numbered from 1."""

    def __init__(self, seat: RingSeat, desk: Desk) -> None:
        self._seat = seat
        self._desk = desk
        self._waiting: deque[Tick] = deque()
        self._executed_before = 0  # rounds are executed in order: one number says how far the lane before is

    def on_tick(self, tick: Tick) -> list[Action]:
        if len(self._waiting) >= WAITING_MAX:
            raise RingOverflow(f"{WAITING_MAX} ticks wait at {self._seat.agent}; round {tick.round} does not fit")
        self._waiting.append(tick)
        return self._admit()

    def on_message(self, sender: str, message: Message) -> list[Action]:
        if isinstance(message, Item):
            return self._pass(message)
        if isinstance(message, LaneDone):
            self._executed_before = max(self._executed_before, message.round)
            return self._admit()
        return []

    def on_timer(self, round: int) -> list[Action]:
        return []  # a lane waits for nobody: what comes is passed on, the coordinator holds the deadline

    def _admit(self) -> list[Action]:
        actions: list[Action] = []
        while self._waiting and self._waiting[0].round <= self._executed_before + self._seat.in_flight_max:
            tick = self._waiting.popleft()
            actions += self._pass(Item(tick=tick, lane=self._seat.lane, votes=(), decisions=()))
        return actions

    def _pass(self, item: Item) -> list[Action]:
        """Do this agent's stages on an item, in order, and hand it on."""
        self._desk.feed(item.tick)
        for stage in self._seat.stages:
            match stage:
                case Stage.DATA:
                    pass  # the tick was fed and admitted
                case Stage.SIGNAL:
                    item = self._signal(item)
                case Stage.RISK:
                    item = self._risk(item)
                case Stage.EXECUTION:
                    return [
                        Report(item.tick.round, item.decisions),
                        Send(self._seat.following, LaneDone(item.tick.round, item.lane)),
                    ]
        return [Send(self._seat.following, item)]

    def _signal(self, item: Item) -> Item:
        tasks = [
            Task(key=f"{item.tick.round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
            for strategy, symbol in self._seat.tasks
            if symbol in item.tick.bars
        ]
        votes = self._desk.work(tasks)
        return Item(tick=item.tick, lane=item.lane, votes=item.votes + votes, decisions=())

    def _risk(self, item: Item) -> Item:
        """Fuse the votes; one that is not a finite number in its range has no say."""
        sound = [vote for vote in item.votes if math.isfinite(vote.target) and abs(vote.target) <= 1.0]
        symbols = [symbol for symbol in self._seat.symbols if symbol in item.tick.bars]
        decisions: tuple[Decision, ...] = tuple(
            decide((vote for vote in sound if vote.symbol == symbol), round=item.tick.round, symbol=symbol)
            for symbol in symbols
        )
        return Item(tick=item.tick, lane=item.lane, votes=(), decisions=decisions)


def stages_for(position: int, agents: int) -> tuple[Stage, ...]:
    """Say which stages the agent at `position` of a lane of `agents` does.

    Up to four agents share the four stages in order; with more, the additional ones are signal stages.
    """
    if agents >= len(STAGE_ORDER):
        last_signal = agents - 3
        if position == 0:
            return (Stage.DATA,)
        if position <= last_signal:
            return (Stage.SIGNAL,)
        return (Stage.RISK,) if position == agents - 2 else (Stage.EXECUTION,)
    bounds = {1: (0, 4), 2: (0, 2, 4), 3: (0, 1, 2, 4)}[agents]
    return STAGE_ORDER[bounds[position] : bounds[position + 1]]
