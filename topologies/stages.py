"""What the stages of a ring's lane do: which agent does which, and what each makes of an item."""

import math
from collections import OrderedDict, deque
from collections.abc import Sequence

from topologies.kinds import STAGE_ORDER, Stage
from topologies.messages import Decision, Item, LaneDone, Task, Tick
from topologies.round import Desk
from topologies.seats import Lane
from topologies.voting import decide

WAITING_MAX = 1024
SEEN_MEMORY = 1024
KEPT_MAX = 8


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


class Way:
    """Who comes next on the ring, the dead passed by, and what was handed on lately."""

    def __init__(self, following: Sequence[str]) -> None:
        self._following = following
        self._dead: set[str] = set()
        self._kept: deque[Item | LaneDone] = deque(maxlen=KEPT_MAX)

    @property
    def next(self) -> str:
        """Name who comes next; nobody when none within reach is alive."""
        return next((agent for agent in self._following if agent not in self._dead), "")

    def is_dead(self, agent: str) -> bool:
        return agent in self._dead

    def keep(self, message: Item | LaneDone) -> None:
        """Remember what is handed on, in case the next dies with it."""
        self._kept.append(message)

    def lose(self, agent: str) -> Sequence[Item | LaneDone]:
        """An agent is dead: return what is to be handed on once more, to the one after it."""
        was_next = self.next == agent
        self._dead.add(agent)
        return tuple(self._kept) if was_next else ()

    def regain(self, agent: str) -> None:
        """An agent is alive again; it is told nothing of what went by."""
        self._dead.discard(agent)


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


def signal(item: Item, lane: Lane, *, up_to: int, desk: Desk) -> Item:
    """Run those tasks of the lane's agents up to a place that nobody has run yet."""
    if item.risk_done:
        return item
    done = {vote.task for vote in item.votes}
    tasks = [
        Task(key=f"{item.tick.round}/{symbol}/{strategy}", symbol=symbol, strategy=strategy)
        for pairs in lane.tasks[: up_to + 1]
        for strategy, symbol in pairs
        if symbol in item.tick.bars
    ]
    votes = desk.work([task for task in tasks if task.key not in done])
    return Item(item.tick, item.lane, False, item.votes + votes, ())


def fuse(item: Item, lane: Lane) -> Item:
    """Make decisions of the votes; one that is not a finite number in its range has no say."""
    if item.risk_done:
        return item
    sound = [vote for vote in item.votes if math.isfinite(vote.target) and abs(vote.target) <= 1.0]
    decisions: tuple[Decision, ...] = tuple(
        decide((vote for vote in sound if vote.symbol == symbol), round=item.tick.round, symbol=symbol)
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
