"""The branches of a post: who speaks for each today, and what each has been told."""

from collections import deque
from collections.abc import Callable, Sequence

from topologies.messages import Claim, Tick
from topologies.seats import Branch, Post

CATCH_UP_TICKS = 16  # as far back as somebody can be helped who was led by nobody for a while


class Branches:
    """The branches of one post, as the holder of its office reaches them."""

    def __init__(self, post: Post, me: str, *, is_dead: Callable[[str], bool]) -> None:
        self._branches = post.branches
        self._me = me
        self._is_dead = is_dead
        self._offices = {branch.agent: branch.office for branch in post.branches if branch.office is not None}
        self._tokens = {office.name: office.token for office in self._offices.values()}
        self._speakers = {branch.agent: branch.agent for branch in post.branches}
        self._speakers |= {branch: office.holder for branch, office in self._offices.items()}
        self._ticks: deque[Tick] = deque(maxlen=CATCH_UP_TICKS)
        self._told = dict.fromkeys(self._speakers, 0)  # by branch, the last round that it was told of

    def speaker(self, branch: str) -> str:
        """Name who speaks for a branch: its agent, or whoever holds the office through which that one leads."""
        return self._speakers[branch]

    def of(self, speaker: str) -> list[str]:
        """Name the branches that somebody speaks for."""
        return [branch for branch, spoken in self._speakers.items() if spoken == speaker]

    def within_reach(self) -> list[Branch]:
        """List the branches whose speaker is alive."""
        return [branch for branch in self._branches if self._is_reachable(self._speakers[branch.agent])]

    def everybody(self) -> set[str]:
        """Name all who are to know who holds this office: the branches, and who may come to speak for one."""
        return set(self._speakers).union(*(office.holders for office in self._offices.values()))

    def follow(self, claim: Claim, speaker: str) -> None:
        """The branch that an office leads is spoken for by its new holder from now on; an older claim is void."""
        if claim.token < self._tokens.get(claim.office, claim.token + 1):
            return
        self._tokens[claim.office] = claim.token
        for branch, office in self._offices.items():
            if office.name == claim.office:
                self._speakers[branch] = speaker
                self._told[branch] = 0

    def saw(self, tick: Tick) -> None:
        """Keep a tick for those who may miss it."""
        if not self._ticks or tick.round > self._ticks[-1].round:
            self._ticks.append(tick)

    def tell(self, branch: str, tick: Tick) -> Sequence[Tick]:
        """Take note that a branch is told of a tick; return those before it that it was not told of."""
        told = self._told[branch]
        self._told[branch] = max(told, tick.round)
        return tuple(earlier for earlier in self._ticks if told < earlier.round < tick.round)

    def _is_reachable(self, speaker: str) -> bool:
        return speaker == self._me or not self._is_dead(speaker)
