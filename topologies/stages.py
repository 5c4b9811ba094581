"""What the stages of a ring's lane do: which agent does which, and what each makes of an item."""

import math
from collections import OrderedDict, deque

from topologies.charter import Charter
from topologies.conclusion import conclude
from topologies.kinds import STAGE_ORDER, Stage
from topologies.messages import Decision, Item, Task, Tick
from topologies.round import Desk
from topologies.seats import Lane

WAITING_MAX = 1024
SEEN_MEMORY = 1024


class RingOverflow(RuntimeError):
    """More ticks wait at a data stage than it holds."""


class Gate:
    """A data stage's door: a round comes in once the lane before has executed the one `in_flight_max` earlier."""

    def __init__(self, in_flight_max: int, *, rounds_over: int) -> None:
        self._in_flight_max = in_flight_max
        self._executed = rounds_over  # rounds are executed in order: one number says how far the lane before is
        self._waiting: deque[Tick] = deque()

    def arrive(self, tick: Tick) -> list[Tick]:
        """Let a tick wait its turn; return those whose turn it is. Raises RingOverflow."""
        if len(self._waiting) >= WAITING_MAX:
            raise RingOverflow(f"{WAITING_MAX} ticks wait at a data stage; round {tick.round} does not fit")
        self._waiting.append(tick)
        return self._admit()

    def executed(self, round: int) -> list[Tick]:
        """The lane before has executed a round; return the ticks whose turn it is now."""
        self._executed = max(self._executed, round)
        return self._admit()

    def _admit(self) -> list[Tick]:
        admitted: list[Tick] = []
        while self._waiting and self._waiting[0].round <= self._executed + self._in_flight_max:
            admitted.append(self._waiting.popleft())
        return admitted


class Passages:
    """What has come by: each attempt at a round is done once by one agent, whichever way and however often it comes."""

    def __init__(self, *, rounds_over: int) -> None:
        self._rounds_over = rounds_over
        self._attempts: OrderedDict[tuple[int, int, bool], int] = OrderedDict()

    def is_new(self, item: Item, *, is_end: bool) -> bool:
        """Say whether this is the first time for this attempt at a round, as it passes by or at its end."""
        key = (item.tick.round, item.lane, is_end)
        if item.tick.round <= self._rounds_over or self._attempts.get(key, 0) >= item.tick.attempt:
            return False
        self._attempts[key] = item.tick.attempt
        while len(self._attempts) > SEEN_MEMORY:
            self._attempts.popitem(last=False)
        return True


def feed_all(desk: Desk, item: Item) -> None:
    """Take an item's tick into the windows, and before it those that went past this agent."""
    for tick in (*item.earlier, item.tick):
        desk.feed(tick)


def signal(item: Item, lane: Lane, *, up_to: int, desk: Desk) -> Item:
    """Run those tasks of the lane's agents up to a place that nobody has run yet."""
    if item.risk_done:
        return item
    done = {vote.task for vote in item.votes}
    votes = desk.work([task for task in _tasks(item, lane, up_to=up_to) if task.key not in done])
    return Item(item.tick, item.lane, False, item.votes + votes, ())


def _tasks(item: Item, lane: Lane, *, up_to: int) -> list[Task]:
    """List the tasks of a lane's agents up to a place."""
    return [
        Task(key=f"{item.tick.round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
        for pairs in lane.tasks[: up_to + 1]
        for strategy, symbol in pairs
        if symbol in item.tick.bars
    ]


def fuse(item: Item, lane: Lane, *, charter: Charter) -> Item:
    """Make decisions of the votes; one that is not a finite number in its range has no say."""
    if item.risk_done:
        return item
    sound = [vote for vote in item.votes if math.isfinite(vote.target) and abs(vote.target) <= 1.0]
    decisions: tuple[Decision, ...] = tuple(
        conclude(sound, _tasks(item, lane, up_to=len(lane.agents)), tick=item.tick, symbol=symbol, charter=charter)
        for symbol in lane.symbols
        if symbol in item.tick.bars
    )
    return Item(item.tick, item.lane, True, (), decisions)


def has_wrapped(lane: Lane, agent: str, *, sender: str) -> bool:
    """Say whether what an agent got from `sender` is past the end of its lane: who should have executed it is dead."""
    agents = lane.agents
    return agent not in agents or (sender in agents and agents.index(sender) >= agents.index(agent))


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
