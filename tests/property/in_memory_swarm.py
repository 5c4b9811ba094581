"""A swarm without a network: every seat's rules over queues, one for each edge, delivered in any order between them.

Each edge delivers in its own order (a link does), what happens first among the edges is drawn. Timers never fire. An
agent may die at any moment: what it had sent last may be lost, its neighbours find out each in its own time, and the
coordinator buries it, starts the round under way once more, and puts another process in its place between two rounds.
"""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from orchestrator.ledger import RoundLedger
from orchestrator.office_book import OfficeBook
from topologies.messages import Item, Tick, Vote
from topologies.round import MissedTicks, Report, Send, Took
from topologies.rounds import create_round
from topologies.seats import RingSeat

COORDINATOR = ""
BAR = msgspec.Raw(msgspec.msgpack.encode("a bar"))
ACTIONS_MAX = 200_000


def opinion(round, symbol, strategy):
    """Draw a target and a confidence that depend on the round, the symbol and the strategy alone."""
    digest = blake2b(f"{round}/{symbol}/{strategy}".encode(), digest_size=2).digest()
    return (digest[0] % 5 - 2) / 2, digest[1] / 255


class CountingDesk:
    """Runs every task it is given on the windows as they stand, and checks that no tick was left out.

    An opinion is that of the last round fed: a task that is run too late to be right shows in its decision.
    """

    def __init__(self, agent, executed, *, rounds_over=0):
        self._agent = agent
        self._executed = executed
        self._fed = rounds_over

    def feed(self, tick):
        if tick.round > self._fed + 1:
            raise MissedTicks(f"{self._agent} has seen {self._fed}, and is told of {tick.round}")
        self._fed = max(self._fed, tick.round)

    def work(self, tasks):
        self._executed.update(task.key for task in tasks)
        return tuple(
            Vote(task.key, task.symbol, self._agent, task.strategy, *opinion(self._fed, task.symbol, task.strategy))
            for task in tasks
        )


@dataclass(frozen=True)
class Notice:
    """What a neighbour of an agent, or the coordinator, says of one of its processes."""

    peer: str
    generation: int
    is_alive: bool


class InMemorySwarm:
    """Plays rounds. `copies`: how often each message is delivered; `rng` chooses whose turn it is."""

    def __init__(self, topology, rng, *, copies=1):
        self.topology = topology
        self.executed = Counter()
        self.carried = Counter()
        self.decisions = defaultdict(list)  # by key, in the order of their reports
        self.refused = []  # reports under a token that was not the newest
        self.ahead_max = 0  # rounds that a lane was ahead of the lane before it
        self.ledger = RoundLedger(symbols=topology.request.symbols, task_keys=topology.task_keys)
        self.dead = set()
        self._book = OfficeBook(topology)
        self._rng = rng
        self._copies = copies
        self._generations = Counter(topology.agents)
        self._rounds = {agent: self._process(agent, rounds_over=0) for agent in topology.agents}
        self._queues = defaultdict(deque)
        self._noticed = set()
        self._admitted = Counter()
        self._executed_rounds = Counter()
        self._tick = None

    def start(self, round):
        self.ledger.begin(round, 0.0)
        self._send_tick(Tick(round, f"day {round}", dict.fromkeys(self.topology.request.symbols, BAR)))

    def run(self, *, deaths=()):
        """Deliver until nothing is under way; `deaths`: who dies, after how many deliveries."""
        dying = deque(deaths)
        for turn in range(ACTIONS_MAX):
            while dying and dying[0][0] <= turn:
                self.kill(dying.popleft()[1])
            busy = sorted(edge for edge, queue in self._queues.items() if queue)
            if not busy and not dying:
                return
            if busy:
                self._deliver(*self._rng.choice(busy))
        raise AssertionError("the messages never end")

    def kill(self, agent):
        """End an agent's process: of what it sent last some arrives, of what was sent to it nothing more is read."""
        self.dead.add(agent)
        del self._rounds[agent]
        notice = Notice(agent, self._generations[agent], is_alive=False)
        for sender, receiver in list(self._queues):
            if receiver == agent:
                self._queues[sender, receiver].clear()
        for watcher in self._watchers(agent):
            queue = self._queues[agent, watcher]
            for _ in range(self._rng.randint(0, len(queue))):
                queue.pop()
            queue.append(notice)
            self._queues[COORDINATOR, watcher].append(notice)
        self._play_again()

    def revive(self, agent):
        """Put another process in a dead agent's place, between two rounds."""
        self.dead.discard(agent)
        self._generations[agent] += 1
        self._book.appoint(agent)
        machine = self._rounds[agent] = self._process(agent, rounds_over=self.ledger.rounds)
        for other in sorted(self.dead & set(self.topology.seats[agent].watches)):
            self._perform(agent, machine.on_peer(other, is_alive=False))
        for watcher in self._watchers(agent):
            self._queues[agent, watcher].append(Notice(agent, self._generations[agent], is_alive=True))
        self._perform(agent, machine.on_start())

    def _process(self, agent, *, rounds_over):
        desk = CountingDesk(agent, self.executed, rounds_over=rounds_over)
        return create_round(self._book.seat(agent), desk, rounds_over=rounds_over)

    def _watchers(self, agent):
        watches = self.topology.seats[agent].watches  # the watching is mutual
        return [other for other in watches if other not in self.dead]

    def _play_again(self):
        if self._tick is not None and not self.ledger.is_complete(self._tick.round):
            self._send_tick(msgspec.structs.replace(self._tick, attempt=self._tick.attempt + 1))

    def _send_tick(self, tick):
        self._tick = tick
        for entry in self._book.entries(self.dead):
            self._queues[COORDINATOR, entry].append(tick)

    def _deliver(self, sender, receiver):
        message = self._queues[sender, receiver].popleft()
        machine = self._rounds[receiver]
        if isinstance(message, Tick):
            self._perform(receiver, machine.on_tick(message))
        elif isinstance(message, Notice):
            if (receiver, message) not in self._noticed:
                self._noticed.add((receiver, message))
                self._perform(receiver, machine.on_peer(message.peer, is_alive=message.is_alive))
        else:
            for _ in range(self._copies):
                self._perform(receiver, machine.on_message(sender, message))

    def _perform(self, agent, actions):
        for action in actions:
            if isinstance(action, Send):
                assert self.topology.graph.has_edge(agent, action.to), f"{agent} sends off an edge, to {action.to}"
                self.carried[agent, action.to] += 1
                if action.to not in self.dead:
                    self._queues[agent, action.to].append(action.message)
                self._note_admission(agent, action.message)
            elif isinstance(action, Report):
                self._hear(agent, action)
            elif isinstance(action, Took) and self._book.took_office(action.office, action.token):
                self._play_again()

    def _hear(self, agent, report):
        if report.office and not self._book.took_office(report.office, report.token):
            self.refused.append(report)
            return
        for decision in report.decisions:
            self.decisions[decision.key].append(decision)
            self.ledger.report(decision, 0.0)
        self._note_execution(agent, report.round)

    def _note_admission(self, agent, message):
        if isinstance(message, Item) and agent in {entry[0] for entry in self.topology.entries}:
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
