"""A world in which what reconciliation says is carried out as a coordinator would, at once and without failure."""

from dataclasses import dataclass, field
from datetime import timedelta

from sandboxes.reconcile import (
    Abandon,
    Adopt,
    Create,
    Kill,
    Observed,
    OpenCreate,
    Renew,
    Situation,
    WantedAgent,
    reconcile,
)


@dataclass
class World:
    now: object
    policy: object
    observed: dict = field(default_factory=dict)
    wanted: dict = field(default_factory=dict)
    creates: dict = field(default_factory=dict)
    spares: dict = field(default_factory=dict)
    made: int = 0

    @classmethod
    def of(cls, situation, policy, *, now):
        return cls(
            now=now,
            policy=policy,
            observed={one.id: one for one in situation.observed},
            wanted={agent.name: agent for agent in situation.wanted},
            creates={(one.agent, one.generation): one for one in situation.creates},
            spares=dict(situation.spares),
        )

    @property
    def situation(self):
        return Situation(
            observed=tuple(self.observed.values()),
            wanted=tuple(self.wanted.values()),
            creates=tuple(self.creates.values()),
            spares=dict(self.spares),
        )

    @property
    def pending(self):
        return self.creates.keys() - {(one.agent, one.generation) for one in self.known}

    @property
    def known(self):
        return [one for one in self.observed.values() if one.id not in self.spares]

    def decide(self):
        return reconcile(self.situation, self.policy, now=self.now)

    def apply(self, actions):
        for action in actions:
            self.apply_one(action)
        return actions

    def apply_one(self, action):
        match action:
            case Kill(sandbox=sandbox):
                del self.observed[sandbox]
                self.spares.pop(sandbox, None)
            case Abandon(agent=agent, generation=generation):
                del self.creates[agent, generation]
            case Adopt(agent=agent, generation=generation, sandbox=sandbox):
                self.creates.pop((agent, generation), None)
                self.wanted[agent] = WantedAgent(name=agent, generation=generation, sandbox=sandbox, bound_at=self.now)
            case Renew(sandbox=sandbox, until=until):
                old = self.observed[sandbox]
                self.observed[sandbox] = Observed(
                    id=old.id, agent=old.agent, generation=old.generation, started_at=old.started_at, ends_at=until
                )
            case Create(agent=agent, generation=generation):
                self.creates[agent, generation] = OpenCreate(
                    agent=agent, generation=generation, opened_at=self.now, is_ours=True
                )
                self.wanted[agent] = WantedAgent(name=agent, generation=generation, sandbox="", bound_at=self.now)

    def pass_time(self, seconds):
        """Let creations of ours succeed, and leases run out."""
        self.now += timedelta(seconds=seconds)
        for (agent, generation), create in sorted(self.creates.items()):
            if not create.is_ours:
                continue
            del self.creates[agent, generation]
            known = [one.id for one in self.known if (one.agent, one.generation) == (agent, generation)]
            self.made += 1
            sandbox = known[0] if known else f"made-{self.made:04}"
            if not known:
                self.observed[sandbox] = Observed(
                    id=sandbox,
                    agent=agent,
                    generation=generation,
                    started_at=self.now,
                    ends_at=self.now + timedelta(seconds=self.policy.lease_s),
                )
            if agent in self.wanted and self.wanted[agent].generation == generation:
                self.wanted[agent] = WantedAgent(name=agent, generation=generation, sandbox=sandbox, bound_at=self.now)
        self.observed = {name: one for name, one in self.observed.items() if one.ends_at > self.now}
