"""Who holds an office: tokens seen and promised, and the vote by which a deputy takes over.

A deputy that takes the holder for dead asks the members (Canvass); a member that does not see the holder alive
promises to follow no older token (Grant); with a majority the deputy holds the office (Claim). Safety does not rest on
the vote: tokens belong to one agent each (`topologies.seats.Office`), members refuse older ones than they promised,
and so does the coordinator before anything takes effect. The vote keeps a deputy that is cut off from taking over.
"""

from collections.abc import Callable, Iterable

from topologies.messages import Canvass, Claim, Grant
from topologies.round import Action, Send, Took
from topologies.seats import Office, holder_of, next_token


class OfficeView:
    """What one agent knows of one office, and its own candidacy for it."""

    def __init__(self, office: Office, me: str, is_dead: Callable[[str], bool]) -> None:
        self.office = office
        self._me = me
        self._is_dead = is_dead
        self.seen = office.token
        self._promised = office.token
        self._candidacy = 0
        self._grants: set[str] = set()
        self._asked: Canvass | None = None

    @property
    def holder(self) -> str:
        return holder_of(self.office, self.seen)

    @property
    def is_held_here(self) -> bool:
        return self.holder == self._me and self._promised == self.seen

    @property
    def has_majority(self) -> bool:
        """Whether a majority of the group is within reach: a holder without one keeps still, its lease is over."""
        alive = sum(1 for voter in self.office.voters if voter == self._me or not self._is_dead(voter))
        return alive > len(self.office.voters) // 2

    def accepts(self, token: int) -> bool:
        """Take note of a token in use; say whether it may be obeyed."""
        if token < self._promised:
            return False
        if token > self.seen:
            self.seen = self._promised = token
            self._candidacy = 0
        return True

    @property
    def promised(self) -> int:
        return self._promised

    def consider(self) -> list[Action]:
        """Ask for the office, or grant it to who asked, as things stand now."""
        actions: list[Action] = []
        if self._asked is not None and self._may_grant(self._asked.token):
            actions += self._grant(self._asked)
        if self._me in self.office.holders and self.holder != self._me and self._is_dead(self.holder):
            actions += self._canvass()
        return actions

    def on_canvass(self, canvass: Canvass) -> list[Action]:
        """React to a candidate: grant, keep it in mind, or tell it that the holder is alive."""
        candidate = holder_of(self.office, canvass.token)
        if self.is_held_here or canvass.token <= self.seen:
            return [Send(candidate, Claim(self.office.name, self.seen))] if self.is_held_here else []
        if self._may_grant(canvass.token):
            return self._grant(canvass)
        self._asked = canvass
        return []

    def on_grant(self, sender: str, grant: Grant) -> list[Action]:
        """Count a grant; at the majority take the office."""
        if grant.token != self._candidacy or sender not in self.office.voters:
            return []
        self._grants.add(sender)
        if len(self._grants) <= len(self.office.voters) // 2:
            return []
        self.seen = self._promised = grant.token
        self._candidacy = 0
        return [Took(self.office.name, grant.token)]

    def on_refusal(self, token: int) -> list[Action]:
        """React to a member that has promised a higher token: stand for the office anew, above it."""
        if token <= self._promised or not self.is_held_here:
            return []
        self._promised = token
        return self._canvass()

    def claim(self, to: Iterable[str]) -> list[Action]:
        """Tell others who holds the office."""
        claim = Claim(self.office.name, self.seen)
        return [Send(agent, claim) for agent in sorted(set(to)) if agent != self._me and not self._is_dead(agent)]

    def _may_grant(self, token: int) -> bool:
        candidate = holder_of(self.office, token)
        return token > self._promised and (self._is_dead(self.holder) or self.holder == candidate)

    def _grant(self, canvass: Canvass) -> list[Action]:
        self._promised, self._asked = canvass.token, None
        return [Send(holder_of(self.office, canvass.token), Grant(self.office.name, canvass.token))]

    def _canvass(self) -> list[Action]:
        if self._candidacy and self._candidacy == self._promised:
            return self._ask(self._candidacy)
        self._candidacy = next_token(self.office, self._me, max(self.seen, self._promised))
        self._promised = self._candidacy
        self._grants = {self._me} if self._me in self.office.voters else set()
        if len(self._grants) > len(self.office.voters) // 2:
            return self.on_grant(self._me, Grant(self.office.name, self._candidacy))
        return self._ask(self._candidacy)

    def _ask(self, token: int) -> list[Action]:
        canvass = Canvass(self.office.name, token)
        return [
            Send(voter, canvass)
            for voter in sorted(self.office.voters)
            if voter != self._me and voter not in self._grants and not self._is_dead(voter)
        ]
