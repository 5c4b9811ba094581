"""The way on from one agent of a ring: who comes next, the dead and the failing passed by. Pure.

Each hop has a circuit breaker: a hand-over has succeeded when the receiver still gives signs of life a little later,
and failed when it is under suspicion then. A hop that fails too often is passed by for a while and tried again with
care. Whoever was passed by is told of the ticks that went past it.
"""

from collections import deque
from collections.abc import Callable, Sequence

from topologies.breaker import BreakerState, CircuitBreaker, Permit
from topologies.messages import Item, LaneDone, Tick

KEPT_MAX = 8
CATCH_UP_TICKS = 64
CHECKS_UNTIL_SETTLED = 4


class Way:
    """`following`: who comes next, nearest first. `is_suspect`: whether somebody is late with its signs of life."""

    def __init__(
        self, following: Sequence[str], *, now_s: Callable[[], float], is_suspect: Callable[[str], bool]
    ) -> None:
        self._following = tuple(following)
        self._now_s = now_s
        self._is_suspect = is_suspect
        self._dead: set[str] = set()
        self._breakers = {agent: CircuitBreaker() for agent in self._following[:-1]}  # past the last there is nobody
        self._under_way: deque[tuple[int, str, Permit]] = deque()  # hand-overs whose outcome is not known yet
        self._checks = 0
        self._kept: deque[Item | LaneDone] = deque(maxlen=KEPT_MAX)
        self._ticks: deque[Tick] = deque(maxlen=CATCH_UP_TICKS)
        self._told = dict.fromkeys(self._following, 0)  # the last round each was told of

    def choose(self) -> str:
        """Name who is to be handed something now; nobody when none within reach is alive."""
        alive = [agent for agent in self._following if agent not in self._dead]
        for agent in alive[:-1]:
            permit = self._breakers[agent].admit(now=self._now_s())
            if permit is not None:
                self._under_way.append((self._checks, agent, permit))
                return agent
        return alive[-1] if alive else ""

    def state(self, agent: str) -> BreakerState:
        """Return the state of the breaker of one hop."""
        return self._breakers[agent].state(now=self._now_s())

    def check(self) -> None:
        """Time has passed: settle the hand-overs of a little while ago."""
        self._checks += 1
        while self._under_way and self._under_way[0][0] <= self._checks - CHECKS_UNTIL_SETTLED:
            _, agent, permit = self._under_way.popleft()
            is_success = agent not in self._dead and not self._is_suspect(agent)
            self._breakers[agent].settle(permit, is_success=is_success, now=self._now_s())

    def tell(self, agent: str, tick: Tick) -> tuple[Tick, ...]:
        """Take note that somebody is told of a tick; return those before it that went past it."""
        if not self._ticks or tick.round > self._ticks[-1].round:
            self._ticks.append(tick)
        told = self._told.get(agent, 0)
        self._told[agent] = max(told, tick.round)
        return tuple(earlier for earlier in self._ticks if told < earlier.round < tick.round)

    def is_dead(self, agent: str) -> bool:
        return agent in self._dead

    def keep(self, message: Item | LaneDone) -> None:
        """Remember what is handed on, in case the next dies with it."""
        self._kept.append(message)

    def lose(self, agent: str) -> Sequence[Item | LaneDone]:
        """An agent is dead: return what is to be handed on once more, to the one after it."""
        was_next = next((other for other in self._following if other not in self._dead), "") == agent
        self._dead.add(agent)
        return tuple(self._kept) if was_next else ()

    def regain(self, agent: str) -> None:
        """An agent is alive again, maybe as another process: what the former did wrong is not held against it."""
        self._dead.discard(agent)
        if agent in self._breakers:
            self._breakers[agent] = CircuitBreaker()
            self._under_way = deque(one for one in self._under_way if one[1] != agent)
