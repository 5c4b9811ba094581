"""Every office an agent has to do with: those it may hold, the one it serves under, and those it reports to."""

from collections.abc import Callable, Sequence

from topologies.leading import Leading, WorkLog
from topologies.messages import Canvass, Claim, Grant, Refusal, Work
from topologies.offices import OfficeView, Succession
from topologies.round import Action, Send
from topologies.seats import DelegationSeat
from topologies.sharing import Sharing


class Holding:
    """`leaders`: by office, the leading from each post that this agent may hold, whether it does or not."""

    def __init__(self, seat: DelegationSeat, *, is_dead: Callable[[str], bool], now_s: Callable[[], float]) -> None:
        self._reached = frozenset(seat.watches)
        above = [post.above for post in seat.posts if post.above is not None]
        offices = [seat.member_of, *(post.office for post in seat.posts), *above]
        self._views = {office.name: OfficeView(office, seat.agent, is_dead=is_dead) for office in offices}
        self._successions = {name: Succession(view) for name, view in sorted(self._views.items())}
        self.leaders = {
            post.office.name: Leading(
                post,
                self._views[post.office.name],
                sharing=Sharing(post.branches, seat.distribution, seed=f"{seat.agent}/{post.office.name}", now_s=now_s),
                charter=seat.charter,
            )
            for post in seat.posts
        }
        self._logs = {post.office.name: WorkLog() for post in seat.posts}

    def __contains__(self, office: str) -> bool:
        return office in self._views

    @property
    def held(self) -> Sequence[Leading]:
        """The posts whose office this agent holds now."""
        return [leader for leader in self.leaders.values() if leader.view.is_held_here]

    def confirm(self) -> list[Action]:
        """Tell of the offices that this agent was appointed to: others may have had another holder's token."""
        return [action for leader in self.held if leader.view.seen > 1 for action in self._claim(leader)]

    def consider(self) -> list[Action]:
        """Vote, or stand, as things are since somebody died or came back."""
        return [action for succession in self._successions.values() for action in succession.consider()]

    def poke(self) -> list[Action]:
        """Set a vote in motion again that came to nothing."""
        return [action for name in self.leaders for action in self._successions[name].poke()]

    def on_message(self, sender: str, message: Canvass | Grant | Claim | Refusal) -> list[Action]:
        """Take part in a vote, or take note of its outcome."""
        succession = self._successions.get(message.office)
        match message:
            case Canvass() if succession is not None:
                return succession.on_canvass(message)
            case Grant() if succession is not None:
                return succession.on_grant(sender, message)
            case Refusal() if succession is not None:
                return succession.on_refusal(message.token)
            case Claim():
                for leader in self.leaders.values():
                    leader.branches.follow(message, sender)
                return self.obey(sender, message)
        return []

    def obey(self, sender: str, message: Work | Claim) -> list[Action]:
        """Take note of a token in use, and refuse an older one; what was under way in an office lost is dropped."""
        view = self._views.get(message.office)
        if view is None:
            return []
        if not view.accepts(message.token):
            return [Send(sender, Refusal(message.office, view.promised))]
        own = self.leaders.get(message.office)
        if own is not None and not view.is_held_here:
            own.abandon()
        return []

    def follow(self, work: Work) -> None:
        """Keep what the holder has under way, where this agent stands by for it."""
        if work.office in self._logs:
            self._logs[work.office].follow(work)

    def take_over(self, office: str) -> list[Action]:
        """Carry on what the former holder had under way."""
        leader = self.leaders[office]
        actions = self._claim(leader)
        above = leader.post.above
        requester = self._views[above.name].holder if above is not None else ""
        for work in self._logs[office].take():
            actions += leader.begin(work.tick, work.standby, requester=requester)
        return actions

    def _claim(self, leader: Leading) -> list[Action]:
        """Tell all whom it concerns, and whom this agent reaches, who holds an office."""
        above = leader.post.above
        concerned = {*leader.post.office.voters, *leader.branches.everybody()}
        return leader.view.claim(self._reached & concerned.union(above.holders if above is not None else ()))
