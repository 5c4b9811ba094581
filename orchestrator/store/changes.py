"""What a coordinator may write, as values. A list of them is written in one transaction, all or none, in order.

Before an effect outside: OpenIntent, with what it is for (an agent's next generation, say). After it: CloseIntent,
with what it brought (the sandbox, the agent that is bound to it, the event). A crash in between leaves an open
intent to be found, never an effect that nobody remembers. Writing the same change twice is writing it once, except
for an event.
"""

from dataclasses import dataclass, field

from orchestrator.store.records import AgentRecord, BrokerOrder, Facts, Outcome, SandboxRecord, SwarmPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPhase:
    """Say how far the swarm is. STOPPED is refused while an intent is open or a sandbox is running."""

    phase: SwarmPhase


@dataclass(frozen=True, slots=True)
class SaveAgent:
    """Write an agent as it should be. Its generation may not fall."""

    agent: AgentRecord


@dataclass(frozen=True, slots=True)
class SaveSandbox:
    """Write a sandbox. One that has ended stays ended; whose it is does not change."""

    sandbox: SandboxRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIntent:
    """Set out to do something. A key is used once in a swarm's life; opening it again says the same or is refused."""

    key: str
    kind: str
    subject: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseIntent:
    """Say how an intent ended. Its first outcome is final."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SaveOrder:
    """Write where an order stands. A final state stays, none goes back to INTENDED, and its symbol does not change."""

    order: BrokerOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """Append a fact to the swarm's history."""

    event: str
    subject: str
    facts: Facts = field(default_factory=dict)


Change = SetPhase | SaveAgent | SaveSandbox | OpenIntent | CloseIntent | SaveOrder | RecordEvent
