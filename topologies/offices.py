"""Who holds an office: tokens seen and promised, and the vote by which a deputy takes over.

A deputy that takes the holder for dead asks the members (Canvass); a member that does not see the holder alive
promises to follow no older token (Grant); with a majority the deputy holds the office (Claim). Safety does not rest on
the vote: tokens belong to one agent each (`topologies.seats.Office`), members refuse older ones than they promised,
and so does the coordinator before anything takes effect. The vote keeps a deputy that is cut off from taking over.
"""

from collections.abc import Callable, Iterable

from topologies.messages import Canvass, Claim, Grant, Refusal
from topologies.round import Action, Send, Took
from topologies.seats import Office, holder_of, next_token

POKES_BETWEEN = 6


class OfficeView:
    """What one agent knows of one office. `seen`: the highest token in use; `promised`: none below it is obeyed."""

    def __init__(self, office: Office, me: str, *, is_dead: Callable[[str], bool]) -> None:
        self.office = office
        self.me = me
        self.is_dead = is_dead
        self.seen = office.token
        self.promised = office.token

    @property
    def holder(self) -> str:
        return holder_of(self.office, self.seen)

    @property
    def is_settled(self) -> bool:
        """Whether nobody was promised anything that has not come true."""
        return self.promised == self.seen

    @property
    def is_held_here(self) -> bool:
        return self.holder == self.me and self.is_settled

    @property
    def has_majority(self) -> bool:
        """Whether a majority of the group is within reach: a holder without one keeps still, its lease is over."""
        alive = sum(1 for voter in self.office.voters if voter == self.me or not self.is_dead(voter))
        return alive > len(self.office.voters) // 2

    def accepts(self, token: int) -> bool:
        """Take note of a token in use; say whether it may be obeyed."""
        if token < self.promised:
            return False
        self.seen = self.promised = max(self.seen, token)
        return True

    def claim(self, to: Iterable[str]) -> list[Action]:
        """Tell others who holds the office."""
        claim = Claim(self.office.name, self.seen)
        return [Send(agent, claim) for agent in sorted(set(to)) if agent != self.me and not self.is_dead(agent)]


class Succession:
    """One agent's part in the vote on an office: its grants to others, and its own candidacy."""

    def __init__(self, view: OfficeView) -> None:
        self._view = view
        self._candidacy = 0  # the token it stands with; over once one as high is seen
        self._grants: set[str] = set()
        self._asked: Canvass | None = None
        self._pokes = 0

    def consider(self) -> list[Action]:
        """Ask for the office, or grant it to who asked, as things stand now."""
        view = self._view
        actions: list[Action] = []
        if self._asked is not None and self._may_grant(self._asked.token):
            actions += self._grant(self._asked)
        if view.me in view.office.holders and view.holder != view.me and view.is_dead(view.holder):
            actions += self._stand()
        return actions

    def poke(self) -> list[Action]:
        """Stand for the office, now and then, as long as nobody's right to it is settled.

        A candidacy may miss its majority because members were away; when they are back, nothing else would set the
        vote in motion again. The possible holders take turns, so that they do not outbid each other for ever.
        """
        view = self._view
        if view.is_settled or view.me not in view.office.holders:
            self._pokes = 0
            return []
        self._pokes += 1
        turn = view.office.holders.index(view.me) + 1
        return self._stand() if self._pokes % POKES_BETWEEN == turn * POKES_BETWEEN // 3 else []

    def on_canvass(self, canvass: Canvass) -> list[Action]:
        """React to a candidate: grant, keep it in mind, or tell it that the holder is alive."""
        view = self._view
        candidate = holder_of(view.office, canvass.token)
        if view.is_held_here:
            return [Send(candidate, Claim(view.office.name, view.seen))]
        if canvass.token < view.promised:
            return [Send(candidate, Refusal(view.office.name, view.promised))]
        if self._may_grant(canvass.token):
            return self._grant(canvass)
        self._asked = canvass
        return []

    def on_grant(self, sender: str, grant: Grant) -> list[Action]:
        """Count a grant; at the majority take the office."""
        view = self._view
        if grant.token != self._candidacy or self._candidacy <= view.seen or sender not in view.office.voters:
            return []
        self._grants.add(sender)
        if len(self._grants) <= len(view.office.voters) // 2:
            return []
        view.seen = view.promised = grant.token
        return [Took(view.office.name, grant.token)]

    def on_refusal(self, token: int) -> list[Action]:
        """React to a member that has promised a higher token: to be obeyed again takes one above that."""
        view = self._view
        if token <= view.promised:
            return []
        was_held_here = view.is_held_here
        view.promised = token
        return self._stand() if was_held_here else []

    def _may_grant(self, token: int) -> bool:
        view = self._view
        has_no_holder = not view.is_settled or view.is_dead(view.holder)
        return token > view.promised and (has_no_holder or view.holder == holder_of(view.office, token))

    def _grant(self, canvass: Canvass) -> list[Action]:
        self._view.promised, self._asked = canvass.token, None
        return [Send(holder_of(self._view.office, canvass.token), Grant(canvass.office, canvass.token))]

    def _stand(self) -> list[Action]:
        view = self._view
        if view.seen < self._candidacy == view.promised:
            return self._canvass()
        self._candidacy = view.promised = next_token(view.office, view.me, after=max(view.seen, view.promised))
        self._grants = {view.me} & set(view.office.voters)
        if len(self._grants) > len(view.office.voters) // 2:
            return self.on_grant(view.me, Grant(view.office.name, self._candidacy))
        return self._canvass()

    def _canvass(self) -> list[Action]:
        view = self._view
        canvass = Canvass(view.office.name, self._candidacy)
        return [
            Send(voter, canvass)
            for voter in sorted(view.office.voters)
            if voter != view.me and voter not in self._grants and not view.is_dead(voter)
        ]
