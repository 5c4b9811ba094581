"""Credit for one edge, so that a slow receiver stops its sender and no queue grows beyond its capacity.

The receiver allows a number of messages, the sender sends no more than that. Both count from the first message on, and
what is told is the total allowed so far: an allowance that arrives twice or late changes nothing, and one that is lost
is made good by the next or by telling it again. A top-up is due when half of the capacity has been consumed since the
last one, which halves the traffic of waiting for every single message and never lets a busy sender run dry.

Both ends are values; what is queued at the receiver is its caller's.
"""

from dataclasses import dataclass, replace

CAPACITY = 64
"""Messages that may be under way and queued together."""


class CreditExceeded(RuntimeError):
    """More was sent than was allowed: one end does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class CreditSender:
    """The sending end: how many messages it has sent and how many it was allowed, from the first on."""

    sent: int = 0
    allowed: int = CAPACITY

    @property
    def available(self) -> int:
        """How many messages may be sent now."""
        return self.allowed - self.sent

    def send(self, messages: int = 1) -> "CreditSender":
        """Count messages sent. Raises CreditExceeded when they are more than available."""
        if messages > self.available:
            raise CreditExceeded(f"{messages} messages to send, credit for {self.available}; wait for a top-up")
        return replace(self, sent=self.sent + messages)

    def top_up(self, allowed: int) -> "CreditSender":
        """Take in an allowance; one that is not higher than the last is old news."""
        return replace(self, allowed=max(self.allowed, allowed))


@dataclass(frozen=True, slots=True)
class CreditReceiver:
    """The receiving end: messages received and consumed, and the allowance last told, from the first on."""

    capacity: int = CAPACITY
    received: int = 0
    consumed: int = 0
    told: int = CAPACITY

    @staticmethod
    def of(capacity: int) -> "CreditReceiver":
        """Make a receiver for a queue of another size; its sender starts with `CreditSender(allowed=capacity)`."""
        return CreditReceiver(capacity=capacity, told=capacity)

    @property
    def queued(self) -> int:
        """How many messages wait here, at most the capacity."""
        return self.received - self.consumed

    @property
    def allowed(self) -> int:
        """The total that may have been sent: what was consumed, and as much again as fits. To be told on a new link."""
        return self.consumed + self.capacity

    @property
    def is_top_up_due(self) -> bool:
        """Whether half of the capacity, or more, was consumed since the allowance was last told."""
        return 2 * (self.allowed - self.told) >= self.capacity

    def receive(self, messages: int = 1) -> "CreditReceiver":
        """Count messages that arrived. Raises CreditExceeded when they are more than was told."""
        if self.received + messages > self.told:
            raise CreditExceeded(
                f"{messages} messages came after {self.received}, {self.told} were allowed; the sender takes no credit"
            )
        return replace(self, received=self.received + messages)

    def consume(self, messages: int = 1) -> "CreditReceiver":
        """Count messages taken from the queue. Raises ValueError when fewer are queued."""
        if messages > self.queued:
            raise ValueError(f"{messages} messages to consume, {self.queued} are queued")
        return replace(self, consumed=self.consumed + messages)

    def tell(self) -> "CreditReceiver":
        """Return the receiver that has told its sender `allowed`."""
        return replace(self, told=self.allowed)
