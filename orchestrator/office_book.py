"""The coordinator's book of offices: the highest token seen of each. Pure.

By it an effect of an older token is refused (fencing), a replaced agent learns who leads now, and a tick finds the
agent at which it enters.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import msgspec

from topologies.layouts import Topology
from topologies.seats import Branch, DelegationSeat, Office, Post, Seat, holder_of, next_token


@dataclass(slots=True)
class OfficeBook:
    """Tokens by the name of the office; one that is not in it has its first."""

    topology: Topology
    tokens: dict[str, int] = field(default_factory=dict)

    def took_office(self, office: str, token: int) -> bool:
        """Take note of a token in use; False when a newer one is known: whoever shows it has no right any more."""
        if token < self.tokens.get(office, 1):
            return False
        self.tokens[office] = token
        return True

    def appoint(self, agent: str) -> None:
        """Give a replaced agent the offices that nobody has taken over, under tokens that its former self never had."""
        seat = self.topology.seats[agent]
        for post in seat.posts if isinstance(seat, DelegationSeat) else ():
            token = self.tokens.get(post.office.name, post.office.token)
            if holder_of(post.office, token) == agent:
                self.tokens[post.office.name] = next_token(post.office, agent, after=token)

    def seat(self, agent: str) -> Seat:
        """Return an agent's seat, with the offices in it as they stand now."""
        seat = self.topology.seats[agent]
        if not isinstance(seat, DelegationSeat):
            return seat
        posts = tuple(
            Post(
                office=self._dated(post.office),
                branches=tuple(self._dated_branch(branch) for branch in post.branches),
                above=None if post.above is None else self._dated(post.above),
                deadline_s=post.deadline_s,
            )
            for post in seat.posts
        )
        return msgspec.structs.replace(seat, member_of=self._dated(seat.member_of), posts=posts)

    def entries(self, absent: Container[str]) -> Sequence[str]:
        """Name the agents that a tick goes to now; an entry without anybody present is left out."""
        found = [self._entry(candidates, absent) for candidates in self.topology.entries]
        return [agent for agent in found if agent]

    def _entry(self, candidates: Sequence[str], absent: Container[str]) -> str:
        seat = self.topology.seats[candidates[0]]
        if isinstance(seat, DelegationSeat):
            office = next(post.office for post in seat.posts if post.above is None)
            holder = self._dated(office).holder
            return "" if holder in absent else holder
        return next((agent for agent in candidates if agent not in absent), "")

    def _dated(self, office: Office) -> Office:
        return msgspec.structs.replace(office, token=self.tokens.get(office.name, office.token))

    def _dated_branch(self, branch: Branch) -> Branch:
        return branch if branch.office is None else Branch(branch.agent, branch.capacity, self._dated(branch.office))
