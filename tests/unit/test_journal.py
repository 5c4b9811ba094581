"""The journal: the same facts at the same times have the same hash, and nothing else has."""

import itertools

import pytest

from orchestrator.journal import Entry, Journal


def journal_of(*facts, start_s=0.0):
    ticks = itertools.count()
    journal = Journal(lambda: start_s + next(ticks))
    for event, subject, particulars in facts:
        journal.record(event, subject, **particulars)
    return journal


FACTS = (("launched", "s", {"agents": 5, "mode": "mock"}), ("trade", "X", {"price": 1.5}))


def test_entries_are_kept_in_order_with_the_time_since_the_start():
    assert journal_of(*FACTS, start_s=1000.0).entries == [
        Entry(1.0, "launched", "s", {"agents": 5, "mode": "mock"}),
        Entry(2.0, "trade", "X", {"price": 1.5}),
    ]


def test_same_facts_have_the_same_hash():
    assert journal_of(*FACTS).hash == journal_of(*FACTS, start_s=1000.0).hash


def test_order_of_particulars_does_not_matter():
    turned = ("launched", "s", {"mode": "mock", "agents": 5})
    assert journal_of(FACTS[0]).hash == journal_of(turned).hash


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(FACTS[:1], id="one less"),
        pytest.param(FACTS[::-1], id="another order"),
        pytest.param((FACTS[0], ("trade", "X", {"price": 1.25})), id="another number"),
        pytest.param((FACTS[0], ("trade", "Y", {"price": 1.5})), id="another subject"),
        pytest.param((), id="nothing"),
    ],
)
def test_other_facts_have_another_hash(facts):
    assert journal_of(*facts).hash != journal_of(*FACTS).hash


def test_other_times_have_another_hash():
    slow = itertools.count(step=2)
    journal = Journal(lambda: next(slow))
    for event, subject, particulars in FACTS:
        journal.record(event, subject, **particulars)
    assert journal.hash != journal_of(*FACTS).hash


def test_hash_can_be_read_midway():
    journal = journal_of(FACTS[0])
    midway = journal.hash
    journal.record("trade", "X", price=1.5)
    assert midway == journal_of(FACTS[0]).hash
    assert journal.hash == journal_of(*FACTS).hash
