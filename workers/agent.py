"""An assigned worker: it drives its seat's state machine over its links.

Events come in from links, the control connection and timers; the state machine answers with actions; this class
carries them out and keeps count. What must not happen - a message off an edge, a failing rule - ends the agent.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count
from typing import assert_never

import anyio

from topologies.detector import CHECKS_PER_HEARTBEAT
from topologies.distribution import UnmatchedCapability
from topologies.member import Member
from topologies.messages import (
    Ballot,
    Canvass,
    Claim,
    Grant,
    Item,
    Join,
    LaneDone,
    Leave,
    Message,
    Refusal,
    Result,
    Tick,
    Work,
)
from topologies.round import Action, MissedTicks, Noticed, Report, Send, SetTimer, Took
from topologies.rounds.ring import RingOverflow
from workers.changes import Changes
from workers.codec import (
    Assign,
    Connected,
    Decided,
    Failed,
    FinalAccount,
    Neighbour,
    PeerNoticed,
    Progress,
    TookOffice,
    WireError,
)
from workers.desk import StrategyDesk, load_strategies
from workers.host import Host
from workers.link import Link, LinkEnd
from workers.links import Links, NoEdge
from workers.network import Network
from workers.outbox import Outbox, OutboxFull
from workers.revision import code_revision
from workers.session import LinkFull
from workers.state import AgentState, can_follow
from workers.timers import Timers

PROGRESS_INTERVAL_S = 0.25
HEARTBEAT_EVERY = 4  # progress reports
GOODBYE_DEADLINE_S = 3.0


# What ends an agent's part: a broken rule or an exhausted bound. The coordinator hears of it.
ROUND_FAILURES = (NoEdge, LinkFull, MissedTicks, OutboxFull, RingOverflow, UnmatchedCapability, WireError)
# Before it is connected an agent has nobody to watch, and a draining one hears goodbyes.
WATCHFUL = (AgentState.READY, AgentState.BUSY)


class Agent:
    """One agent's life from its assignment to its last account."""

    def __init__(self, assign: Assign, *, host: Host, outbox: Outbox) -> None:
        """Take a seat. Raises StrategyError when a strategy cannot be loaded."""
        self.assign = assign
        self.name = assign.seat.agent
        self.state = AgentState.INITIALIZING
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
        self._timers = Timers(lambda round, office: self._react(round, lambda: self._member.on_timer(round, office)))
        self._changes = Changes()
        me = LinkEnd(
            agent=self.name,
            generation=assign.generation,
            greeting=Join(self.name, assign.seat.role, code_revision()),
            now_s=host.now_s,
            on_message=self._on_message,
            on_change=self._changes.note,
            on_sign=lambda peer, generation: self._act(lambda: self._member.on_sign(peer, generation, host.now_s())),
            on_cut=lambda peer: self._act(lambda: self._member.on_cut(peer, host.now_s())),
        )
        self.links = Links({neighbour.agent: Link(neighbour, me) for neighbour in assign.neighbours})
        self._joined: set[str] = set()
        self._absent: set[str] = set()  # neighbours without a process, as the coordinator says
        self.rounds_seen = 0
        self._scope = anyio.CancelScope()

    async def run(self, network: Network) -> None:
        """Open the links and serve them until cancelled."""
        rng = random.Random(f"{self.assign.seed}/{self.name}/{self.assign.generation}")
        self.links.post_all(Join(self.name, self.assign.seat.role, code_revision()))
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._timers.run)
                tasks.start_soon(self._announce)
                tasks.start_soon(self._watch)
                tasks.start_soon(self._report)
                headers = link_headers(self.assign, self.name)
                self.links.keep(tasks, network, headers=headers, rng=rng, on_lost=self.fail)

    def abandon(self) -> None:
        """Stop at once, without goodbye: this worker has become somebody else."""
        self._scope.cancel()
        self.links.abandon()

    def on_tick(self, tick: Tick) -> None:
        """Start a round."""
        self._react(tick.round, lambda: self._member.on_tick(tick))

    def bury(self, agent: str, generation: int) -> None:
        """A neighbour's process is dead, and nobody is to wait for it."""
        self._absent.add(agent)
        self._joined.discard(agent)
        self._act(lambda: self._member.on_death(agent, generation))
        self._changes.note()

    def rewire(self, neighbour: Neighbour) -> None:
        """A neighbour has a new process, elsewhere."""
        self._absent.discard(neighbour.agent)
        self.links.move(neighbour)

    async def leave(self) -> None:
        """Say goodbye to the neighbours, wait until both sides know all, and give the last account."""
        self._become(AgentState.DRAINING)
        self.links.post_all(Leave(self.name, self.rounds_seen))
        with anyio.move_on_after(GOODBYE_DEADLINE_S):
            await self._changes.wait_until(lambda: self.links.are_finished(but=self._absent))
        self._become(AgentState.OFFLINE)
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

    def fail(self, reason: str) -> None:
        """Tell the coordinator that this agent cannot go on."""
        self._become(AgentState.ERROR)
        with suppress(OutboxFull):  # then the coordinator hears nothing any more, and will find that out
            self._outbox.post(Failed(self.name, reason))

    def _on_message(self, sender: str, message: Message) -> None:
        if sender not in self.links.senders:
            self.fail(f"{self.name} got a {type(message).__name__} from {sender}, from whom no edge leads here")
            return
        if isinstance(message, Join):
            self._joined.add(message.agent)
        else:
            self._react(round_of(message), lambda: self._member.on_message(sender, message))

    def _react(self, round: int, event: Callable[[], list[Action]]) -> None:
        self.rounds_seen = max(self.rounds_seen, round)
        if self.state is AgentState.READY and round:
            self._become(AgentState.BUSY)
        self._act(event)

    def _act(self, event: Callable[[], list[Action]]) -> None:
        if self.state is AgentState.ERROR:
            return
        try:
            self._perform(event())
        except ROUND_FAILURES as error:
            self.fail(f"{self.name} failed in round {self.rounds_seen}: {error}")

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(to=to, message=message):
                    self.links.post(to, message)
                case Report(round=number, decisions=decisions, office=office, token=token):
                    self._outbox.post(Decided(self.name, number, decisions, office, token))
                case Took(office=office, token=token):
                    self._outbox.post(TookOffice(self.name, office, token))
                case Noticed(peer=peer, generation=generation, state=state):
                    self._outbox.post(PeerNoticed(self.name, peer, generation, state))
                case SetTimer(round=number, after_s=after_s, office=office):
                    self._timers.set(number, after_s, office)

    async def _announce(self) -> None:
        """Tell the coordinator as soon as all links are up and all who send here have joined."""
        await self._changes.wait_until(
            lambda: self.links.are_up(but=self._absent) and self.links.senders <= self._joined | self._absent
        )
        self._become(AgentState.READY)
        self._act(self._member.start)
        self._outbox.post(Connected(self.name))

    async def _watch(self) -> None:
        """Give signs of life to those who watch this agent, and look for theirs."""
        settings = self._member.detector.settings
        for turn in count():
            if turn % CHECKS_PER_HEARTBEAT == 0:
                self.links.beat(self._member.detector.peers)
            if self.state in WATCHFUL:
                self._act(lambda: self._member.check(self._host.now_s()))
            await anyio.sleep(settings.check_s)

    async def _report(self) -> None:
        """Tell how things stand, at an interval; send heartbeats at a longer one."""
        for beat in count(1):
            self._outbox.post(progress_of(self, tasks=self._desk.tasks_done))
            if self.state is AgentState.BUSY:
                self._become(AgentState.READY)  # BUSY means: has worked since the last report
            if beat % HEARTBEAT_EVERY == 0:
                self.links.ping()
            await anyio.sleep(PROGRESS_INTERVAL_S)

    def _become(self, state: AgentState) -> None:
        if can_follow(self.state, state):
            self.state = state


def progress_of(agent: Agent, *, tasks: int) -> Progress:
    """Say how things stand at an agent that has run so many tasks."""
    traffic = agent.links.traffic
    return Progress(
        agent=agent.name,
        state=agent.state,
        round=agent.rounds_seen,
        messages_in=traffic.messages_in,
        messages_out=traffic.messages_out,
        tasks=tasks,
        rtt_ms=traffic.rtt_ms,
    )


def round_of(message: Message) -> int:
    """Name the round a message belongs to; 0 for those that belong to none."""
    match message:
        case Work(tick=tick) | Item(tick=tick):
            return tick.round
        case Ballot(round=number) | Result(round=number) | LaneDone(round=number):
            return number
        case Join() | Leave() | Canvass() | Grant() | Claim() | Refusal():
            return 0
        case _:
            assert_never(message)


def link_headers(assign: Assign, agent: str) -> Mapping[str, str]:
    """Make the headers that show a neighbour who is asking, and that it may."""
    return {"authorization": f"Bearer {assign.token}", "x-swarm-agent": agent}
