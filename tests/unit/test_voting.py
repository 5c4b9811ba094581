"""How votes become a decision, and whose it is."""

import math

import pytest
from fixed_desk import vote

from topologies.voting import decide, quorum_size, shares


def votes_of(*pairs):
    """Make a vote for each (target, confidence), by agents a, b, c, ..."""
    return [
        vote(agent, f"1/X/momentum@{agent}", target=target, confidence=confidence)
        for agent, (target, confidence) in zip("abcdefgh", pairs, strict=False)
    ]


def decision_of(*pairs):
    return decide(votes_of(*pairs), round=1, symbol="X")


@pytest.mark.parametrize(
    ("votes", "target"),
    [
        pytest.param([], 0.0, id="nobody"),
        pytest.param([(0.5, 0.2)], 0.5, id="one"),
        pytest.param([(1.0, 0.6), (-1.0, 0.3), (-1.0, 0.2)], 1.0, id="weight beats number"),
        pytest.param([(1.0, 0.3), (-0.5, 0.2), (-0.5, 0.2)], -0.5, id="two together"),
        pytest.param([(1.0, 0.5), (-1.0, 0.5)], 0.0, id="long ties with short"),
        pytest.param([(1.0, 0.5), (0.0, 0.5)], 0.0, id="long ties with flat"),
        pytest.param([(1.0, 0.4), (0.0, 0.5)], 0.0, id="flat wins"),
        pytest.param([(1.0, 0.0), (-1.0, 0.0)], 0.0, id="no confidence at all"),
        pytest.param([(1.0, 0.5), (0.2, 0.5), (-1.0, 0.9)], 0.6, id="mean of the winners"),
        pytest.param([(1.0, 0.75), (0.0, 0.0), (0.5, 0.25)], 0.875, id="weighted mean"),
    ],
)
def test_direction_with_the_most_confidence_decides(votes, target):
    assert decision_of(*votes).target == pytest.approx(target)


def test_decision_keeps_its_votes_in_the_order_of_tasks():
    votes = votes_of((1.0, 0.5), (0.5, 0.5), (-1.0, 0.5))
    decision = decide(reversed(votes), round=1, symbol="X")
    assert decision.votes == tuple(votes)
    assert decision.key == "1/X"


@pytest.mark.parametrize(
    ("votes", "owned"),
    [
        pytest.param([(1.0, 0.5), (0.5, 1.0)], {"a": 0.5, "b": 0.5}, id="by confidence and size"),
        pytest.param([(1.0, 0.9), (-1.0, 0.3)], {"a": 1.0}, id="losers own nothing"),
        pytest.param([(1.0, 0.9), (1.0, 0.0)], {"a": 1.0}, id="no confidence owns nothing"),
        pytest.param([(1.0, 0.5), (-1.0, 0.5)], {}, id="a flat decision is nobody's"),
    ],
)
def test_winners_own_the_decision(votes, owned):
    assert shares(decision_of(*votes)) == pytest.approx(owned)


def test_votes_of_one_agent_add_up():
    votes = [vote("a", "1/X/m"), vote("a", "1/X/n"), vote("b", "1/X/o", target=0.5)]
    assert shares(decide(votes, round=1, symbol="X")) == pytest.approx({"a": 0.8, "b": 0.2})


def test_tiny_decision_is_owned_as_well():
    assert math.fsum(shares(decision_of((1e-200, 1.0))).values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("invited", "quorum", "needed"),
    [
        pytest.param(5, 0.66, 4, id="3.3 is 4"),
        pytest.param(3, 0.66, 2, id="1.98 is 2"),
        pytest.param(2, 0.66, 2, id="1.32 is 2"),
        pytest.param(1, 0.66, 1, id="one"),
        pytest.param(10, 0.7, 7, id="7.000000000000001 is 7"),
        pytest.param(5, 0.0, 1, id="never none"),
        pytest.param(5, 1.0, 5, id="all"),
    ],
)
def test_quorum_is_rounded_up(invited, quorum, needed):
    assert quorum_size(invited, quorum) == needed
