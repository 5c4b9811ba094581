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
        self._pokes = 0

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

    def poke(self) -> list[Action]:
        """Stand for the office, now and then, as long as nobody's right to it is settled.

        A candidacy may miss its majority because members were away; when they are back, nothing else would set the
        vote in motion again. The possible holders take turns, so that they do not outbid each other for ever.
        """
        if self._is_settled or self._me not in self.office.holders:
            self._pokes = 0
            return []
        self._pokes += 1
        turn = self.office.holders.index(self._me) + 1
        return self._canvass() if self._pokes % POKES_BETWEEN == turn * POKES_BETWEEN // 3 else []

    def on_canvass(self, canvass: Canvass) -> list[Action]:
        """React to a candidate: grant, keep it in mind, or tell it that the holder is alive."""
        candidate = holder_of(self.office, canvass.token)
        if self.is_held_here:
            return [Send(candidate, Claim(self.office.name, self.seen))]
        if canvass.token < self._promised:
            return [Send(candidate, Refusal(self.office.name, self._promised))]
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
        """React to a member that has promised a higher token: to be obeyed again takes one above that."""
        if token <= self._promised:
            return []
        was_held_here = self.is_held_here
        self._promised = token
        return self._canvass() if was_held_here else []

    def claim(self, to: Iterable[str]) -> list[Action]:
        """Tell others who holds the office."""
        claim = Claim(self.office.name, self.seen)
        return [Send(agent, claim) for agent in sorted(set(to)) if agent != self._me and not self._is_dead(agent)]

    def _may_grant(self, token: int) -> bool:
        candidate = holder_of(self.office, token)
        has_no_holder = not self._is_settled or self._is_dead(self.holder)
        return token > self._promised and (has_no_holder or self.holder == candidate)

    @property
    def _is_settled(self) -> bool:
        """Whether nobody was promised anything that has not come true."""
        return self._promised == self.seen

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
