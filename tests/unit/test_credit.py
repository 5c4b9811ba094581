"""Credit: what may be sent, when a top-up is due, and what breaks the protocol."""

import pytest

from topologies.credit import CAPACITY, CreditExceeded, CreditReceiver, CreditSender


def test_sender_stops_when_its_credit_is_used_up():
    sender = CreditSender().send(CAPACITY)
    assert sender.available == 0
    with pytest.raises(CreditExceeded, match="1 messages to send, credit for 0"):
        sender.send()


@pytest.mark.parametrize(
    ("consumed", "is_due"), [pytest.param(31, False, id="31 of 64"), pytest.param(32, True, id="half")]
)
def test_top_up_is_due_at_half(consumed, is_due):
    receiver = CreditReceiver().receive(CAPACITY).consume(consumed)
    assert receiver.is_top_up_due is is_due


def test_top_up_lets_the_sender_go_on_by_what_was_consumed():
    receiver = CreditReceiver().receive(CAPACITY).consume(40)
    sender = CreditSender().send(CAPACITY).top_up(receiver.allowed)
    assert sender.available == 40
    assert not receiver.tell().is_top_up_due


@pytest.mark.parametrize("allowed", [[104, 104], [104, 96], [80, 104, 80]], ids=["twice", "overtaken", "late"])
def test_old_allowances_change_nothing(allowed):
    sender = CreditSender().send(CAPACITY)
    for one in allowed:
        sender = sender.top_up(one)
    assert sender.available == 40


def test_receiver_refuses_more_than_it_allowed():
    with pytest.raises(CreditExceeded, match="1 messages came after 64, 64 were allowed"):
        CreditReceiver().receive(CAPACITY).receive()


def test_what_was_consumed_is_no_credit_until_it_is_told():
    receiver = CreditReceiver().receive(CAPACITY).consume(40)
    with pytest.raises(CreditExceeded):
        receiver.receive()
    assert receiver.tell().receive(40).queued == CAPACITY


def test_nothing_can_be_consumed_that_is_not_there():
    with pytest.raises(ValueError, match="2 messages to consume, 1 are queued"):
        CreditReceiver().receive().consume(2)


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_small_capacities_never_run_dry_for_good(capacity):
    receiver = CreditReceiver.of(capacity)
    sender = CreditSender(allowed=capacity)
    for _ in range(10):
        sender, receiver = sender.send(), receiver.receive().consume()
        if receiver.is_top_up_due:
            receiver = receiver.tell()
            sender = sender.top_up(receiver.told)
    assert sender.sent == 10
