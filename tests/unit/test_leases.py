"""Task leases: who may do a task until when, and which completion counts."""

import pytest

from topologies.leases import ATTEMPTS_MAX, LEASE_S, RETENTION_S, Completion, TaskLease, TaskLeases, TaskState


@pytest.fixture
def leases():
    leases = TaskLeases()
    leases.add("t")
    return leases


def test_task_is_taken_in_once(leases):
    assert not leases.add("t")
    assert leases.keys(TaskState.PENDING) == ("t",)


def test_grant_is_for_one_agent_until_its_deadline(leases):
    assert leases.grant("t", "a", now=1.0) == TaskLease("t", "a", 1, 1.0 + LEASE_S)
    assert leases.grant("t", "b", now=1.0) is None
    assert leases.expire(now=1.0 + LEASE_S - 1e-9) == ()
    assert leases.expire(now=1.0 + LEASE_S) == ("t",)
    assert leases.grant("t", "b", now=3.0) == TaskLease("t", "b", 2, 3.0 + LEASE_S)


def test_renewal_moves_the_deadline(leases):
    lease = leases.grant("t", "a", now=0.0)
    assert leases.renew(lease, now=1.5) == TaskLease("t", "a", 1, 1.5 + LEASE_S)
    assert leases.expire(now=LEASE_S) == ()
    assert leases.renew(lease, now=3.0) == TaskLease("t", "a", 1, 3.0 + LEASE_S)
    assert leases.expire(now=3.0 + LEASE_S) == ("t",)


@pytest.mark.parametrize(
    "lease",
    [
        pytest.param(TaskLease("t", "a", 1, 99.0), id="an earlier grant"),
        pytest.param(TaskLease("t", "z", 2, 99.0), id="somebody else's"),
        pytest.param(TaskLease("u", "b", 1, 99.0), id="an unknown task"),
    ],
)
def test_lease_that_does_not_hold_is_not_renewed(leases, lease):
    leases.grant("t", "a", now=0.0)
    leases.expire(now=2.0)
    leases.grant("t", "b", now=2.0)
    assert leases.renew(lease, now=2.5) is None


def test_lease_is_not_renewed_past_its_deadline_even_before_anybody_noticed(leases):
    lease = leases.grant("t", "a", now=0.0)
    assert leases.renew(lease, now=LEASE_S) is None


def test_first_completion_is_the_effect_and_others_are_not(leases):
    lease = leases.grant("t", "a", now=0.0)
    assert leases.complete(lease, now=1.0) is Completion.ACCEPTED
    assert leases.complete(lease, now=1.0) is Completion.DUPLICATE
    assert leases.state("t") is TaskState.DONE
    assert leases.grant("t", "b", now=1.0) is None
    assert not leases.withdraw("t", now=1.0)


def test_who_lost_a_task_to_another_can_not_complete_it(leases):
    lost = leases.grant("t", "a", now=0.0)
    leases.expire(now=2.0)
    held = leases.grant("t", "b", now=2.0)
    assert leases.complete(lost, now=2.5) is Completion.STALE
    assert leases.complete(held, now=2.5) is Completion.ACCEPTED
    assert leases.complete(lost, now=2.5) is Completion.DUPLICATE


def test_late_completion_counts_while_nobody_else_was_granted_the_task(leases):
    late = leases.grant("t", "a", now=0.0)
    leases.expire(now=2.0)
    assert leases.complete(late, now=2.5) is Completion.ACCEPTED
    assert leases.grant("t", "b", now=2.5) is None


def test_task_is_granted_only_so_often(leases):
    now = 0.0
    for _ in range(ATTEMPTS_MAX):
        last = leases.grant("t", "a", now=now)
        now += LEASE_S
        leases.expire(now=now)
    assert leases.state("t") is TaskState.EXHAUSTED
    assert leases.grant("t", "b", now=now) is None
    assert leases.complete(last, now=now) is Completion.ACCEPTED


def test_agent_that_is_gone_loses_its_leases_at_once(leases):
    leases.add("u")
    leases.add("v")
    for key, holder in (("t", "a"), ("u", "b"), ("v", "a")):
        leases.grant(key, holder, now=0.0)
    assert leases.release("a", now=0.5) == ("t", "v")
    assert leases.keys(TaskState.PENDING) == ("t", "v")
    assert leases.expire(now=2.0) == ("u",)


def test_withdrawn_task_has_no_effect(leases):
    lease = leases.grant("t", "a", now=0.0)
    assert leases.withdraw("t", now=1.0)
    assert leases.complete(lease, now=1.0) is Completion.STALE
    assert leases.renew(lease, now=1.0) is None
    assert leases.expire(now=2.0) == ()


def test_finished_task_is_forgotten_in_the_end(leases):
    lease = leases.grant("t", "a", now=0.0)
    leases.complete(lease, now=1.0)
    leases.expire(now=1.0 + RETENTION_S - 1e-6)
    assert leases.complete(lease, now=50.0) is Completion.DUPLICATE
    leases.expire(now=1.0 + RETENTION_S)
    assert leases.complete(lease, now=70.0) is Completion.UNKNOWN


def test_unknown_task_is_an_error(leases):
    for ask in (leases.state, lambda key: leases.grant(key, "a", now=0.0), lambda key: leases.withdraw(key, now=0.0)):
        with pytest.raises(KeyError):
            ask("no such task")
