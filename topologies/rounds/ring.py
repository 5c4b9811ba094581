"""A round in a ring: a lane's stages - data, signal, risk, execution - hand it on, and lanes close to a ring.

The execution stage of a lane passes `LaneDone` to the next agent of the ring, which is the next lane's data stage (or,
with one lane, its own). A data stage admits round r only when the lane before it has executed round r - in_flight_max:
so no lane runs away from the others, and what waits, waits in one bounded place.

A dead agent is passed by: what was handed to it lately is handed to the one after it, once, and who receives an item
does all that the item still lacks up to its own place in the lane.
"""

from collections.abc import Callable, Sequence

import msgspec

from topologies.kinds import Stage
from topologies.messages import Item, LaneDone, Message, Tick
from topologies.round import Action, Desk, Report, Send
from topologies.seats import RingSeat
from topologies.stages import Gate, Passages, feed_all, fuse, has_wrapped, signal, stages_for
from topologies.way import Way


class RingRound:
    """One agent's stages of one lane, in every round. Rounds are numbered from 1."""

    def __init__(
        self,
        seat: RingSeat,
        desk: Desk,
        *,
        rounds_over: int = 0,
        now_s: Callable[[], float] = lambda: 0.0,
        is_suspect: Callable[[str], bool] = lambda agent: False,
    ) -> None:
        """Take a seat when `rounds_over` rounds have been played already; see `Way` for the clock and suspicions."""
        self._seat = seat
        self._me = seat.agent
        self._desk = desk
        self._way = Way(seat.following, now_s=now_s, is_suspect=is_suspect)
        self._gate = Gate(seat.in_flight_max, rounds_over=rounds_over)
        self._passages = Passages(rounds_over=rounds_over)

    def on_start(self) -> list[Action]:
        return []

    def on_tick(self, tick: Tick) -> list[Action]:
        return self._begin([tick] if tick.attempt > 1 else self._gate.arrive(tick))  # it has been admitted before

    def on_message(self, sender: str, message: Message) -> list[Action]:
        match message:
            case Item(lane=lane) if has_wrapped(self._seat.lanes[lane], self._me, sender=sender):
                return self._finish(message)
            case Item():
                return self._pass(message)
            case LaneDone(round=round):
                return self._begin(self._gate.executed(round))
        return []

    def on_timer(self, round: int, office: str) -> list[Action]:
        return []  # a lane waits for nobody: what comes is passed on, the coordinator holds the deadline

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        if is_alive:
            self._way.regain(peer)
            return []
        return [action for message in self._way.lose(peer) for action in self._hand_on(message, is_first_time=False)]

    def on_check(self) -> list[Action]:
        self._way.check()
        return []

    def duties(self) -> list[str]:
        lanes = self._seat.lanes
        mine = [self._seat.lane] if lanes[self._seat.lane].agents[-1] == self._me else []
        before = (self._seat.lane - 1) % len(lanes)
        if lanes[self._seat.lane].agents[0] == self._me and self._way.is_dead(lanes[before].agents[-1]):
            mine.append(before)
        return [f"end of lane {lane}" for lane in mine]

    def _hand_on(self, message: Item | LaneDone, *, is_first_time: bool = True) -> list[Action]:
        """Hand a message to who comes next; where there is nobody, do what they would have done."""
        if is_first_time:
            self._way.keep(message)
        to = self._way.choose()
        if to and isinstance(message, Item):
            return [Send(to, msgspec.structs.replace(message, earlier=self._way.tell(to, message.tick)))]
        if to:
            return [Send(to, message)]
        return self._finish(message) if isinstance(message, Item) else self._begin(self._gate.executed(message.round))

    def _begin(self, ticks: Sequence[Tick]) -> list[Action]:
        lane = self._seat.lane
        items = [Item(tick=tick, lane=lane, risk_done=False, votes=(), decisions=()) for tick in ticks]
        return [action for item in items for action in self._pass(item)]

    def _pass(self, item: Item) -> list[Action]:
        """Do what an item lacks up to this agent's place, and hand it on."""
        lane = self._seat.lanes[item.lane]
        place = lane.agents.index(self._me)
        stages = stages_for(place, len(lane.agents))
        if Stage.EXECUTION in stages:
            return self._finish(item)
        if not self._passages.is_new(item, is_end=False):
            return []
        feed_all(self._desk, item)
        item = signal(item, lane, up_to=place, desk=self._desk)
        return self._hand_on(fuse(item, lane, charter=self._seat.charter) if Stage.RISK in stages else item)

    def _finish(self, item: Item) -> list[Action]:
        """Do all that is left of a round in a lane, and execute it."""
        if not self._passages.is_new(item, is_end=True):
            return []
        feed_all(self._desk, item)
        lane = self._seat.lanes[item.lane]
        item = fuse(signal(item, lane, up_to=len(lane.agents), desk=self._desk), lane, charter=self._seat.charter)
        report = Report(item.tick.round, item.decisions)
        if item.lane != self._seat.lane:  # done for the lane before: what it would have told is known here
            return [report, *self._begin(self._gate.executed(item.tick.round))]
        return [report, *self._hand_on(LaneDone(item.tick.round, item.lane))]
