"""What agents say to each other in a round, as values.

The coordination rules send and receive these; the wire form is the business of `workers.codec`. Bars travel as
undecoded bytes (`msgspec.Raw`): a topology routes market data and never reads it.
"""

import msgspec


class Tick(msgspec.Struct, frozen=True, array_like=True):
    """One market tick: the number of its round, its calendar time (ISO 8601) and a bar for each symbol.

    `attempt` counts how often the coordinator has started this round: after a failure it starts it again, and agents
    answer from memory what they have done already.
    """

    round: int
    time: str
    bars: dict[str, msgspec.Raw]
    attempt: int = 1

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self.bars))


class Task(msgspec.Struct, frozen=True, array_like=True):
    """One unit of strategy work. `key` names its one effect within the swarm."""

    key: str
    symbol: str
    strategy: str


class Vote(msgspec.Struct, frozen=True, array_like=True):
    """The result of one task: the position a strategy wants, in [-1, 1], and how sure it is, in [0, 1].

    `error` is empty, or says why the strategy gave no answer; such a vote has confidence 0.
    """

    task: str
    symbol: str
    agent: str
    strategy: str
    target: float
    confidence: float
    error: str = ""


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """What the swarm agreed for one symbol in one round, with the votes it was made from.

    `verdict` says how the poll ended (`topologies.poll.Verdict`), where the charter has more than weights to count.
    """

    round: int
    symbol: str
    target: float
    votes: tuple[Vote, ...]
    verdict: str = ""

    @property
    def key(self) -> str:
        """Name the one effect this decision may have, whoever reports it and however often."""
        return f"{self.round}/{self.symbol}"


class Join(msgspec.Struct, frozen=True, array_like=True, tag="join"):
    """The first message on every edge: who is here, in which role, running which code."""

    agent: str
    role: str
    revision: str


class Leave(msgspec.Struct, frozen=True, array_like=True, tag="leave"):
    """The last message on every edge: the sender is done, after `rounds` rounds."""

    agent: str
    rounds: int


class Ballot(msgspec.Struct, frozen=True, array_like=True, tag="ballot"):
    """Mesh: an owner's votes on the symbols it shares with the receiver."""

    round: int
    votes: tuple[Vote, ...]


class Work(msgspec.Struct, frozen=True, array_like=True, tag="work"):
    """Hierarchy and star, downwards: the tick, and the tasks that fall to the receiver's side (possibly none).

    `office` and `token` say in whose right it is given; one with an older token than was seen is refused. For the
    deputy of the office it is the replicated log as well: `standby` holds all tasks of the round, and rounds up to
    `finished` are over. `earlier`: ticks before this one that the receiver may have missed while nobody led it.
    """

    office: str
    token: int
    tick: Tick
    tasks: tuple[Task, ...]
    standby: tuple[Task, ...] = ()
    finished: int = 0
    earlier: tuple[Tick, ...] = ()


class Result(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """Hierarchy and star, upwards: the votes of the sender and of all below it.

    `unanswered`: the tasks asked of it for which it has none, and will have none.
    """

    office: str
    round: int
    votes: tuple[Vote, ...]
    unanswered: tuple[str, ...] = ()


class Canvass(msgspec.Struct, frozen=True, array_like=True, tag="canvass"):
    """A deputy asks the members of its group for an office whose holder it takes for dead."""

    office: str
    token: int


class Grant(msgspec.Struct, frozen=True, array_like=True, tag="grant"):
    """A member's yes to a Canvass; it will take no work of an older token any more."""

    office: str
    token: int


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """The sender holds an office, by a majority's grants or by the coordinator's appointment."""

    office: str
    token: int


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """A member to a holder: it has promised to follow nobody with a token below this one."""

    office: str
    token: int


class Item(msgspec.Struct, frozen=True, array_like=True, tag="item"):
    """Ring: a round on its way through one lane. `risk_done`: the votes have become decisions already.

    `earlier`: ticks before this one that went past the receiver.
    """

    tick: Tick
    lane: int
    risk_done: bool
    votes: tuple[Vote, ...]
    decisions: tuple[Decision, ...]
    earlier: tuple[Tick, ...] = ()


class LaneDone(msgspec.Struct, frozen=True, array_like=True, tag="lane-done"):
    """Ring: one lane has executed a round; its receiver, the next lane's data stage, may admit a later one."""

    round: int
    lane: int


Message = Join | Leave | Ballot | Work | Result | Canvass | Grant | Claim | Refusal | Item | LaneDone
