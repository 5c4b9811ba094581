"""The wire form of everything sent over a pipe: msgpack by msgspec, checked against its type on arrival.

Links carry `Frame`s between agents, the control connection carries `Order`s down and `Account`s up. A change that an
older worker cannot read raises `PROTOCOL_VERSION`; both ends say theirs first and part at once when they differ.
"""

import msgspec

from strategies import Bar
from topologies.detector import DetectorSettings, PeerState
from topologies.messages import Decision, Message, Tick
from topologies.seats import Seat
from workers.impairment import ImpairmentKind
from workers.network import Endpoint

PROTOCOL_VERSION = 2


class WireError(ValueError):
    """Bytes that are not a message of this protocol."""


# ---- between agents


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First on every pipe of a link, both ways. `received`: the last sequence number seen, to resume after a cut."""

    version: int
    agent: str
    generation: int
    received: int


class Batch(msgspec.Struct, frozen=True, array_like=True, tag="batch"):
    """Messages in order; the first has sequence number `seq`. `ack`: all up to there have been received."""

    seq: int
    ack: int
    messages: tuple[Message, ...]


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """All up to `ack` have been received."""

    ack: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """A heartbeat. `sent_s` is the sender's clock, returned as it is."""

    sent_s: float


class Pong(msgspec.Struct, frozen=True, array_like=True, tag="pong"):
    """The answer to a Ping."""

    sent_s: float


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """A sign of life on a watched link; it wants no answer."""


Frame = Hello | Batch | Ack | Ping | Pong | Beat


# ---- coordinator to worker


class Neighbour(msgspec.Struct, frozen=True):
    """An agent with whom this one has a link. One end of a link dials, the other is dialled."""

    agent: str
    endpoint: Endpoint
    dials: bool
    sends: bool
    hears: bool


class StrategyRef(msgspec.Struct, frozen=True):
    """A strategy to load: a built-in one by name, or a file uploaded to `path` below the sandbox's home."""

    name: str
    path: str = ""
    sha256: str = ""


class Assign(msgspec.Struct, frozen=True, tag="assign"):
    """Who an anonymous worker is from now on. A later one needs a higher generation.

    `rounds_over`: rounds the swarm has played already; `history` reaches up to them.
    """

    version: int
    swarm: str
    generation: int
    token: str
    seat: Seat
    neighbours: tuple[Neighbour, ...]
    strategies: tuple[StrategyRef, ...]
    history: dict[str, tuple[Bar, ...]]
    seed: int
    detector: DetectorSettings
    rounds_over: int = 0


class Connect(msgspec.Struct, frozen=True, tag="connect"):
    """Open the links; everybody has been assigned."""


class Start(msgspec.Struct, frozen=True, tag="tick"):
    """A tick for an entry agent: the start of a round."""

    tick: Tick


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Finish what was begun, say goodbye to the neighbours, give the last account and end."""


class Bury(msgspec.Struct, frozen=True, tag="bury"):
    """A neighbour's process is dead, whatever you have seen of it."""

    agent: str
    generation: int


class Rewire(msgspec.Struct, frozen=True, tag="rewire"):
    """A neighbour has a new process, elsewhere."""

    neighbour: Neighbour


class Impair(msgspec.Struct, frozen=True, tag="impair"):
    """Make the way to a neighbour bad on purpose, for some seconds: see `workers.impairment`."""

    neighbour: str
    kind: ImpairmentKind
    seconds: float
    amount: float = 0.0


Order = Assign | Connect | Start | Stop | Bury | Rewire | Impair


# ---- worker to coordinator


class Assigned(msgspec.Struct, frozen=True, tag="assigned"):
    """The assignment holds. `revision`: the content hash of the code that runs here."""

    agent: str
    revision: str


class Connected(msgspec.Struct, frozen=True, tag="connected"):
    """Every link is up, and every neighbour that sends here has joined."""

    agent: str


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """Decisions of one round. `office` and `token`: in whose right, where only one may speak at a time."""

    agent: str
    round: int
    decisions: tuple[Decision, ...]
    office: str = ""
    token: int = 0


class TookOffice(msgspec.Struct, frozen=True, tag="took"):
    """The agent holds an office now, under this token."""

    agent: str
    office: str
    token: int


class PeerNoticed(msgspec.Struct, frozen=True, tag="noticed"):
    """What the agent believes of the process of a neighbour."""

    agent: str
    peer: str
    generation: int
    state: PeerState


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker cannot do what was asked, and why."""

    agent: str
    reason: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How things stand at an agent."""

    agent: str
    state: str
    round: int
    messages_in: int
    messages_out: int
    tasks: int
    rtt_ms: float | None = None


class EdgeCount(msgspec.Struct, frozen=True):
    """What one directed edge carried. `rtt_ms`: raw round-trip samples of its heartbeats."""

    to: str
    messages: int
    bytes: int
    rtt_ms: tuple[float, ...]


class FinalAccount(msgspec.Struct, frozen=True, tag="final"):
    """An agent's last word: what it did and what its edges carried."""

    agent: str
    tasks: int
    task_errors: int
    rss_mb: float | None
    edges: tuple[EdgeCount, ...]
    heard: dict[str, int]


Account = Assigned | Connected | Decided | TookOffice | PeerNoticed | Failed | Progress | FinalAccount

# What msgspec raises for bytes that are no message: of a wrong shape, with broken text, nested without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder()
_frames: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_accounts: msgspec.msgpack.Decoder[Account] = msgspec.msgpack.Decoder(Account)
_bars = msgspec.msgpack.Decoder(Bar)


def encode(value: Frame | Order | Account) -> bytes:
    return _encoder.encode(value)


def encode_bar(bar: Bar) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(bar))


def decode_bar(data: msgspec.Raw) -> Bar:
    try:
        return _bars.decode(data)
    except UNREADABLE as error:
        raise WireError(f"not a bar: {error}") from error


def decode_frame(data: bytes) -> Frame:
    try:
        return _frames.decode(data)
    except UNREADABLE as error:
        raise WireError(f"not a frame of protocol {PROTOCOL_VERSION}: {error}") from error


def decode_order(data: bytes) -> Order:
    try:
        return _orders.decode(data)
    except UNREADABLE as error:
        raise WireError(f"not an order of protocol {PROTOCOL_VERSION}: {error}") from error


def decode_account(data: bytes) -> Account:
    try:
        return _accounts.decode(data)
    except UNREADABLE as error:
        raise WireError(f"not an account of protocol {PROTOCOL_VERSION}: {error}") from error
