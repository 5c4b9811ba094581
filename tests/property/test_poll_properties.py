"""What holds for any poll and any track record: absence helps nobody, order is nothing, standings are conserved."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.messages import Task, Vote
from topologies.poll import Charter, Poll, Question, Verdict, resolve
from topologies.track_record import DECAY, WEIGHT_MAX, WEIGHT_MIN, TrackRecord, TrackRecords
from topologies.voting import VotingRule, decide, direction_of

SLOTS = "abcdefgh"
numbers = st.one_of(st.just(0.0), st.floats(1e-9, 1.0))
targets = st.tuples(numbers, st.sampled_from([-1, 1])).map(math.prod)
opinions = st.dictionaries(st.sampled_from(SLOTS), st.tuples(targets, numbers))
rules = st.sampled_from(VotingRule)
standings = st.dictionaries(st.sampled_from(SLOTS), st.floats(1 / 3, 3.0))
QUESTION = Question(round=1, symbol="X", invited=tuple(Task(f"1/X/m#{slot}", "X", "m") for slot in SLOTS))


def votes_of(opinions):
    return [Vote(f"1/X/m#{slot}", "X", slot, "m", *opinion) for slot, opinion in opinions.items()]


@settings(deadline=None)
@given(opinions=opinions)
def test_weighted_rule_with_a_quorum_is_the_default_rule(opinions):
    resolution = resolve(QUESTION, votes_of(opinions), charter=Charter(quorum=0.0))
    assert not opinions or resolution.decision == decide(votes_of(opinions), round=1, symbol="X")


@settings(deadline=None)
@given(opinions=opinions, rule=rules, standing=standings, data=st.data())
def test_order_of_votes_changes_nothing(opinions, rule, standing, data):
    votes = votes_of(opinions)
    shuffled = data.draw(st.permutations(votes))
    charter = Charter(rule=rule)
    assert resolve(QUESTION, votes, charter=charter, standing=standing) == resolve(
        QUESTION, shuffled, charter=charter, standing=standing
    )


@settings(deadline=None)
@given(opinions=opinions, rule=rules, quorum=st.floats(0.0, 1.0), standing=standings)
def test_position_is_held_only_when_decided_by_a_quorum_and_enough_heads(opinions, rule, quorum, standing):
    charter = Charter(rule=rule, quorum=quorum)
    resolution = resolve(QUESTION, votes_of(opinions), charter=charter, standing=standing)
    target = resolution.decision.target
    assert -1.0 <= target <= 1.0
    if resolution.verdict is not Verdict.DECIDED:
        assert target == 0.0
        return
    assert resolution.present >= resolution.quorum
    heads = [vote for vote in votes_of(opinions) if direction_of(vote.target) == direction_of(target)]
    assert len([vote for vote in heads if vote.confidence > 0.0]) >= resolution.needed


@settings(deadline=None)
@given(
    opinions=opinions, absent=st.sampled_from(SLOTS), rule=st.sampled_from(["majority", "supermajority", "unanimous"])
)
def test_absence_never_makes_heads_enough(opinions, absent, rule):
    """Where heads are counted, one vote less can undo a decision, and never make one or change its direction."""
    charter = Charter(rule=VotingRule(rule))
    fewer = resolve(
        QUESTION, votes_of({slot: opinion for slot, opinion in opinions.items() if slot != absent}), charter=charter
    )
    if fewer.verdict is Verdict.DECIDED:
        full = resolve(QUESTION, votes_of(opinions), charter=charter)
        assert full.verdict is Verdict.DECIDED
        assert full.tally.leading() == fewer.tally.leading()


@settings(deadline=None)
@given(times=st.lists(st.tuples(st.sampled_from(SLOTS), st.floats(0.0, 2.0), targets)))
def test_poll_counts_what_came_before_its_deadline_or_its_end(times):
    poll = Poll(QUESTION, charter=Charter(), deadline_s=1.0)
    in_time = {}
    for slot, moment, target in sorted(times, key=lambda one: one[1]):
        is_taken = poll.hear(Vote(f"1/X/m#{slot}", "X", slot, "m", target, 1.0), now=moment)
        assert not (is_taken and moment >= 1.0)
        if is_taken:
            in_time[slot] = target
    counted = {vote.agent: vote.target for vote in poll.resolution(now=2.0).decision.votes}
    assert counted == in_time


claims = st.lists(
    st.tuples(st.sampled_from("abc"), targets, numbers, st.floats(-0.1, 0.1), st.sampled_from("XY")), max_size=60
)


@settings(deadline=None)
@given(claims=claims)
def test_standings_are_finite_positive_and_add_up(claims):
    records = TrackRecords("abc")
    for number, (agent, target, confidence, change, symbol) in enumerate(claims, 1):
        vote = Vote(f"{number}/{symbol}/m", symbol, agent, "m", target, confidence)
        records.settle([vote], round=number, changes={symbol: change})
    standing = records.standing()
    assert math.fsum(standing.values()) == pytest.approx(3.0)
    assert all(WEIGHT_MIN / WEIGHT_MAX < value < WEIGHT_MAX / WEIGHT_MIN for value in standing.values())
    for agent in "abc":
        record = records.record(agent)
        assert 0.0 <= record.evidence <= 1.0 / (1.0 - DECAY)
        assert WEIGHT_MIN < record.weight < WEIGHT_MAX


@given(outcomes=st.lists(st.booleans(), max_size=200))
def test_being_right_never_costs_and_being_wrong_never_pays(outcomes):
    record = TrackRecord()
    for has_paid in outcomes:
        later = record.after(has_paid=has_paid)
        assert later.mean >= record.mean - 1e-12 if has_paid else later.mean <= record.mean + 1e-12
        record = later
