"""How each change is written. Called within a transaction that holds the swarm's row, so nothing moves meanwhile.

Every rule that two changes could break between them stands here: a generation never falls, an outcome is final.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import assert_never

import sqlalchemy as sa

from orchestrator.store.changes import (
    Change,
    CloseIntent,
    OpenIntent,
    RecordEvent,
    SaveAgent,
    SaveOrder,
    SaveSandbox,
    SetPhase,
)
from orchestrator.store.errors import StoreConflict
from orchestrator.store.records import (
    ORDER_STATES_FINAL,
    AgentRecord,
    BrokerOrder,
    OrderState,
    SandboxRecord,
    SandboxState,
    SwarmPhase,
)
from orchestrator.store.rows import SwarmRows
from orchestrator.store.tables import agents, events, intents, orders, sandboxes, swarms

SANDBOX_FIXED = ("agent", "generation", "started_at")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes what one coordinator, known by its fencing token, says at one moment."""

    rows: SwarmRows
    token: int
    now: datetime

    def write(self, changes: Sequence[Change]) -> int:
        """Write all, in order; return the last event's sequence number. Raises StoreConflict."""
        recorded: list[RecordEvent] = []
        for change in changes:
            match change:
                case SetPhase():
                    self._set_phase(change.phase)
                case SaveAgent():
                    self._save_agent(change.agent)
                case SaveSandbox():
                    self._save_sandbox(change.sandbox)
                case OpenIntent():
                    self._open(change)
                case CloseIntent():
                    self._close(change)
                case SaveOrder():
                    self._save_order(change.order)
                case RecordEvent():
                    recorded.append(change)
                case _:
                    assert_never(change)
        return self._append(recorded)

    def _set_phase(self, phase: SwarmPhase) -> None:
        if phase is SwarmPhase.STOPPED:
            unfinished = (
                (self.rows.count(intents, intents.c.outcome.is_(None)), "open intents"),
                (self.rows.count(sandboxes, sandboxes.c.state == SandboxState.RUNNING), "running sandboxes"),
            )
            for count, what in unfinished:
                if count:
                    raise StoreConflict(
                        f"swarm {self.rows.swarm} cannot be STOPPED: it has {count} {what}; end them first"
                    )
        self.rows.update_swarm({"phase": phase, "changed_at": self.now})

    def _save_agent(self, agent: AgentRecord) -> None:
        found = self.rows.find(agents, {"name": agent.name})
        if found is not None and agent.generation < found["generation"]:
            raise StoreConflict(
                f"{agent.name} is in generation {found['generation']}, it cannot go back to {agent.generation}"
            )
        self._put(agents, agent, found=found)

    def _save_sandbox(self, sandbox: SandboxRecord) -> None:
        found = self.rows.find(sandboxes, {"id": sandbox.id})
        if found is not None:
            if found["state"] is SandboxState.ENDED and sandbox.state is not SandboxState.ENDED:
                raise StoreConflict(f"sandbox {sandbox.id} has ended, it cannot be {sandbox.state}")
            _keep(f"sandbox {sandbox.id}", found, said={name: getattr(sandbox, name) for name in SANDBOX_FIXED})
        self._put(sandboxes, sandbox, found=found)

    def _open(self, change: OpenIntent) -> None:
        said = {"kind": change.kind, "subject": change.subject, "facts": dict(change.facts)}
        found = self.rows.find(intents, {"key": change.key})
        if found is None:
            opened = {"key": change.key, "token": self.token, "opened_at": self.now}
            self.rows.insert(intents, [said | opened])
        elif found["outcome"] is not None:
            raise StoreConflict(f"intent {change.key} ended {found['outcome']} already; a new attempt has a new key")
        else:
            _keep(f"intent {change.key}", found, said=said)

    def _close(self, change: CloseIntent) -> None:
        found = self.rows.find(intents, {"key": change.key})
        if found is None:
            raise StoreConflict(f"intent {change.key} cannot be closed: it was never opened")
        if found["outcome"] is None:
            self.rows.update(intents, {"key": change.key}, values={"outcome": change.outcome, "closed_at": self.now})
        elif found["outcome"] is not change.outcome:
            raise StoreConflict(f"intent {change.key} ended {found['outcome']}, it cannot end {change.outcome}")

    def _save_order(self, order: BrokerOrder) -> None:
        found = self.rows.find(orders, {"key": order.key})
        if found is not None:
            _keep(f"order {order.key}", found, said={"symbol": order.symbol})
            before, after = found["state"], order.state
            if before is not after and (before in ORDER_STATES_FINAL or after is OrderState.INTENDED):
                raise StoreConflict(f"order {order.key} is {before}, it cannot become {after}")
        self._put(orders, order, found=found)

    def _put(
        self, table: sa.Table, record: AgentRecord | SandboxRecord | BrokerOrder, *, found: sa.RowMapping | None
    ) -> None:
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        if found is None:
            self.rows.insert(table, [values])
        else:
            own_key = {column.name: found[column.name] for column in table.primary_key if column.name != "swarm"}
            self.rows.update(table, own_key, values=values)

    def _append(self, recorded: Sequence[RecordEvent]) -> int:
        counter = sa.select(swarms.c.events_last).where(swarms.c.name == self.rows.swarm)
        last: int = self.rows.connection.execute(counter).scalar_one()
        if not recorded:
            return last
        about = {"at": self.now, "token": self.token}
        self.rows.insert(
            events,
            [
                about | {"sequence": sequence, "event": one.event, "subject": one.subject, "facts": dict(one.facts)}
                for sequence, one in enumerate(recorded, last + 1)
            ],
        )
        last += len(recorded)
        self.rows.update_swarm({"events_last": last})
        return last


def _keep(what: str, found: sa.RowMapping, *, said: Mapping[str, object]) -> None:
    """Refuse to change what a record is about."""
    for name, value in said.items():
        if found[name] != value:
            raise StoreConflict(f"{what} has {name} {found[name]!r}, it cannot become {value!r}")
