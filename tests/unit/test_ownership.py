"""Who owns a symbol: the same everywhere and for ever, since processes agree on it without asking each other."""

import pytest

from topologies.ownership import owners, ranking

RANKED = ["c", "a", "d", "b"]  # by their claim on AAPL, found once
CREW = {"a": ("m",), "b": ("m",), "c": ("m",), "d": ("r",)}


def test_ranking_is_the_same_in_every_process():
    assert ranking("AAPL", ["a", "b", "c", "d"]) == ranking("AAPL", ["d", "c", "b", "a"]) == RANKED


def test_ranking_of_each_symbol_is_its_own():
    assert len({tuple(ranking(symbol, list("abcd"))) for symbol in ("AAPL", "GOOG", "IBM", "MSFT", "TSLA")}) > 1


def test_symbols_are_spread_over_the_agents():
    symbols = [f"S{number}" for number in range(400)]
    firsts = [ranking(symbol, list("abcd"))[0] for symbol in symbols]
    assert all(60 <= firsts.count(agent) <= 140 for agent in "abcd")


def test_strongest_claim_comes_first():
    chosen, _ = owners("AAPL", CREW, replicas=2)
    assert chosen == tuple(agent for agent in RANKED if agent in chosen)


def test_every_strategy_has_an_owner_even_beyond_the_replicas():
    chosen, _ = owners("AAPL", CREW, replicas=1)
    assert {CREW[agent] for agent in chosen} == {("m",), ("r",)}


def test_all_own_when_there_are_fewer_than_replicas():
    chosen, spares = owners("AAPL", CREW, replicas=9, spares=2)
    assert (sorted(chosen), spares) == (["a", "b", "c", "d"], ())


@pytest.mark.parametrize(
    ("spares", "found"),
    [
        pytest.param(0, (), id="none asked for"),
        pytest.param(1, ("a",), id="one"),
        pytest.param(5, ("a", "b"), id="more than there are"),
    ],
)
def test_spares_are_those_with_the_next_strongest_claims(spares, found):
    assert owners("AAPL", CREW, replicas=2, spares=spares) == (("c", "d"), found)
