"""A round in a ring: a lane's stages - data, signal, risk, execution - hand it on, and lanes close to a ring.

The execution stage of a lane passes `LaneDone` to the next agent of the ring, which is the next lane's data stage (or,
with one lane, its own). A data stage admits round r only when the lane before it has executed round r - in_flight_max:
so no lane runs away from the others, and what waits, waits in one bounded place.

A dead agent is passed by: what was handed to it lately is handed to the one after it, once, and who receives an item
does all that the item still lacks up to its own place in the lane.
"""

import math
from collections import OrderedDict, deque

from topologies.kinds import STAGE_ORDER, Stage
from topologies.messages import Decision, Item, LaneDone, Message, Task, Tick
from topologies.round import Action, Desk, Report, Send
from topologies.seats import RingSeat
from topologies.voting import decide

WAITING_MAX = 1024
KEPT_MAX = 8
SEEN_MEMORY = 1024


class RingOverflow(RuntimeError):
    """More ticks wait at a data stage than it holds."""


class RingRound:
    """One agent's stages of one lane, in every round. Rounds are numbered from 1."""

    def __init__(self, seat: RingSeat, desk: Desk, *, rounds_over: int = 0) -> None:
        """Take a seat when `rounds_over` rounds have been played already."""
        self._seat = seat
        self._me = seat.agent
        self._desk = desk
        self._dead: set[str] = set()
        self._waiting: deque[Tick] = deque()
        self._executed_before = rounds_over  # rounds are executed in order: one number says how far the lane before is
        self._seen: OrderedDict[tuple[int, int, bool], int] = OrderedDict()
        self._kept: deque[Item | LaneDone] = deque(maxlen=KEPT_MAX)

    def on_start(self) -> list[Action]:
        return []

    def on_tick(self, tick: Tick) -> list[Action]:
        if tick.attempt > 1:  # it has been admitted before
            return self._pass(Item(tick=tick, lane=self._seat.lane, risk_done=False, votes=(), decisions=()))
        if len(self._waiting) >= WAITING_MAX:
            raise RingOverflow(f"{WAITING_MAX} ticks wait at {self._me}; round {tick.round} does not fit")
        self._waiting.append(tick)
        return self._admit()

    def on_message(self, sender: str, message: Message) -> list[Action]:
        if isinstance(message, Item):
            return self._finish(message) if self._has_wrapped(sender, message) else self._pass(message)
        if isinstance(message, LaneDone):
            return self._note_executed(message.round)
        return []

    def on_timer(self, round: int, office: str) -> list[Action]:
        return []  # a lane waits for nobody: what comes is passed on, the coordinator holds the deadline

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        if is_alive:
            self._dead.discard(peer)
            return []
        was_next = self._next() == peer
        self._dead.add(peer)
        if not was_next:
            return []
        return [action for message in tuple(self._kept) for action in self._send(message)]

    def on_check(self) -> list[Action]:
        return []

    def duties(self) -> list[str]:
        lanes = self._seat.lanes
        mine = [self._seat.lane] if lanes[self._seat.lane].agents[-1] == self._me else []
        before = (self._seat.lane - 1) % len(lanes)
        if lanes[self._seat.lane].agents[0] == self._me and lanes[before].agents[-1] in self._dead:
            mine.append(before)
        return [f"end of lane {lane}" for lane in mine]

    def _next(self) -> str:
        """Name who comes next, the dead passed by; this agent itself when nobody within reach is alive."""
        return next((agent for agent in self._seat.following if agent not in self._dead), self._me)

    def _hand_on(self, message: Item | LaneDone) -> list[Action]:
        self._kept.append(message)
        return self._send(message)

    def _send(self, message: Item | LaneDone) -> list[Action]:
        to = self._next()
        if to != self._me:
            return [Send(to, message)]
        return self._finish(message) if isinstance(message, Item) else self._note_executed(message.round)

    def _note_executed(self, round: int) -> list[Action]:
        self._executed_before = max(self._executed_before, round)
        return self._admit()

    def _admit(self) -> list[Action]:
        actions: list[Action] = []
        while self._waiting and self._waiting[0].round <= self._executed_before + self._seat.in_flight_max:
            tick = self._waiting.popleft()
            actions += self._pass(Item(tick=tick, lane=self._seat.lane, risk_done=False, votes=(), decisions=()))
        return actions

    def _has_wrapped(self, sender: str, item: Item) -> bool:
        """Say whether an item has come past the end of its lane: whoever should have executed it is dead."""
        agents = self._seat.lanes[item.lane].agents
        return self._me not in agents or (sender in agents and agents.index(sender) >= agents.index(self._me))

    def _is_new(self, item: Item, *, is_end: bool) -> bool:
        """Say whether this is the first time for this attempt at a round, as it passes by or at its end."""
        key = (item.tick.round, item.lane, is_end)
        if self._seen.get(key, 0) >= item.tick.attempt:
            return False
        self._seen[key] = item.tick.attempt
        while len(self._seen) > SEEN_MEMORY:
            self._seen.popitem(last=False)
        return True

    def _pass(self, item: Item) -> list[Action]:
        """Do what an item lacks up to this agent's place, and hand it on."""
        lane = self._seat.lanes[item.lane]
        place = lane.agents.index(self._me)
        stages = stages_for(place, len(lane.agents))
        if Stage.EXECUTION in stages:
            return self._finish(item)
        if not self._is_new(item, is_end=False):
            return []
        self._desk.feed(item.tick)
        item = self._signal(item, up_to=place)
        return self._hand_on(self._risk(item) if Stage.RISK in stages else item)

    def _finish(self, item: Item) -> list[Action]:
        """Do all that is left of a round in a lane, and execute it."""
        if not self._is_new(item, is_end=True):
            return []
        self._desk.feed(item.tick)
        item = self._risk(self._signal(item, up_to=len(self._seat.lanes[item.lane].agents)))
        done = LaneDone(item.tick.round, item.lane)
        report = Report(item.tick.round, item.decisions)
        if item.lane != self._seat.lane:  # done for the lane before: what it would have told is known here
            return [report, *self._note_executed(done.round)]
        return [report, *self._hand_on(done)]

    def _signal(self, item: Item, *, up_to: int) -> Item:
        """Run those tasks of the lane's agents up to a place that nobody has run yet."""
        if item.risk_done:
            return item
        done = {vote.task for vote in item.votes}
        tasks = [
            Task(key=f"{item.tick.round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
            for pairs in self._seat.lanes[item.lane].tasks[: up_to + 1]
            for strategy, symbol in pairs
            if symbol in item.tick.bars
        ]
        votes = self._desk.work([task for task in tasks if task.key not in done])
        return Item(item.tick, item.lane, False, item.votes + votes, ())

    def _risk(self, item: Item) -> Item:
        """Fuse the votes; one that is not a finite number in its range has no say."""
        if item.risk_done:
            return item
        sound = [vote for vote in item.votes if math.isfinite(vote.target) and abs(vote.target) <= 1.0]
        symbols = [symbol for symbol in self._seat.lanes[item.lane].symbols if symbol in item.tick.bars]
        decisions: tuple[Decision, ...] = tuple(
            decide((vote for vote in sound if vote.symbol == symbol), round=item.tick.round, symbol=symbol)
            for symbol in symbols
        )
        return Item(item.tick, item.lane, True, (), decisions)


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
