"""A round in a hierarchy or a star: work goes down, votes come up, and offices outlive their holders.

An agent is a member of one office, whose holder gives it work, and may hold or stand by for others. It works itself,
or leads those who do; the root or the hub decides. The deputy keeps what its holder has under way (the `standby` of
each Work) and takes it over with the office.
"""

from collections.abc import Sequence

from topologies.distribution import tasks_of_round
from topologies.leading import Leading, VoteMemory, WorkLog
from topologies.messages import Canvass, Claim, Grant, Message, Refusal, Result, Tick, Work
from topologies.offices import OfficeView, Succession
from topologies.round import Action, Desk, Send, Took
from topologies.seats import DelegationSeat, Office, Post


class DelegationRound:
    """A leader's, hub's, worker's or spoke's part in every round."""

    def __init__(self, seat: DelegationSeat, desk: Desk) -> None:
        self._seat = seat
        self._me = seat.agent
        self._desk = desk
        self._dead: set[str] = set()
        self._memory = VoteMemory()
        offices = [seat.member_of, *(post.office for post in seat.posts), *_offices_above(seat.posts)]
        self._views = {office.name: OfficeView(office, self._me, is_dead=self._dead.__contains__) for office in offices}
        self._successions = {name: Succession(view) for name, view in sorted(self._views.items())}
        self._leaders = {
            post.office.name: Leading(post, self._views[post.office.name], distribution=seat.distribution)
            for post in seat.posts
        }
        self._logs = {post.office.name: WorkLog() for post in seat.posts}

    def on_start(self) -> list[Action]:
        appointed = [leader for leader in self._leaders.values() if leader.view.is_held_here and leader.view.seen > 1]
        return [action for leader in appointed for action in _announce(leader, within=self._seat.watches)]

    def on_tick(self, tick: Tick) -> list[Action]:
        for leader in self._leaders.values():
            if leader.post.above is None and leader.view.is_held_here:
                self._desk.feed(tick)
                strategies = sorted({name for branch in leader.post.branches for name in branch.capacity})
                tasks = tasks_of_round(tick.round, tick.symbols, strategies=strategies)
                return self._perform(leader.begin(tick, tasks, requester=""))
        return []

    def on_message(self, sender: str, message: Message) -> list[Action]:
        match message:
            case Work():
                return self._perform(self._on_work(sender, message))
            case Result():
                leader = self._leaders.get(message.office)
                return self._perform(leader.gather(message)) if leader is not None else []
            case Canvass() | Grant() | Claim() | Refusal():
                return self._perform(self._on_office(sender, message))
            case _:
                return []

    def on_timer(self, round: int) -> list[Action]:
        return self._perform([action for leader in self._leaders.values() for action in leader.expire(round)])

    def on_peer(self, peer: str, *, is_alive: bool) -> list[Action]:
        if is_alive:
            self._dead.discard(peer)
        else:
            self._dead.add(peer)
        actions: list[Action] = []
        for succession in self._successions.values():
            actions += succession.consider()
        for leader in self._leaders.values():
            if leader.view.is_held_here:
                actions += leader.on_peer(peer, is_alive=is_alive)
        return self._perform(actions)

    def _on_work(self, sender: str, work: Work) -> list[Action]:
        view = self._views.get(work.office)
        if view is None:
            return []
        if not self._obeys(view, work.token):
            return [Send(sender, Refusal(work.office, view.promised))]
        for tick in (*work.earlier, work.tick):
            self._desk.feed(tick)
            for leader in self._leaders.values():
                leader.branches.saw(tick)
        if work.office in self._logs and sender != self._me:
            self._logs[work.office].follow(work)
        for leader in self._leaders.values():
            above = leader.post.above
            if above is not None and above.name == work.office and leader.view.is_held_here:
                return leader.begin(work.tick, work.tasks, requester=sender)
        votes = self._memory.answer(work.tick.round, work.tasks, desk=self._desk)
        return [Send(sender, Result(work.office, work.tick.round, votes))]

    def _on_office(self, sender: str, message: Canvass | Grant | Claim | Refusal) -> list[Action]:
        succession = self._successions.get(message.office)
        match message:
            case Canvass() if succession is not None:
                return succession.on_canvass(message)
            case Grant() if succession is not None:
                return succession.on_grant(sender, message)
            case Refusal() if succession is not None:
                return succession.on_refusal(message.token)
            case Claim():
                return self._on_claim(sender, message)
        return []

    def _on_claim(self, sender: str, claim: Claim) -> list[Action]:
        for leader in self._leaders.values():
            leader.branches.follow(claim, sender)
        view = self._views.get(claim.office)
        if view is None or self._obeys(view, claim.token):
            return []
        return [Send(sender, Refusal(claim.office, view.promised))]

    def _obeys(self, view: OfficeView, token: int) -> bool:
        """Say whether a token may be obeyed; what was under way in an office that it takes from here is dropped."""
        if not view.accepts(token):
            return False
        own = self._leaders.get(view.office.name)
        if own is not None and not view.is_held_here:
            own.abandon()
        return True

    def _take_over(self, office: str) -> list[Action]:
        """Carry on what the former holder had under way."""
        leader = self._leaders[office]
        actions = _announce(leader, within=self._seat.watches)
        above = leader.post.above
        requester = self._views[above.name].holder if above is not None else ""
        for work in self._logs[office].take():
            actions += leader.begin(work.tick, work.standby, requester=requester)
        return actions

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
                    waiting += reversed(self._take_over(office))
                case _:
                    done.append(action)
        return done


def _offices_above(posts: Sequence[Post]) -> list[Office]:
    return [post.above for post in posts if post.above is not None]


def _announce(leader: Leading, *, within: Sequence[str]) -> list[Action]:
    """Tell all whom it concerns, and whom this agent reaches, who holds an office."""
    above = leader.post.above
    concerned = {
        *leader.post.office.voters,
        *leader.branches.everybody(),
        *(above.holders if above is not None else ()),
    }
    return leader.view.claim(concerned & set(within))
