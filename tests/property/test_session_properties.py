"""Two sessions and a pipe that is cut at any moment: every message arrives once, in order."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from topologies.messages import Ballot
from workers.codec import Ack, Batch, decode_frame, encode
from workers.session import UNACKED_MAX, Session

SIDES = st.sampled_from([0, 1])
# Frames that a side may still read from the old pipe after it has said how far it is. To be 3 as soon as
# test_acknowledgement_may_name_what_only_the_old_pipe_brought passes.
LATE_FRAMES_MAX = 3


class LossyPipe(RuleBasedStateMachine):
    """Side 0 and side 1 post to each other. Frames go through the codec; a cut loses all that is under way."""

    @initialize()
    def open(self):
        self.sessions = (Session(), Session())
        self.wires = (deque(), deque())  # wires[side] leads to that side
        self.posted = ([], [])
        self.heard = ([], [])

    @rule(side=SIDES, number=st.integers(1, 100))
    def post(self, side, number):
        for _ in range(number):
            message = Ballot(len(self.posted[side]) + 1, ())
            self.sessions[side].post(message)
            self.posted[side].append(message)

    @rule(side=SIDES)
    def send(self, side):
        while (frame := self.sessions[side].take()) is not None:
            self.wires[1 - side].append(encode(frame))

    @rule(side=SIDES)
    def acknowledge(self, side):
        self.wires[1 - side].append(encode(self.sessions[side].acknowledge()))

    @rule(side=SIDES, number=st.integers(1, 5))
    def deliver(self, side, number):
        for _ in range(min(number, len(self.wires[side]))):
            match decode_frame(self.wires[side].popleft()):
                case Batch() as batch:
                    self.heard[side].extend(self.sessions[side].on_batch(batch))
                case Ack(ack=ack):
                    self.sessions[side].on_ack(ack)

    @rule(number=st.integers(0, LATE_FRAMES_MAX))
    def cut_and_resume(self, number):
        """Both say how far they are; a few frames of the old pipe may still arrive before it is given up."""
        received = [session.received for session in self.sessions]
        for side in (0, 1):
            self.deliver(side, number)
        for side in (0, 1):
            self.wires[side].clear()
            self.sessions[side].resume(received[1 - side])

    @invariant()
    def what_arrived_is_what_was_posted_so_far(self):
        for side in (0, 1):
            heard = self.heard[side]
            assert heard == self.posted[1 - side][: len(heard)]
            assert self.sessions[side].received == len(heard)

    def teardown(self):
        """With nothing more lost, all arrives and both know it; what is sent first must not matter."""
        for say in (self.acknowledge, self.send, self.acknowledge):
            for side in (0, 1):
                say(side)
                self.deliver(1 - side, UNACKED_MAX)
        assert self.heard == (self.posted[1], self.posted[0])
        assert all(session.is_flushed and not session.owes_ack for session in self.sessions)


TestLossyPipe = LossyPipe.TestCase
TestLossyPipe.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
