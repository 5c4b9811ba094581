"""A link in motion: a session driven over whatever pipe there is (`workers.dialling` sees to it that there is one).

One task writes and one reads for each link; there is no task, lock or timer per message. What is posted between two
turns of the writer goes out as one batch.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from topologies.messages import Leave, Message
from workers.codec import (
    PROTOCOL_VERSION,
    Ack,
    Batch,
    Beat,
    Frame,
    Hello,
    Neighbour,
    Ping,
    Pong,
    WireError,
    decode_frame,
    encode,
)
from workers.network import Pipe, PipeClosed
from workers.session import LinkGap, Session

HELLO_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 0.5
RTT_SAMPLES_MAX = 1024
BEAT = Beat()


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """What a link knows of the end it is at: who it is, its clock, and whom to tell.

    `on_sign` hears of every frame (from whom, from which generation), `on_cut` of a connection that broke, `greeting`
    is the first message to every new process at the other end.
    """

    agent: str
    generation: int
    greeting: Message
    now_s: Callable[[], float]
    on_message: Callable[[str, Message], None]
    on_change: Callable[[], None]
    on_sign: Callable[[str, int], None]
    on_cut: Callable[[str], None]


class Link:
    """The two-way message pipe to one neighbour."""

    def __init__(self, neighbour: Neighbour, me: LinkEnd) -> None:
        self.neighbour = neighbour
        self._me = me
        self._session = Session()
        self._peer_generation = 0
        self._wake = anyio.Event()
        self._pings: deque[Ping | Pong | Beat] = deque()
        self._pipe: Pipe | None = None
        self._said_goodbye = False
        self.is_up = False
        self.has_left = False
        self.messages_out = 0
        self.messages_in = 0
        self.bytes_out = 0
        self.rtt_ms: deque[float] = deque(maxlen=RTT_SAMPLES_MAX)

    def post(self, message: Message) -> None:
        """Queue a message. Raises LinkFull."""
        self._session.post(message)
        self._said_goodbye = self._said_goodbye or isinstance(message, Leave)
        self.messages_out += 1
        self._wake.set()

    def ping(self) -> None:
        """Send a heartbeat, and an acknowledgement that is owed, at the next turn."""
        if self.is_up:
            self._pings.append(Ping(self._me.now_s()))
            self._wake.set()

    def beat(self) -> None:
        """Send a sign of life at the next turn, unless one is waiting already."""
        if self.is_up and not self._pings:
            self._pings.append(BEAT)
            self._wake.set()

    @property
    def is_quiet(self) -> bool:
        """Whether both sides know that all that was sent has arrived."""
        return self._session.is_flushed and not self._session.owes_ack

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be said, here or there, and both know it."""
        heard_all = self.has_left or not self.neighbour.hears
        said_all = self._said_goodbye or not self.neighbour.sends
        return heard_all and said_all and self.is_quiet

    async def attach(self, pipe: Pipe) -> bool:
        """Use a pipe until it breaks, and say whether the other end greeted; a pipe from before is given up."""
        former, self._pipe = self._pipe, pipe
        if former is not None:
            with anyio.move_on_after(CLOSE_DEADLINE_S):
                await former.close()
        greeted = False
        try:
            await self._greet(pipe)
            greeted = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, pipe)
                await self._read(pipe)
        except* (PipeClosed, WireError, LinkGap, TimeoutError):
            pass  # the pipe is of no more use; the session carries on with the next
        finally:
            if self._pipe is pipe:
                self._pipe, self.is_up = None, False
                self._me.on_cut(self.neighbour.agent)
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE_S):
                await pipe.close()
        return greeted

    async def _greet(self, pipe: Pipe) -> None:
        await pipe.send(encode(Hello(PROTOCOL_VERSION, self._me.agent, self._me.generation, self._session.received)))
        with anyio.fail_after(HELLO_DEADLINE_S):
            hello = decode_frame(await pipe.receive())
        if not isinstance(hello, Hello) or hello.version != PROTOCOL_VERSION or hello.agent != self.neighbour.agent:
            raise WireError(f"expected Hello {PROTOCOL_VERSION} from {self.neighbour.agent}, found {hello}")
        if hello.generation < self._peer_generation:
            raise WireError(f"{hello.agent} of generation {hello.generation} has been replaced")
        if hello.generation > self._peer_generation > 0:  # what was meant for the former process concerns it alone
            self._session = Session()
            if self.neighbour.sends:
                self._session.post(self._me.greeting)
            self.has_left = False
        self._peer_generation = hello.generation
        self._session.resume(hello.received)
        self.is_up = True
        self._me.on_sign(self.neighbour.agent, self._peer_generation)
        self.ping()
        self._me.on_change()

    async def _write(self, pipe: Pipe) -> None:
        try:
            while True:
                while (frame := self._pings.popleft() if self._pings else self._session.take()) is not None:
                    data = encode(frame)
                    if isinstance(frame, Batch):
                        self.bytes_out += len(data)
                    await pipe.send(data)
                    self._me.on_change()  # an acknowledgement that was owed may be on its way now
                self._wake = anyio.Event()
                await self._wake.wait()
        except PipeClosed:
            await pipe.close()  # so that the reader, who holds this task, sees the end as well

    async def _read(self, pipe: Pipe) -> None:
        while True:
            frame = decode_frame(await pipe.receive())
            self._me.on_sign(self.neighbour.agent, self._peer_generation)
            if not isinstance(frame, Beat):
                self._react(frame)
                self._me.on_change()

    def _react(self, frame: Frame) -> None:
        match frame:
            case Batch():
                for message in self._session.on_batch(frame):
                    self.messages_in += 1
                    if isinstance(message, Leave):
                        self.has_left = True
                        self._session.acknowledge_soon()
                    self._me.on_message(self.neighbour.agent, message)
                self._wake.set()
            case Ack(ack=ack):
                self._session.on_ack(ack)
            case Ping(sent_s=sent_s):
                self._pings.append(Pong(sent_s))
                self._session.acknowledge_soon()
                self._wake.set()
            case Pong(sent_s=sent_s):
                self.rtt_ms.append((self._me.now_s() - sent_s) * 1000.0)
            case Beat():
                pass  # that it came is all it says
            case Hello():
                raise WireError("a second Hello on one pipe")
