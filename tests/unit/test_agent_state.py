"""The states of an agent."""

import pytest

from workers.state import TRANSITIONS, AgentState, can_follow


@pytest.mark.parametrize("state", list(AgentState))
def test_every_state_has_its_successors_and_may_stay(state):
    assert can_follow(state, state)
    assert {other for other in AgentState if can_follow(state, other)} == TRANSITIONS[state] | {state}


def test_only_the_end_is_final():
    assert [state for state, following in TRANSITIONS.items() if not following] == [AgentState.OFFLINE]


@pytest.mark.parametrize(
    ("state", "following"),
    [
        pytest.param("ERROR", "READY", id="an error is not forgotten"),
        pytest.param("DRAINING", "BUSY", id="who leaves takes no work"),
        pytest.param("INITIALIZING", "BUSY", id="no work before the links are up"),
        pytest.param("READY", "INITIALIZING", id="no way back"),
    ],
)
def test_some_ways_are_closed(state, following):
    assert not can_follow(AgentState(state), AgentState(following))
