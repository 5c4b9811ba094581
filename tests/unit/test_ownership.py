"""Who owns a symbol: the same everywhere and for ever, since processes agree on it without asking each other."""

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
    assert owners("AAPL", CREW, replicas=2)[0] == next(
        agent for agent in RANKED if agent in owners("AAPL", CREW, replicas=2)
    )


def test_every_strategy_has_an_owner_even_beyond_the_replicas():
    assert {CREW[agent] for agent in owners("AAPL", CREW, replicas=1)} == {("m",), ("r",)}


def test_all_own_when_there_are_fewer_than_replicas():
    assert sorted(owners("AAPL", CREW, replicas=9)) == ["a", "b", "c", "d"]
