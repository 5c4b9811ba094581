"""Who is taken for dead: a majority of those who watch, a broken connection, or a long silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.verdicts import SILENCE_S, Verdicts
from topologies.detector import PeerState

ALIVE, DEAD = PeerState.ALIVE, PeerState.DEAD
AGENTS = "abcde"


def verdicts(watchers="bcde"):
    """Make the verdicts on a, watched by some, and on the others, watched by a."""
    made = Verdicts({agent: frozenset("a" if agent != "a" else watchers) for agent in AGENTS})
    for agent in AGENTS:
        made.arrived(agent, 1, now_s=0.0)
    return made


def accuse(made, watchers, generation=1):
    return [made.noticed(watcher, "a", generation=generation, state=DEAD) for watcher in watchers]


@pytest.mark.parametrize(
    ("watchers", "accusers", "evidence"),
    [
        pytest.param("bcde", "b", "", id="one of four"),
        pytest.param("bcde", "bc", "", id="half"),
        pytest.param("bcde", "bcd", "3 of 4 neighbours hear nothing", id="more than half"),
        pytest.param("bcd", "bc", "2 of 3 neighbours hear nothing", id="two of three"),
        pytest.param("b", "b", "1 of 1 neighbours hear nothing", id="the only one"),
        pytest.param("bcde", "bbbb", "", id="one, four times"),
        pytest.param("bc", "de", "", id="none of those who watch it"),
    ],
)
def test_more_than_half_of_those_who_watch_must_agree(watchers, accusers, evidence):
    assert accuse(verdicts(watchers), accusers)[-1] == evidence


def test_accusation_can_be_taken_back():
    made = verdicts("bcd")
    accuse(made, "b")
    assert made.noticed("b", "a", generation=1, state=ALIVE) == ""
    assert accuse(made, "c") == [""]


@pytest.mark.parametrize(("generation", "counts"), [(1, False), (2, True), (3, False), (0, True)])
def test_only_what_is_said_of_the_present_process_counts(generation, counts):
    """0: the watcher never heard of any."""
    made = verdicts("b")
    made.arrived("a", 2, now_s=1.0)
    assert bool(accuse(made, "b", generation)[0]) is counts


def test_dead_accuse_nobody_and_are_not_asked():
    made = verdicts("bcde")
    accuse(made, "bc")
    assert made.condemn("b")
    assert made.condemn("c")
    assert accuse(made, "d") == [""]  # of d and e
    assert accuse(made, "e") == ["2 of 2 neighbours hear nothing"]


def test_one_is_condemned_once_until_somebody_takes_its_place():
    made = verdicts()
    assert [made.condemn("a"), made.condemn("a")] == [True, False]
    assert made.lost == {"a"}
    assert accuse(made, "bcde") == [""] * 4
    made.arrived("a", 2, now_s=1.0)
    assert made.lost == frozenset()
    assert made.condemn("a")


def test_accusations_of_a_process_do_not_outlive_it():
    made = verdicts("bcd")
    accuse(made, "b")
    made.arrived("a", 2, now_s=1.0)
    assert accuse(made, "c", generation=2) == [""]


def test_silence_for_long_is_a_death_of_its_own():
    made = verdicts()
    made.heard("b", SILENCE_S)
    assert made.silent(SILENCE_S) == []
    assert made.silent(SILENCE_S + 0.1) == ["a", "c", "d", "e"]
    made.condemn("c")
    assert made.silent(SILENCE_S + 0.1) == ["a", "d", "e"]
    assert (made.heard_s("a"), made.heard_s("b")) == (0.0, SILENCE_S)


def test_replaced_agent_has_a_whole_silence_to_speak():
    made = verdicts()
    made.condemn("a")
    made.arrived("a", 2, now_s=100.0)
    assert "a" not in made.silent(100.0 + SILENCE_S)


@given(accusers=st.lists(st.sampled_from("bcde"), max_size=12), lost=st.sets(st.sampled_from("bcde")))
def test_death_is_found_exactly_when_more_than_half_of_the_living_say_so(accusers, lost):
    made = verdicts("bcde")
    for agent in sorted(lost):
        made.condemn(agent)
    living = set("bcde") - lost
    for number, evidence in enumerate(accuse(made, accusers), start=1):
        agreed = set(accusers[:number]) & living
        assert bool(evidence) is (2 * len(agreed) > len(living))
