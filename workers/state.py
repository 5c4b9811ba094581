"""The states of an agent, and which may follow which."""

from enum import StrEnum


class AgentState(StrEnum):
    """What an agent is doing, as users see it."""

    INITIALIZING = "INITIALIZING"
    READY = "READY"
    BUSY = "BUSY"
    DRAINING = "DRAINING"
    ERROR = "ERROR"
    OFFLINE = "OFFLINE"


TRANSITIONS: dict[AgentState, frozenset[AgentState]] = {
    AgentState.INITIALIZING: frozenset({AgentState.READY, AgentState.DRAINING, AgentState.ERROR, AgentState.OFFLINE}),
    AgentState.READY: frozenset({AgentState.BUSY, AgentState.DRAINING, AgentState.ERROR, AgentState.OFFLINE}),
    AgentState.BUSY: frozenset({AgentState.READY, AgentState.DRAINING, AgentState.ERROR, AgentState.OFFLINE}),
    AgentState.DRAINING: frozenset({AgentState.ERROR, AgentState.OFFLINE}),
    AgentState.ERROR: frozenset({AgentState.DRAINING, AgentState.OFFLINE}),
    AgentState.OFFLINE: frozenset(),
}


def can_follow(state: AgentState, following: AgentState) -> bool:
    """Say whether an agent may go from one state to another; staying is always allowed."""
    return state is following or following in TRANSITIONS[state]
