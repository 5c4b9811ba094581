"""One side of a link by hand: what it numbers, keeps, hands out again and refuses."""

import pytest

from topologies.messages import Ballot
from workers.codec import Ack, Batch
from workers.session import ACK_EVERY, BATCH_MAX, UNACKED_MAX, LinkFull, LinkGap, Session


def message(number):
    return Ballot(number, ())


def messages(*numbers):
    return tuple(message(number) for number in numbers)


def session_with(posted):
    session = Session()
    for number in range(1, posted + 1):
        session.post(message(number))
    return session


def receive(session, numbers):
    for number in numbers:
        session.on_batch(Batch(number, 0, messages(number)))


def test_messages_are_numbered_from_one_and_handed_out_once():
    session = session_with(2)
    assert session.take() == Batch(1, 0, messages(1, 2))
    assert session.take() is None
    session.post(message(3))
    assert session.take() == Batch(3, 0, messages(3))


def test_batches_are_bounded():
    session = session_with(BATCH_MAX + 1)
    assert [len(session.take().messages) for _ in range(2)] == [BATCH_MAX, 1]


def test_messages_that_nobody_acknowledges_are_bounded():
    session = session_with(UNACKED_MAX)
    session.take()
    with pytest.raises(LinkFull, match=f"{UNACKED_MAX} messages wait"):
        session.post(message(0))
    session.on_ack(1)
    session.post(message(0))


def test_batch_carries_the_acknowledgement():
    session = session_with(1)
    receive(session, [1, 2])
    assert session.owes_ack
    assert session.take() == Batch(1, 2, messages(1))
    assert not session.owes_ack


def test_acknowledgement_alone_is_sent_every_so_many_messages():
    session = Session()
    receive(session, range(1, ACK_EVERY))
    assert session.take() is None
    receive(session, [ACK_EVERY])
    assert session.take() == Ack(ACK_EVERY)
    assert session.take() is None


def test_acknowledgement_can_be_made_at_any_time():
    session = Session()
    receive(session, [1])
    assert session.acknowledge() == Ack(1)
    assert not session.owes_ack


@pytest.mark.parametrize(
    ("batch", "fresh"),
    [
        pytest.param(Batch(3, 0, messages(3, 4)), messages(3, 4), id="next"),
        pytest.param(Batch(1, 0, messages(1, 2, 3)), messages(3), id="overlapping"),
        pytest.param(Batch(1, 0, messages(1, 2)), (), id="known"),
        pytest.param(Batch(1, 0, messages(1)), (), id="long known"),
        pytest.param(Batch(3, 0, ()), (), id="empty"),
    ],
)
def test_messages_are_delivered_once(batch, fresh):
    session = Session()
    receive(session, [1, 2])
    assert session.on_batch(batch) == fresh
    assert session.received == 2 + len(fresh)


def test_gap_is_refused_and_nothing_of_it_taken():
    session = Session()
    receive(session, [1])
    with pytest.raises(LinkGap, match="message 3 came after 1"):
        session.on_batch(Batch(3, 0, messages(3)))
    assert session.received == 1


@pytest.mark.parametrize(
    ("received", "again"),
    [
        pytest.param(0, [1, 2, 3, 4], id="nothing had arrived"),
        pytest.param(2, [3, 4], id="half"),
        pytest.param(3, [4], id="all that was sent"),
    ],
)
def test_new_pipe_starts_after_what_has_arrived(received, again):
    session = session_with(3)
    session.take()
    session.post(message(4))
    session.resume(received)
    assert session.take() == Batch(again[0], 0, messages(*again))


def test_new_pipe_brings_the_acknowledgement_of_what_had_arrived():
    session = session_with(3)
    session.take()
    session.resume(3)
    assert session.is_flushed


def test_new_pipe_does_not_go_back_behind_what_was_acknowledged():
    session = session_with(3)
    session.take()
    session.on_ack(2)
    session.resume(0)
    assert session.take() == Batch(3, 0, messages(3))


def test_acknowledgement_may_name_what_only_the_old_pipe_brought():
    session = session_with(3)
    session.take()
    session.resume(0)  # said by the other side just before the last batch of the old pipe came
    session.on_ack(3)
    session.post(message(4))
    assert session.take() == Batch(4, 0, messages(4))


def test_flushed_means_that_the_other_side_has_acknowledged_all():
    session = session_with(2)
    session.take()
    session.on_ack(1)
    assert not session.is_flushed
    session.on_batch(Batch(1, 2, messages(1)))
    assert session.is_flushed


@pytest.mark.parametrize("hear", [Session.on_ack, Session.resume])
def test_acknowledgement_of_what_was_never_sent_is_refused(hear):
    session = session_with(3)
    with pytest.raises(LinkGap):
        hear(session, 2)
