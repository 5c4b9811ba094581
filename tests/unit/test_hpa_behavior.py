"""How far and how soon a count may move."""

from hypothesis import given
from hypothesis import strategies as st

from scaling.hpa.behavior import (
    Behavior,
    Bounds,
    Changes,
    Events,
    Limit,
    Policy,
    Rules,
    ScaleEvent,
    Select,
    Unit,
    limit_rate,
    limit_without_behavior,
    store_event,
)
from scaling.hpa.stabilisation import Recommendation, Windows, stabilise, stabilise_down

NOW = 1000.0
NO_CHANGES = Changes(events=Events(), now=NOW)
BOUNDS = Bounds(at_least=1, at_most=100)

counts = st.integers(0, 200)
policies = st.builds(Policy, st.sampled_from(Unit), st.integers(1, 200), st.integers(1, 300))
rules = st.builds(Rules, policies=st.lists(policies, min_size=1, max_size=3).map(tuple), select=st.sampled_from(Select))
events = st.lists(st.builds(ScaleEvent, st.integers(1, 50), st.floats(600, NOW)), max_size=6).map(tuple)
recommendations = st.lists(st.builds(Recommendation, counts, st.floats(0, NOW)), max_size=8)


def test_the_default_doubles_or_adds_four_in_fifteen_seconds():
    assert limit_rate(50, 1, bounds=BOUNDS, behavior=Behavior(), changes=NO_CHANGES).replicas == 5
    assert limit_rate(50, 10, bounds=BOUNDS, behavior=Behavior(), changes=NO_CHANGES).replicas == 20


def test_the_binding_limit_is_named():
    limited = limit_rate(500, 90, bounds=BOUNDS, behavior=Behavior(), changes=NO_CHANGES)
    assert (limited.replicas, limited.limit) == (100, Limit.TOO_MANY)
    assert limit_without_behavior(500, 3, bounds=BOUNDS).limit is Limit.SCALE_UP


def test_the_smallest_change_can_be_asked_for():
    slow = Rules(policies=(Policy(Unit.PODS, 2, 60), Policy(Unit.PERCENT, 100, 60)), select=Select.MIN)
    limited = limit_rate(50, 10, bounds=BOUNDS, behavior=Behavior(up=slow, down=slow), changes=NO_CHANGES)
    assert limited.replicas == 12


@given(counts, counts, st.builds(Behavior, up=rules, down=rules), st.builds(Events, ups=events, downs=events))
def test_a_rate_never_turns_a_direction(desired, current, behavior, happened):
    changes = Changes(events=happened, now=NOW)
    limited = limit_rate(desired, current, bounds=Bounds(at_least=0, at_most=200), behavior=behavior, changes=changes)
    assert min(desired, current) <= limited.replicas <= max(desired, current)


@given(counts, counts, recommendations, st.integers(0, 600), st.integers(0, 600))
def test_stabilising_stays_between_what_was_proposed_and_what_is(desired, current, history, up_s, down_s):
    found = stabilise(desired, current=current, history=history, now=NOW, windows=Windows(up_s=up_s, down_s=down_s))
    seen = [desired, current, *(past.replicas for past in history)]
    assert min(seen) <= found.replicas <= max(seen)
    assert len(found.history) <= len(history) + 1
    assert found.history.count(Recommendation(desired, NOW)) >= 1


@given(counts, recommendations)
def test_the_rule_without_behaviour_never_goes_below_a_recent_proposal(desired, history):
    found = stabilise_down(desired, history=history, now=NOW, window_s=300)
    recent = [past.replicas for past in history if NOW - past.at_s <= 300]
    assert found.replicas == max([desired, *recent])


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 120)), min_size=1, max_size=60), rules)
def test_memory_of_events_is_bounded_and_loses_nothing_that_counts(changes, rule):
    now, stored = 0.0, ()
    made: list[ScaleEvent] = []
    longest = max(policy.period_s for policy in rule.policies)
    for change, wait_s in changes:
        now += wait_s
        stored = store_event(stored, change, rules=rule, now=now)
        made.append(ScaleEvent(change, now))
        recent = sum(event.change for event in made if now - event.at_s < longest)
        assert sum(event.change for event in stored if now - event.at_s < longest) == recent
    assert len(stored) <= longest + 2  # at most one a second fits within the longest period
