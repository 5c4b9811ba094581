"""Who speaks on a symbol: its owners, and in place of the dead a spare, or whoever of the owners is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topologies.kinds import Role
from topologies.seats import MeshSeat, MeshSlot
from topologies.voices import Voices, slot_tasks

OWNERS = ("a", "b", "c")


def voices(agent="a", owners=OWNERS, spares=("s",)):
    slots = tuple(MeshSlot(owner, ("m",)) for owner in owners)
    watches = tuple(one for one in (*owners, *spares) if one != agent)
    return Voices(MeshSeat(agent, Role.PEER, ("m",), {"X": slots}, {"X": tuple(spares)}, 0.66, 2.0, watches))


@pytest.mark.parametrize(
    ("dead", "holders"),
    [
        pytest.param("", "abc", id="all alive"),
        pytest.param("b", "asc", id="the spare takes a dead owner's voice"),
        pytest.param("s", "abc", id="a dead spare changes nothing"),
        pytest.param("bs", "aac", id="without a spare an owner takes it"),
        pytest.param("ab", "scc", id="then the strongest owner left"),
        pytest.param("abs", "ccc", id="one owner left speaks for all"),
        pytest.param("abc", "sbc", id="a spare has one voice only"),
        pytest.param("abcs", "abc", id="nobody left"),
    ],
)
def test_voice_of_a_dead_owner_is_taken(dead, holders):
    known = voices()
    for agent in dead:
        known.lose(agent)
    assert "".join(known.holders("X")) == holders


def test_voice_goes_back_to_its_owner():
    known = voices()
    known.lose("b")
    known.regain("b")
    assert known.holders("X") == list(OWNERS)


def test_agent_knows_its_own_voices_on_the_symbols_of_a_tick():
    known = voices("s")
    assert known.mine(["X", "unknown"]) == []
    known.lose("b")
    assert [(symbol, number, slot.owner) for symbol, number, slot in known.mine(["X", "unknown"])] == [("X", 1, "b")]
    assert known.mine(["unknown"]) == []


def test_substitutes_are_those_who_speak_for_others_beside_me():
    known = voices("a")
    known.lose("b")
    assert known.substitutes(["X"]) == {"s"}
    assert voices("a").substitutes(["X"]) == set()


def test_tasks_of_a_voice_are_named_by_its_number_and_not_by_who_has_it():
    assert [task.key for task in slot_tasks(7, "X", slot=2, strategies=("r", "m"))] == ["7/X/m#2", "7/X/r#2"]
    assert (
        voices("a").task_keys(7, "X") == voices("s").task_keys(7, "X") == [{f"7/X/m#{number}"} for number in range(3)]
    )


@given(dead=st.sets(st.sampled_from("abcdefgh")), data=st.data())
def test_each_voice_has_one_living_holder_as_long_as_an_owner_lives_and_all_agree_who(dead, data):
    owners = tuple(data.draw(st.permutations("abcde")))
    heard = {}
    for agent in "abcdefgh":
        known = voices(agent, owners, spares=("f", "g"))
        for one in data.draw(st.permutations(sorted(dead))):
            known.lose(one)
        heard[agent] = tuple(known.holders("X"))
    (holders,) = set(heard.values())
    assert len(holders) == len(owners)
    if set(owners) - dead:
        assert not dead & set(holders)
    assert all(holder == owner for holder, owner in zip(holders, owners, strict=True) if owner not in dead)
