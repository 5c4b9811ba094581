"""Breaker and credit under any course of events: bounded, never stuck, nothing admitted that should not be."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from topologies.breaker import BreakerSettings, BreakerState, CircuitBreaker
from topologies.credit import CreditReceiver, CreditSender

ALLOWED_MOVES = {
    (BreakerState.CLOSED, BreakerState.OPEN),
    (BreakerState.OPEN, BreakerState.HALF_OPEN),
    (BreakerState.HALF_OPEN, BreakerState.OPEN),
    (BreakerState.HALF_OPEN, BreakerState.CLOSED),
}
SETTINGS = BreakerSettings()


class AnyHop(RuleBasedStateMachine):
    """Calls that begin, end well or badly, late or never, while time passes."""

    def __init__(self):
        super().__init__()
        self.breaker = CircuitBreaker()
        self.now = 0.0
        self.under_way = []
        self.last = BreakerState.CLOSED
        self.probes = 0

    def look(self):
        state = self.breaker.state(now=self.now)
        assert state is self.last or (self.last, state) in ALLOWED_MOVES
        if state is not self.last:
            self.probes = 0
        self.last = state
        return state

    @rule(seconds=st.floats(0.0, 1.9))
    def wait(self, seconds):
        """Shorter than any stretch of time that changes the state twice."""
        self.now += seconds
        self.look()

    @rule()
    def begin(self):
        state = self.look()
        permit = self.breaker.admit(now=self.now)
        self.probes += state is BreakerState.HALF_OPEN and permit is not None
        assert permit is None or state is not BreakerState.OPEN
        assert permit is not None or state is not BreakerState.CLOSED
        if permit is not None:
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), is_success=st.booleans())
    def end(self, data, is_success):
        self.look()
        permit = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.breaker.settle(permit, is_success=is_success, now=self.now)
        self.look()

    @invariant()
    def probes_are_few_and_waiting_has_an_end(self):
        assert self.probes <= SETTINGS.probes
        assert 0.0 <= self.breaker.retry_after_s(now=self.now) <= SETTINGS.open_s_max

    def teardown(self):
        """A hop that is sound again comes to be used for good, whatever was before: a window of calls passes."""
        passed = 0
        for _ in range(2 * SETTINGS.window + 10):  # the calls of a window twice, as it may open once, and the waits
            permit = self.breaker.admit(now=self.now)
            if permit is not None:
                self.breaker.settle(permit, is_success=True, now=self.now)
                passed += 1
            else:  # open, or waiting for a probe that is lost
                self.now += self.breaker.retry_after_s(now=self.now) or SETTINGS.probe_s_max
        assert passed >= SETTINGS.window
        assert self.breaker.state(now=self.now) is BreakerState.CLOSED


class LossyEdge(RuleBasedStateMachine):
    """Messages arrive in order; allowances may be lost, doubled or overtaken."""

    capacity = 8

    def __init__(self):
        super().__init__()
        self.sender = CreditSender(allowed=self.capacity)
        self.receiver = CreditReceiver.of(self.capacity)
        self.wire = deque()
        self.allowances = []

    @rule(number=st.integers(1, 10))
    def send(self, number):
        number = min(number, self.sender.available)
        self.sender = self.sender.send(number)
        self.wire.extend([None] * number)

    @rule(number=st.integers(1, 10))
    def deliver(self, number):
        for _ in range(min(number, len(self.wire))):
            self.wire.popleft()
            self.receiver = self.receiver.receive()

    @rule(number=st.integers(1, 10), is_lost=st.booleans())
    def consume(self, number, is_lost):
        self.receiver = self.receiver.consume(min(number, self.receiver.queued))
        if self.receiver.is_top_up_due:
            self.receiver = self.receiver.tell()
            self.allowances += [] if is_lost else [self.receiver.told]

    @precondition(lambda self: self.allowances)
    @rule(data=st.data())
    def top_up(self, data):
        self.sender = self.sender.top_up(data.draw(st.sampled_from(self.allowances)))

    @invariant()
    def nothing_exceeds_the_capacity_and_nothing_is_lost(self):
        assert 0 <= self.sender.available <= self.capacity
        assert 0 <= self.receiver.queued <= self.capacity
        assert len(self.wire) + self.receiver.queued <= self.capacity
        assert self.sender.sent == len(self.wire) + self.receiver.received
        assert self.sender.allowed <= self.receiver.told <= self.receiver.allowed

    def teardown(self):
        """Told again, as on a new link, the sender has all that is free."""
        self.deliver_all()
        self.sender = self.sender.top_up(self.receiver.tell().told)
        assert self.sender.available + self.receiver.queued == self.capacity

    def deliver_all(self):
        while self.wire:
            self.wire.popleft()
            self.receiver = self.receiver.receive()


TestAnyHop = AnyHop.TestCase
TestAnyHop.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLossyEdge = LossyEdge.TestCase
TestLossyEdge.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@given(outcomes=st.lists(st.booleans(), max_size=60))
def test_breaker_is_open_only_after_half_of_a_window_failed(outcomes):
    breaker = CircuitBreaker()
    ended = []
    for is_success in outcomes:
        ended = [*ended, is_success][-SETTINGS.window :]
        state = breaker.settle(breaker.admit(now=0.0), is_success=is_success, now=0.0)
        is_bad = len(ended) >= SETTINGS.calls_min and 2 * ended.count(False) >= len(ended)
        assert (state is BreakerState.OPEN) == is_bad
        if is_bad:
            break
