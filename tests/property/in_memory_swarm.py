"""A swarm without a network: every seat's rules over queues, one for each edge, delivered in any order between them.

Each edge delivers in its own order (a link does), what happens first among the edges is drawn. Timers never fire.
"""

from collections import Counter, defaultdict, deque
from hashlib import blake2b

import msgspec

from topologies.messages import Item, Tick, Vote
from topologies.round import Report, Send
from topologies.rounds import create_round
from topologies.seats import RingSeat

COORDINATOR = ""
BAR = msgspec.Raw(msgspec.msgpack.encode("a bar"))
ACTIONS_MAX = 200_000


def opinion(task, symbol, strategy):
    """Draw a target and a confidence that depend on the round, the symbol and the strategy alone."""
    round = task.partition("/")[0]
    digest = blake2b(f"{round}/{symbol}/{strategy}".encode(), digest_size=2).digest()
    return (digest[0] % 5 - 2) / 2, digest[1] / 255


class CountingDesk:
    """Runs every task it is given, and checks that the tick of the task was fed just before."""

    def __init__(self, agent, executed):
        self._agent = agent
        self._executed = executed
        self._fed = 0

    def feed(self, tick):
        self._fed = max(self._fed, tick.round)

    def work(self, tasks):
        assert all(int(task.key.partition("/")[0]) == self._fed for task in tasks)
        self._executed.update(task.key for task in tasks)
        return tuple(
            Vote(task.key, task.symbol, self._agent, task.strategy, *opinion(task.key, task.symbol, task.strategy))
            for task in tasks
        )


class InMemorySwarm:
    """Plays rounds. `copies`: how often each message is delivered; `rng` chooses whose turn it is."""

    def __init__(self, topology, rng, *, copies=1):
        self.topology = topology
        self.executed = Counter()
        self.carried = Counter()
        self.decisions = defaultdict(list)  # by key, in the order of their reports
        self.ahead_max = 0  # rounds that a lane was ahead of the lane before it
        self._rng = rng
        self._copies = copies
        self._rounds = {
            agent: create_round(seat, CountingDesk(agent, self.executed)) for agent, seat in topology.seats.items()
        }
        self._queues = defaultdict(deque)
        self._admitted = Counter()
        self._executed_rounds = Counter()

    def start(self, round):
        tick = Tick(round, f"day {round}", dict.fromkeys(self.topology.request.symbols, BAR))
        for entry in self.topology.entries:
            self._queues[COORDINATOR, entry].append(tick)

    def run(self):
        """Deliver until nothing is under way."""
        for _ in range(ACTIONS_MAX):
            busy = sorted(edge for edge, queue in self._queues.items() if queue)
            if not busy:
                return
            self._deliver(*self._rng.choice(busy))
        raise AssertionError("the messages never end")

    def _deliver(self, sender, receiver):
        message = self._queues[sender, receiver].popleft()
        machine = self._rounds[receiver]
        if isinstance(message, Tick):
            self._perform(receiver, machine.on_tick(message))
            return
        for _ in range(self._copies):
            self._perform(receiver, machine.on_message(sender, message))

    def _perform(self, agent, actions):
        for action in actions:
            if isinstance(action, Send):
                assert self.topology.graph.has_edge(agent, action.to), f"{agent} sends off an edge, to {action.to}"
                self.carried[agent, action.to] += 1
                self._queues[agent, action.to].append(action.message)
                self._note_admission(agent, action.message)
            elif isinstance(action, Report):
                for decision in action.decisions:
                    self.decisions[decision.key].append(decision)
                self._note_execution(agent, action.round)

    def _note_admission(self, agent, message):
        if isinstance(message, Item) and agent in self.topology.entries:
            lane = message.lane
            before = (lane - 1) % len(self.topology.entries)
            self._admitted[lane] = message.tick.round
            self.ahead_max = max(self.ahead_max, self._admitted[lane] - self._executed_rounds[before])

    def _note_execution(self, agent, round):
        seat = self.topology.seats[agent]
        if isinstance(seat, RingSeat):
            self._executed_rounds[seat.lane] = round


def play(topology, rng, *, rounds, copies=1, at_once=False):
    """Play rounds one after the other, as the trading floor does, or all at once."""
    swarm = InMemorySwarm(topology, rng, copies=copies)
    for round in range(1, rounds + 1):
        swarm.start(round)
        if not at_once:
            swarm.run()
    swarm.run()
    return swarm
