"""What an agent's track record is made of, and what it makes of the agent's votes."""

import pytest
from fixed_desk import vote

from topologies.track_record import TrackRecord, TrackRecords, outcome


def vote_by(agent, target=1.0, confidence=1.0, *, symbol="X"):
    return vote(agent, f"1/{symbol}/momentum#{agent}", target=target, confidence=confidence)


def record_of(outcomes):
    record = TrackRecord()
    for has_paid in outcomes:
        record = record.after(has_paid=has_paid)
    return record


@pytest.mark.parametrize(
    ("target", "confidence", "change", "paid"),
    [
        pytest.param(0.3, 0.1, 0.01, True, id="long and up"),
        pytest.param(0.3, 0.1, -0.01, False, id="long and down"),
        pytest.param(-1.0, 0.1, -0.01, True, id="short and down"),
        pytest.param(-1.0, 0.1, 0.01, False, id="short and up"),
        pytest.param(0.0, 1.0, 0.01, None, id="flat claims nothing"),
        pytest.param(1.0, 0.0, 0.01, None, id="nor does an abstention"),
        pytest.param(1.0, 1.0, 0.0, None, id="no move proves nothing"),
        pytest.param(1.0, 1.0, float("nan"), None, id="no price proves nothing"),
    ],
)
def test_outcome_of_a_vote(target, confidence, change, paid):
    assert outcome(vote_by("a", target, confidence), change=change) is paid


@pytest.mark.parametrize(
    ("outcomes", "weight"),
    [
        pytest.param([], 1.0, id="new"),
        pytest.param([True], 1.1, id="one right: Beta(3, 2)"),
        pytest.param([False], 0.9, id="one wrong: Beta(2, 3)"),
        pytest.param([True] * 500, 1.5 - 2 / 54, id="always right, 50 claims remembered"),
        pytest.param([False] * 500, 0.5 + 2 / 54, id="always wrong"),
    ],
)
def test_weight_follows_the_share_of_claims_that_paid(outcomes, weight):
    assert record_of(outcomes).weight == pytest.approx(weight, abs=1e-4)


def test_record_forgets():
    turned = record_of([True] * 500 + [False] * 100)
    assert turned.mean < 0.2
    assert turned.evidence < 50.0


def test_round_is_settled_once_and_in_order():
    records = TrackRecords(["a"])
    assert records.settle([vote_by("a")], round=2, changes={"X": 0.01})
    assert not records.settle([vote_by("a")], round=2, changes={"X": 0.01})
    assert not records.settle([vote_by("a")], round=1, changes={"X": 0.01})
    assert records.record("a") == TrackRecord(1.0, 0.0)


def test_strangers_and_symbols_without_a_change_are_not_judged():
    records = TrackRecords(["a"])
    records.settle([vote_by("z"), vote_by("a", symbol="Y")], round=1, changes={"X": 0.01})
    assert records.standing() == {"a": 1.0}


def test_standing_adds_up_to_the_number_of_agents():
    records = TrackRecords(["a", "b", "c"])
    records.settle([vote_by("a"), vote_by("b", -1.0)], round=1, changes={"X": 0.01})
    assert records.standing() == pytest.approx({"a": 1.1, "b": 0.9, "c": 1.0})
