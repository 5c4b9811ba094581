"""One side of a link as a state machine: numbered messages, acknowledgements, resend after a cut, each delivered once.

The pipe below may break and be replaced; the session stays. Nothing here waits or does I/O.
"""

from collections import deque

from topologies.messages import Message
from workers.codec import Ack, Batch

UNACKED_MAX = 4096
BATCH_MAX = 64
ACK_EVERY = 32


class LinkFull(RuntimeError):
    """More messages wait for an acknowledgement than a link holds."""


class LinkGap(RuntimeError):
    """A message is missing between those that arrived."""


class Session:
    """Number, keep, resend and de-duplicate the messages of one link."""

    def __init__(self) -> None:
        self._unacked: deque[Message] = deque()
        self._first = 1  # the number of the first message in _unacked
        self._sent = 0  # the last number handed to the pipe that is open now
        self._handed_out = 0  # the last number handed to any pipe
        self.received = 0
        self._acked_to_peer = 0
        self._is_ack_wanted = False

    def post(self, message: Message) -> None:
        """Take a message to be sent. Raises LinkFull when the other side has acknowledged nothing for too long."""
        if len(self._unacked) >= UNACKED_MAX:
            raise LinkFull(f"{UNACKED_MAX} messages wait for an acknowledgement")
        self._unacked.append(message)

    def take(self) -> Batch | Ack | None:
        """Return what is to be sent now: messages not yet handed out, else an acknowledgement that is due."""
        offset = self._sent + 1 - self._first
        waiting = len(self._unacked) - offset
        if waiting > 0:
            messages = tuple(self._unacked[offset + index] for index in range(min(waiting, BATCH_MAX)))
            batch = Batch(self._sent + 1, self.received, messages)
            self._sent += len(messages)
            self._handed_out = max(self._handed_out, self._sent)
            self._acked_to_peer = self.received
            return batch
        if self.received - self._acked_to_peer >= (1 if self._is_ack_wanted else ACK_EVERY):
            self._is_ack_wanted = False
            return self.acknowledge()
        return None

    def acknowledge_soon(self) -> None:
        """Let the next acknowledgement that is owed be due at once."""
        self._is_ack_wanted = True

    def acknowledge(self) -> Ack:
        """Make an acknowledgement of all received so far."""
        self._acked_to_peer = self.received
        return Ack(self.received)

    def resume(self, received: int) -> None:
        """Start on a new pipe whose other end has received that far: the rest will be handed out again."""
        self.on_ack(received)
        self._sent = max(received, self._first - 1)

    def on_ack(self, ack: int) -> None:
        """Forget what the other side has received. Raises LinkGap for what was never sent."""
        if ack > self._handed_out:
            raise LinkGap(f"message {ack} was acknowledged, only {self._handed_out} were ever sent")
        self._sent = max(self._sent, ack)
        while self._unacked and self._first <= ack:
            self._unacked.popleft()
            self._first += 1

    def on_batch(self, batch: Batch) -> tuple[Message, ...]:
        """Return the messages of a batch that are new. Raises LinkGap."""
        self.on_ack(batch.ack)
        if batch.seq > self.received + 1:
            raise LinkGap(f"message {batch.seq} came after {self.received}")
        fresh = batch.messages[self.received + 1 - batch.seq :]
        self.received += len(fresh)
        return fresh

    @property
    def is_flushed(self) -> bool:
        """Whether the other side has acknowledged everything."""
        return not self._unacked

    @property
    def owes_ack(self) -> bool:
        """Whether something has been received that the other side does not know of yet."""
        return self.received > self._acked_to_peer
