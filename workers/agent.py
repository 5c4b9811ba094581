"""An assigned worker: it opens its links, plays its seat over them, and leaves in order.

Events come in from links, the control connection and timers; the player (`workers.player`) hands them to the seat's
rules. What is here is the life around that: joining, watching the neighbours, telling how things stand, leaving.
"""

from collections.abc import Mapping
from itertools import count

import anyio

from topologies.detector import CHECKS_PER_HEARTBEAT
from topologies.member import Member
from topologies.messages import Join, Leave, Message
from workers.changes import Changes
from workers.codec import Assign, Connected, FinalAccount, Neighbour, Progress
from workers.desk import StrategyDesk, load_strategies
from workers.host import Host
from workers.link import Link, LinkEnd
from workers.links import Links
from workers.network import Network
from workers.outbox import Outbox
from workers.player import Player
from workers.revision import code_revision
from workers.state import AgentState

PROGRESS_INTERVAL_S = 0.25
HEARTBEAT_EVERY = 4  # progress reports
GOODBYE_DEADLINE_S = 3.0
# Before it is connected an agent has nobody to watch, and a draining one hears goodbyes.
WATCHFUL = (AgentState.READY, AgentState.BUSY)


class Agent:
    """One agent's life from its assignment to its last account."""

    def __init__(self, assign: Assign, *, host: Host, outbox: Outbox) -> None:
        """Take a seat. Raises StrategyError when a strategy cannot be loaded."""
        self.assign = assign
        self.name = assign.seat.agent
        self._host = host
        self._outbox = outbox
        self._desk = StrategyDesk(
            self.name,
            strategies=load_strategies(assign.strategies, host.home),
            history=assign.history,
            rounds_over=assign.rounds_over,
        )
        self._member = Member(
            assign.seat, self._desk, settings=assign.detector, now_s=host.now_s(), rounds_over=assign.rounds_over
        )
        self.player = Player(self._member, send=lambda to, message: self.links.post(to, message), outbox=outbox)
        self._changes = Changes()
        self._greeting = Join(self.name, assign.seat.role, code_revision())
        self.links = Links({neighbour.agent: Link(neighbour, self._end()) for neighbour in assign.neighbours})
        self._joined: set[str] = set()
        self._absent: set[str] = set()  # neighbours without a process, as the coordinator says
        self._scope = anyio.CancelScope()

    async def run(self, network: Network) -> None:
        """Open the links and serve them until cancelled."""
        self.links.post_all(self._greeting)
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.player.timers.run)
                tasks.start_soon(self._announce)
                tasks.start_soon(self._watch)
                tasks.start_soon(self._report)
                seed = f"{self.assign.seed}/{self.name}/{self.assign.generation}"
                headers = link_headers(self.assign, self.name)
                self.links.keep(tasks, network, headers=headers, seed=seed, on_lost=self.player.fail)

    def abandon(self) -> None:
        """Stop at once, without goodbye: this worker has become somebody else."""
        self._scope.cancel()
        self.links.abandon()

    def bury(self, agent: str, generation: int) -> None:
        """A neighbour's process is dead, and nobody is to wait for it."""
        self._absent.add(agent)
        self._joined.discard(agent)
        self.player.act(lambda: self._member.on_death(agent, generation))
        self._changes.note()

    def rewire(self, neighbour: Neighbour) -> None:
        """A neighbour has a new process, elsewhere."""
        self._absent.discard(neighbour.agent)
        self.links.move(neighbour)

    async def leave(self) -> None:
        """Say goodbye to the neighbours, wait until both sides know all, and give the last account."""
        self.player.become(AgentState.DRAINING)
        self.links.post_all(Leave(self.name, self.player.rounds_seen))
        with anyio.move_on_after(GOODBYE_DEADLINE_S):
            await self._changes.wait_until(lambda: self.links.are_finished(but=self._absent))
        self.player.become(AgentState.OFFLINE)
        traffic = self.links.traffic
        self._outbox.post(
            FinalAccount(
                agent=self.name,
                tasks=self._desk.tasks_done,
                task_errors=self._desk.task_errors,
                rss_mb=self._host.rss_mb(),
                edges=traffic.edges(),
                heard=traffic.heard(),
            )
        )

    def _end(self) -> LinkEnd:
        """Describe this end of a link."""
        now_s, member, act = self._host.now_s, self._member, self.player.act
        return LinkEnd(
            agent=self.name,
            generation=self.assign.generation,
            greeting=self._greeting,
            now_s=now_s,
            on_message=self._on_message,
            on_change=self._changes.note,
            on_sign=lambda peer, generation: act(lambda: member.on_sign(peer, generation, now_s=now_s())),
            on_cut=lambda peer: act(lambda: member.on_cut(peer, now_s())),
        )

    def _on_message(self, sender: str, message: Message) -> None:
        if sender not in self.links.senders:
            self.player.fail(f"{self.name} got a {type(message).__name__} from {sender}, from whom no edge leads here")
        elif isinstance(message, Join):
            self._joined.add(message.agent)
        else:
            self.player.on_message(sender, message)

    async def _announce(self) -> None:
        """Tell the coordinator as soon as all links are up and all who send here have joined."""
        await self._changes.wait_until(
            lambda: self.links.are_up(but=self._absent) and self.links.senders <= self._joined | self._absent
        )
        self.player.become(AgentState.READY)
        self.player.act(self._member.start)
        self._outbox.post(Connected(self.name))

    async def _watch(self) -> None:
        """Give signs of life to those who watch this agent, and look for theirs."""
        detector = self._member.detector
        for turn in count():
            if turn % CHECKS_PER_HEARTBEAT == 0:
                self.links.beat(detector.peers)
            if self.player.state in WATCHFUL:
                self.player.act(lambda: self._member.check(self._host.now_s()))
            await anyio.sleep(detector.settings.check_s)

    async def _report(self) -> None:
        """Tell how things stand, at an interval; send heartbeats at a longer one."""
        for beat in count(1):
            self._outbox.post(self._progress())
            if self.player.state is AgentState.BUSY:
                self.player.become(AgentState.READY)  # BUSY means: has worked since the last report
            if beat % HEARTBEAT_EVERY == 0:
                self.links.ping()
            await anyio.sleep(PROGRESS_INTERVAL_S)

    def _progress(self) -> Progress:
        traffic = self.links.traffic
        return Progress(
            agent=self.name,
            state=self.player.state,
            round=self.player.rounds_seen,
            messages_in=traffic.messages_in,
            messages_out=traffic.messages_out,
            tasks=self._desk.tasks_done,
            rtt_ms=traffic.rtt_ms,
        )


def link_headers(assign: Assign, agent: str) -> Mapping[str, str]:
    """Make the headers that show a neighbour who is asking, and that it may."""
    return {"authorization": f"Bearer {assign.token}", "x-swarm-agent": agent}
