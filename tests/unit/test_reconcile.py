"""What reconciliation does in each situation that the rules name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandboxes.reconcile import (
    Abandon,
    Adopt,
    Create,
    Kill,
    Observed,
    OpenCreate,
    ReconcilePolicy,
    Renew,
    Situation,
    WantedAgent,
    reconcile,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
POLICY = ReconcilePolicy(
    capacity=4, grace_s=60, lease_s=300, session_s_max=3600, rotate_before_s=600, rotations_max=1, idle_s_max=100
)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def there(name="sb", agent="a", generation=1, *, age=100, left=300):
    return Observed(
        id=name, agent=agent, generation=generation, started_at=ago(age), ends_at=NOW + timedelta(seconds=left)
    )


def want(name="a", generation=1, sandbox="", *, bound=1000):
    return WantedAgent(name=name, generation=generation, sandbox=sandbox, bound_at=ago(bound))


def begun(agent="a", generation=1, *, is_ours=False, age=10):
    return OpenCreate(agent=agent, generation=generation, opened_at=ago(age), is_ours=is_ours)


def decide(observed=(), wanted=(), creates=(), **spares):
    situation = Situation(observed=observed, wanted=wanted, creates=creates, spares=spares)
    return list(reconcile(situation, POLICY, now=NOW))


CASES = [
    pytest.param([there()], [want(sandbox="sb")], [], [], id="all is well"),
    pytest.param([], [want()], [], [Create(agent="a", generation=1, reason="missing")], id="a first sandbox"),
    pytest.param(
        [],
        [want(sandbox="sb")],
        [],
        [Create(agent="a", generation=2, reason="gone")],
        id="one that is gone is made anew",
    ),
    pytest.param([], [want(sandbox="sb", bound=59)], [], [], id="a listing may lag behind"),
    pytest.param([], [want()], [begun(is_ours=True)], [], id="a creation under way is waited for"),
    pytest.param(
        [],
        [want()],
        [begun()],
        [Create(agent="a", generation=1, reason="begun before")],
        id="a creation of a dead coordinator is asked for again",
    ),
    pytest.param(
        [there()], [want()], [begun()], [Adopt(agent="a", generation=1, sandbox="sb")], id="what it made is adopted"
    ),
    pytest.param(
        [there()], [want()], [begun(is_ours=True)], [], id="what is being made here is left to whoever makes it"
    ),
    pytest.param(
        [there(generation=3)],
        [want()],
        [],
        [Adopt(agent="a", generation=3, sandbox="sb")],
        id="a newer generation than is known is adopted",
    ),
    pytest.param(
        [there("old"), there("new", generation=2)],
        [want(generation=2, sandbox="new")],
        [],
        [Kill(sandbox="old", reason="an older generation")],
        id="of two generations the older is killed",
    ),
    pytest.param(
        [there("x"), there("y")],
        [want(sandbox="x")],
        [],
        [Kill(sandbox="y", reason="double")],
        id="of two of one generation the one in use is kept",
    ),
    pytest.param(
        [there("old")],
        [want(generation=2)],
        [begun(generation=2, is_ours=True)],
        [],
        id="an older one works on until the newer is there",
    ),
    pytest.param(
        [there("old"), there("new", generation=2)],
        [want(generation=2)],
        [begun(generation=2, is_ours=True)],
        [],
        id="and until the newer is ready",
    ),
    pytest.param([there(agent="z", age=59)], [], [], [], id="an unknown one has a grace"),
    pytest.param(
        [there(agent="z", age=60)], [], [], [Kill(sandbox="sb", reason="unknown")], id="and is killed after it"
    ),
    pytest.param(
        [there(agent="z", age=1)],
        [],
        [begun("z")],
        [Kill(sandbox="sb", reason="not wanted any more"), Abandon(agent="z", generation=1)],
        id="one that is known and not wanted has none",
    ),
    pytest.param([], [], [begun("z", age=59)], [], id="something may still come of a creation"),
    pytest.param([], [], [begun("z", age=60)], [Abandon(agent="z", generation=1)], id="nothing comes of it any more"),
    pytest.param(
        [there(left=199)],
        [want(sandbox="sb")],
        [],
        [Renew(sandbox="sb", until=NOW + timedelta(seconds=300))],
        id="a lease is renewed when a third is over",
    ),
    pytest.param([there(left=200)], [want(sandbox="sb")], [], [], id="and not before"),
    pytest.param(
        [there(age=3000)],
        [want(sandbox="sb")],
        [],
        [Create(agent="a", generation=2, reason="near the end of its session")],
        id="a sandbox near the end of its session is replaced",
    ),
    pytest.param([there(age=2999)], [want(sandbox="sb")], [], [], id="and not before its time"),
    pytest.param(
        [there(age=3500, left=50)],
        [want(generation=2)],
        [begun(generation=2, is_ours=True)],
        [Renew(sandbox="sb", until=NOW + timedelta(seconds=100))],
        id="no lease goes beyond the session",
    ),
]


@pytest.mark.parametrize(("observed", "wanted", "creates", "actions"), CASES)
def test_each_situation_has_its_actions(observed, wanted, creates, actions):
    assert decide(observed, wanted, creates) == actions


def test_rotations_come_one_after_the_other_the_oldest_first():
    observed = [there("sx", "x", age=3100), there("sy", "y", age=3200)]
    wanted = [want("x", sandbox="sx"), want("y", sandbox="sy")]
    assert decide(observed, wanted) == [Create(agent="y", generation=2, reason="near the end of its session")]
    assert decide(observed, [*wanted, want("z")]) == [Create(agent="z", generation=1, reason="missing")]


def test_rotation_without_a_free_slot_ends_the_old_one_first():
    names = ["a", "b", "c", "d"]
    observed = [there(f"s{name}", name, age=3000 if name == "c" else 10) for name in names]
    assert decide(observed, [want(name, sandbox=f"s{name}") for name in names]) == [
        Kill(sandbox="sc", reason="near the end of its session, and no slot is free"),
        Create(agent="c", generation=2, reason="near the end of its session"),
    ]


def test_rotation_whose_successor_was_begun_before_leaves_the_old_one_at_work():
    """The successor's slot is taken already: no slot comes free, and none for an agent that waits for one."""
    observed = [there(age=3100), *(there(f"sb-{name}", name) for name in "bc")]
    wanted = [want(sandbox="sb"), *(want(name, sandbox=f"sb-{name}") for name in "bc"), want("d")]
    situation = Situation(observed=observed, wanted=wanted, creates=[begun("a", 2)])
    policy = replace(POLICY, rotations_max=2)  # one of them is the agent that waits
    assert list(reconcile(situation, policy, now=NOW)) == [
        Create(agent="a", generation=2, reason="near the end of its session")
    ]


def test_no_more_are_made_than_there_are_slots():
    wanted = [want(name) for name in "abcdefg"]
    observed = [there("stray", "z", age=1)]
    assert [action.agent for action in decide(observed, wanted)] == ["a", "b", "c"]
    killed, *made = decide([there("stray", "z")], wanted)
    assert killed == Kill(sandbox="stray", reason="unknown")
    assert [action.agent for action in made] == ["a", "b", "c", "d"]


def test_spare_is_kept_renewed_and_killed_when_it_was_idle_too_long():
    assert decide([there(agent="", left=100)], sb=ago(99)) == [Renew(sandbox="sb", until=NOW + timedelta(seconds=300))]
    assert decide([there(agent="")], sb=ago(100)) == [Kill(sandbox="sb", reason="idle")]
    assert decide([there(agent="", age=3000)], sb=ago(1)) == [Kill(sandbox="sb", reason="near the end of its session")]


def test_policy_that_would_rotate_for_ever_is_refused():
    with pytest.raises(ValueError, match="would never stop; rotate later"):
        ReconcilePolicy(capacity=1, session_s_max=600, rotate_before_s=600)
