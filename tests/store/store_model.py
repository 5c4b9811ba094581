"""What the state store should do, as plain dictionaries: the model that the real one is compared with."""

import copy
from dataclasses import dataclass, field
from datetime import timedelta

from orchestrator.store.changes import CloseIntent, OpenIntent, RecordEvent, SaveAgent, SaveOrder, SaveSandbox, SetPhase
from orchestrator.store.errors import LeaseHeld, LeaseLost, StoreConflict, SwarmExists, SwarmUnknown
from orchestrator.store.records import (
    ORDER_STATES_FINAL,
    EventRecord,
    Intent,
    Lease,
    OrderState,
    SandboxState,
    SwarmPhase,
    SwarmRecord,
    SwarmState,
)


@dataclass
class ModelSwarm:
    record: SwarmRecord
    lease: Lease | None = None
    agents: dict = field(default_factory=dict)
    sandboxes: dict = field(default_factory=dict)
    intents: dict = field(default_factory=dict)  # key to [intent, outcome or None]
    orders: dict = field(default_factory=dict)
    events: list = field(default_factory=list)

    def state(self):
        return SwarmState(
            swarm=self.record,
            lease=self.lease,
            agents=tuple(self.agents[name] for name in sorted(self.agents)),
            sandboxes=tuple(self.sandboxes[name] for name in sorted(self.sandboxes)),
            intents=tuple(intent for _, (intent, outcome) in sorted(self.intents.items()) if outcome is None),
            orders=tuple(one for _, one in sorted(self.orders.items()) if one.state not in ORDER_STATES_FINAL),
            events_last=len(self.events),
        )


class StoreModel:
    def __init__(self):
        self.swarms = {}

    def found(self, name, spec, *, now):
        known = self.swarms.get(name)
        if known is not None and known.record.phase is not SwarmPhase.STOPPED:
            raise SwarmExists
        run = 1 if known is None else known.record.run + 1
        record = SwarmRecord(name=name, run=run, phase=SwarmPhase.LAUNCHING, spec=spec, founded_at=now, changed_at=now)
        if known is None:
            self.swarms[name] = ModelSwarm(record)
        else:
            known.record = record
        return record

    def acquire(self, name, holder, *, now, lease_s):
        if name not in self.swarms:
            raise SwarmUnknown
        swarm = self.swarms[name]
        held = swarm.lease
        if held is not None and held.holder != holder and held.expires_at > now:
            raise LeaseHeld("held", holder=held.holder, until=held.expires_at)
        token = 1 if held is None else held.token + 1
        swarm.lease = Lease(swarm=name, holder=holder, token=token, expires_at=now + timedelta(seconds=lease_s))
        return swarm.lease

    def renew(self, lease, *, now, lease_s):
        swarm = self._fenced(lease)
        swarm.lease = Lease(
            swarm=lease.swarm, holder=lease.holder, token=lease.token, expires_at=now + timedelta(seconds=lease_s)
        )
        return swarm.lease

    def release(self, lease, *, now):
        self.renew(lease, now=now, lease_s=0)

    def commit(self, lease, changes, *, now):
        swarm = copy.deepcopy(self._fenced(lease))
        for change in changes:
            apply(swarm, change, token=lease.token, now=now)
        self.swarms[lease.swarm] = swarm
        return len(swarm.events)

    def _fenced(self, lease):
        swarm = self.swarms[lease.swarm]
        if swarm.lease is None or swarm.lease.token != lease.token:
            raise LeaseLost
        return swarm


def require(is_allowed):
    if not is_allowed:
        raise StoreConflict


def apply(swarm, change, *, token, now):
    match change:
        case SetPhase(phase=phase):
            is_open = any(outcome is None for _, outcome in swarm.intents.values())
            is_running = any(found.state is SandboxState.RUNNING for found in swarm.sandboxes.values())
            require(phase is not SwarmPhase.STOPPED or not (is_open or is_running))
            old = swarm.record
            swarm.record = SwarmRecord(
                name=old.name, run=old.run, phase=phase, spec=old.spec, founded_at=old.founded_at, changed_at=now
            )
        case SaveAgent(agent=agent):
            before = swarm.agents.get(agent.name)
            require(before is None or before.generation <= agent.generation)
            swarm.agents[agent.name] = agent
        case SaveSandbox(sandbox=sandbox):
            before = swarm.sandboxes.get(sandbox.id)
            if before is not None:
                require(before.state is SandboxState.RUNNING or sandbox.state is SandboxState.ENDED)
                require((before.agent, before.generation) == (sandbox.agent, sandbox.generation))
                require(before.started_at == sandbox.started_at)
            swarm.sandboxes[sandbox.id] = sandbox
        case OpenIntent(key=key, kind=kind, subject=subject, facts=facts):
            intent, outcome = swarm.intents.get(key, (None, None))
            require(outcome is None)
            require(intent is None or (intent.kind, intent.subject, intent.facts) == (kind, subject, facts))
            if intent is None:
                opened = Intent(key=key, kind=kind, subject=subject, facts=facts, token=token, opened_at=now)
                swarm.intents[key] = (opened, None)
        case CloseIntent(key=key, outcome=outcome):
            require(key in swarm.intents)
            intent, before = swarm.intents[key]
            require(before in {None, outcome})
            swarm.intents[key] = (intent, outcome)
        case SaveOrder(order=order):
            before = swarm.orders.get(order.key)
            if before is not None:
                require(before.symbol == order.symbol)
                is_change = before.state is not order.state
                require(not (is_change and before.state in ORDER_STATES_FINAL))
                require(not (is_change and order.state is OrderState.INTENDED))
            swarm.orders[order.key] = order
        case RecordEvent(event=event, subject=subject, facts=facts):
            swarm.events.append(
                EventRecord(
                    sequence=len(swarm.events) + 1, at=now, event=event, subject=subject, facts=facts, token=token
                )
            )
