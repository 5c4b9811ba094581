"""What one metric asks for, and which members it is taken of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.hpa.calculator import (
    INT64_MAX,
    REPLICAS_MAX,
    Fleet,
    MetricUnusableError,
    Tolerance,
    propose_by_average,
    propose_by_share,
    propose_by_utilization,
    propose_by_value,
)
from scaling.hpa.grouping import Member, Phase, Sample, group_members

NOW = 1000.0
TOLERANCE = Tolerance()


def make_fleet(count: int, *, with_sample: int | None = None, replicas: int | None = None, **fields) -> Fleet:
    members = [Member(name=str(index), started_at_s=0.0, **fields) for index in range(count)]
    names = members[: count if with_sample is None else with_sample]
    samples = {member.name: Sample(taken_at_s=NOW, window_s=60) for member in names}
    groups = group_members(members, samples, now=NOW, is_cpu=False)
    return Fleet(replicas=count if replicas is None else replicas, members=members, groups=groups)


def usage(count: int, milli: int) -> dict[str, int]:
    return {str(index): milli for index in range(count)}


@pytest.mark.parametrize(
    ("percent", "replicas"),
    [
        pytest.param(55, 10, id="at the upper edge of the tolerance nothing moves"),
        pytest.param(56, 12, id="above it the count grows"),
        pytest.param(45, 10, id="at the lower edge nothing moves"),
        pytest.param(44, 9, id="below it the count shrinks"),
    ],
)
def test_tolerance_is_a_closed_interval(percent, replicas):
    fleet = make_fleet(10)
    proposal = propose_by_utilization(
        usage(10, percent * 10), fleet, requests_milli=usage(10, 1000), target_percent=50, tolerance=TOLERANCE
    )
    assert (proposal.replicas, proposal.utilization_percent) == (replicas, percent)


def test_members_without_a_sample_hold_a_shrinking_fleet():
    fleet = make_fleet(4, with_sample=2)
    assert propose_by_average(usage(2, 50), fleet, target_milli=100, tolerance=TOLERANCE).replicas == 3


def test_members_without_a_sample_never_let_a_fleet_grow_by_guess():
    fleet = make_fleet(4, with_sample=2)
    assert propose_by_average(usage(2, 190), fleet, target_milli=100, tolerance=TOLERANCE).replicas == 4


def test_a_fleet_without_members_has_no_metric():
    with pytest.raises(MetricUnusableError, match="no pods returned"):
        propose_by_average({"0": 1}, make_fleet(0), target_milli=1, tolerance=TOLERANCE)


def test_a_member_without_a_request_is_named():
    with pytest.raises(MetricUnusableError, match="missing request for cpu in Pod 0"):
        propose_by_utilization(usage(1, 1), make_fleet(1), requests_milli={}, target_percent=50, tolerance=TOLERANCE)


def test_sums_saturate_instead_of_wrapping():
    proposal = propose_by_value([INT64_MAX, INT64_MAX], make_fleet(3), target_milli=1, tolerance=TOLERANCE)
    assert (proposal.replicas, proposal.usage_milli) == (REPLICAS_MAX, INT64_MAX)


def test_a_share_from_nothing_is_the_need():
    assert propose_by_share([2500], 0, target_milli=1000, tolerance=TOLERANCE).replicas == 3


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        pytest.param({"is_leaving": True}, "ignored", id="leaving"),
        pytest.param({"phase": Phase.FAILED}, "ignored", id="failed"),
        pytest.param({"phase": Phase.PENDING}, "unready", id="pending"),
    ],
)
def test_members_that_do_not_serve_are_set_aside(fields, group):
    assert getattr(make_fleet(2, **fields).groups, group) == {"0", "1"}


members = st.builds(
    Member,
    name=st.uuids().map(str),
    phase=st.sampled_from(Phase),
    is_ready=st.sampled_from([True, False, None]),
    started_at_s=st.none() | st.floats(0, NOW),
    ready_changed_at_s=st.floats(0, NOW),
    is_leaving=st.booleans(),
)


@given(st.lists(members, max_size=12, unique_by=lambda member: member.name), st.booleans(), st.sets(st.integers(0, 11)))
def test_every_member_is_in_one_group(fleet, is_cpu, sampled):
    samples = {
        member.name: Sample(taken_at_s=NOW, window_s=60) for index, member in enumerate(fleet) if index in sampled
    }
    groups = group_members(fleet, samples, now=NOW, is_cpu=is_cpu)
    sets = (groups.unready, groups.missing, groups.ignored)
    assert groups.ready_count + sum(map(len, sets)) == len(fleet)
    assert len(frozenset.union(*sets)) == sum(map(len, sets))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20), st.integers(1, 10**6), st.integers(1, 50))
def test_a_proposal_never_goes_against_the_usage(levels, target, replicas):
    fleet = make_fleet(len(levels), replicas=len(levels))
    observed = dict(zip(map(str, range(len(levels))), levels, strict=True))
    proposal = propose_by_average(observed, fleet, target_milli=target, tolerance=TOLERANCE)
    if proposal.usage_milli > target:
        assert proposal.replicas >= len(levels)
    else:
        assert proposal.replicas <= len(levels)
    assert proposal.replicas >= 0
    assert propose_by_share(levels, replicas, target_milli=target, tolerance=TOLERANCE).replicas >= 0
