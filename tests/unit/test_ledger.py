"""The account of rounds: what is counted, what is late, what came twice."""

import pytest

from orchestrator.ledger import RoundLedger, quantile
from topologies.messages import Decision, Vote


def ledger_of(*symbols):
    return RoundLedger(symbols=symbols, task_keys=lambda round: frozenset(f"{round}/{symbol}/m" for symbol in symbols))


def decision(round, symbol, *, target=1.0, agent="a", error=""):
    return Decision(round, symbol, target, (Vote(f"{round}/{symbol}/m", symbol, agent, "m", target, 1.0, error),))


def test_round_is_complete_with_the_decisions_on_all_symbols():
    ledger = ledger_of("X", "Y")
    ledger.begin(1, 10.0)
    assert ledger.report(decision(1, "X"), 10.5)
    assert not ledger.is_complete(1)
    assert ledger.report(decision(1, "Y"), 10.75)
    assert ledger.is_complete(1)
    assert ledger.end(1)
    assert (ledger.rounds, ledger.completed, ledger.failed) == (1, 1, 0)
    assert ledger.latencies_ms == [500.0, 750.0]


def test_round_without_all_its_decisions_has_failed_and_lost_its_tasks():
    ledger = ledger_of("X", "Y")
    ledger.begin(1, 0.0)
    ledger.report(decision(1, "X"), 0.0)
    assert not ledger.end(1)
    assert (ledger.rounds, ledger.completed, ledger.failed) == (1, 0, 1)
    assert (ledger.tasks_assigned, ledger.tasks_completed, ledger.tasks_lost) == (2, 1, 1)


def test_decision_that_comes_twice_is_counted_and_not_taken():
    ledger = ledger_of("X")
    ledger.begin(1, 0.0)
    assert ledger.report(decision(1, "X"), 0.0)
    assert not ledger.report(decision(1, "X", target=-1.0), 0.0)
    ledger.end(1)
    assert not ledger.report(decision(1, "X"), 0.0)
    assert (ledger.duplicate_decisions, ledger.late, len(ledger.decisions)) == (2, 0, 1)


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(decision(1, "X"), id="of a round that is over"),
        pytest.param(decision(9, "X"), id="of a round not begun"),
        pytest.param(decision(2, "Z"), id="on a symbol nobody asked for"),
    ],
)
def test_decision_out_of_place_is_late_and_not_taken(late):
    ledger = ledger_of("X")
    ledger.begin(1, 0.0)
    ledger.end(1)
    ledger.begin(2, 0.0)
    assert not ledger.report(late, 0.0)
    assert (ledger.late, ledger.decisions) == (1, [])


def test_tasks_are_counted_from_the_votes():
    ledger = ledger_of("X", "Y")
    ledger.begin(1, 0.0)
    ledger.report(decision(1, "X", agent="a"), 0.0)
    ledger.report(decision(1, "Y", agent="b", error="no bars"), 0.0)
    assert ledger.tasks_by_agent == {"a": 1, "b": 1}
    assert (ledger.tasks_completed, ledger.tasks_failed, ledger.tasks_lost, ledger.tasks_duplicated) == (2, 1, 0, 0)


def test_task_done_twice_is_a_duplicate():
    ledger = ledger_of("X")
    ledger.begin(1, 0.0)
    (vote,) = decision(1, "X").votes
    ledger.report(Decision(1, "X", 1.0, (vote, vote, vote)), 0.0)
    assert (ledger.tasks_completed, ledger.tasks_duplicated) == (1, 2)


def test_recent_holds_the_decisions_of_the_last_round():
    ledger = ledger_of("X", "Y")
    for round in (1, 2):
        ledger.begin(round, 0.0)
        for symbol in "XY":
            ledger.report(decision(round, symbol), 0.0)
        ledger.end(round)
    assert [made.key for made in ledger.recent()] == ["2/X", "2/Y"]


def test_round_not_begun_is_not_complete():
    assert not ledger_of("X").is_complete(1)


def hash_of(*made):
    ledger = ledger_of("X", "Y")
    ledger.begin(1, 0.0)
    for number, one in enumerate(made):
        assert ledger.report(one, float(number))
    return ledger.decisions_hash


def test_hash_depends_on_what_was_decided_and_not_on_when():
    x, y = decision(1, "X"), decision(1, "Y")
    assert hash_of(x, y) == hash_of(y, x)
    assert len({hash_of(x, y), hash_of(x), hash_of(), hash_of(decision(1, "X", target=0.5), y)}) == 4


@pytest.mark.parametrize(
    ("values", "q", "found"),
    [
        pytest.param([], 0.5, None, id="nothing"),
        pytest.param([7.0], 0.99, 7.0, id="one"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, 2.0, id="median of an even number"),
        pytest.param([1.0, 2.0, 3.0], 0.5, 2.0, id="median of an odd number"),
        pytest.param(list(range(1, 101)), 0.95, 95, id="95 of 100"),
        pytest.param(list(range(1, 101)), 0.0, 1, id="smallest"),
        pytest.param(list(range(1, 101)), 1.0, 100, id="greatest"),
    ],
)
def test_quantile_is_a_value_that_was_measured(values, q, found):
    assert quantile(values, q) == found
