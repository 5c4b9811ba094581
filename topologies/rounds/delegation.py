"""A round in a hierarchy or a star: work goes down, votes come up, and offices outlive their holders.

An agent is a member of one office, whose holder gives it work, and may hold or stand by for others. It works itself,
or leads those who do; the root or the hub decides. The deputy keeps what its holder has under way (the `standby` of
each Work) and takes it over with the office.
"""

from collections.abc import Callable, Sequence

from topologies.distribution import tasks_of_round
from topologies.holding import Holding
from topologies.leading import VoteMemory
from topologies.messages import Canvass, Claim, Grant, Message, Refusal, Result, Tick, Work
from topologies.round import Action, Desk, Send, Took
from topologies.seats import DelegationSeat


class DelegationRound:
    """A leader's, hub's, worker's or spoke's part in every round."""

    def __init__(self, seat: DelegationSeat, desk: Desk, *, now_s: Callable[[], float] = lambda: 0.0) -> None:
        self._me = seat.agent
        self._desk = desk
        self._dead: set[str] = set()
        self._memory = VoteMemory()
        self._holding = Holding(seat, is_dead=self._dead.__contains__, now_s=now_s)

    def on_start(self) -> list[Action]:
        return self._holding.confirm()

    def on_tick(self, tick: Tick) -> list[Action]:
        for leader in self._holding.held:
            if leader.post.above is None:
                self._desk.feed(tick)
                strategies = sorted({name for branch in leader.post.branches for name in branch.capacity})
                tasks = tasks_of_round(tick.round, tick.symbols, strategies=strategies)
                return self._perform(leader.begin(tick, leader.sharing.invite(tasks), requester=""))
        return []

    def on_message(self, sender: str, message: Message) -> list[Action]:
        match message:
            case Work():
                return self._perform(self._on_work(sender, message))
            case Result():
                leader = self._holding.leaders.get(message.office)
                return self._perform(leader.gather(message)) if leader is not None else []
            case Canvass() | Grant() | Claim() | Refusal():
                return self._perform(self._holding.on_message(sender, message))
            case _:
                return []

    def on_timer(self, round: int, office: str) -> list[Action]:
        return self._perform(self._holding.leaders[office].expire(round))

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        if is_alive:
            self._dead.discard(peer)
        else:
            self._dead.add(peer)
        actions = self._holding.consider()
        for leader in self._holding.held:
            actions += leader.on_peer(peer, is_alive=is_alive)
        return self._perform(actions)

    def on_check(self) -> list[Action]:
        return self._perform(self._holding.poke())

    def duties(self) -> list[str]:
        return [leader.post.office.name for leader in self._holding.held]

    def _on_work(self, sender: str, work: Work) -> list[Action]:
        refusal = self._holding.obey(sender, work)
        if refusal or work.office not in self._holding:
            return refusal
        for tick in (*work.earlier, work.tick):
            self._desk.feed(tick)
            for leader in self._holding.leaders.values():
                leader.branches.saw(tick)
        if sender != self._me:
            self._holding.follow(work)
        for leader in self._holding.held:
            if leader.post.above is not None and leader.post.above.name == work.office:
                return leader.begin(work.tick, work.tasks, requester=sender)
        votes = self._memory.answer(work.tick.round, work.tasks, desk=self._desk)
        return [Send(sender, Result(work.office, work.tick.round, votes))]

    def _perform(self, actions: Sequence[Action]) -> list[Action]:
        """Carry out what an agent sends to itself, and what follows from taking an office."""
        done: list[Action] = []
        waiting = list(reversed(actions))
        while waiting:
            action = waiting.pop()
            match action:
                case Send(to=to, message=message) if to == self._me:
                    waiting += reversed(self.on_message(self._me, message))
                case Took(office=office):
                    done.append(action)
                    waiting += reversed(self._holding.take_over(office))
                case _:
                    done.append(action)
        return done
