"""What to do so that the sandboxes that exist become those that are wanted. Values in, values out; no I/O, no clock.

Called every 20 to 60 s with what the provider lists, and at once when something changed. It remembers nothing: an
action that was lost is given again next time, and once all are carried out there are none.

The rules, in order. Of each wanted agent one sandbox is kept: the newest of its wanted generation or above. Until
that one is there the newest of the older ones works on. Whatever else carries the swarm's name is killed - at once
when we know what it is, after a grace when we do not. What is kept is adopted and renewed. What is missing is made,
in a new generation if the last one was there before; what comes near the longest session is replaced by a new
generation first, or, where no slot is free, killed and made again. Nothing is made beyond the capacity.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A sandbox as the provider lists it: the metadata it was made with, and when it ends unless renewed."""

    id: str
    agent: str
    generation: int
    started_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAgent:
    """An agent that should run. `sandbox`: the one it is known to be in in this generation, "" while there is none.

    `bound_at`: since when it is known to be there; a listing may lag behind that.
    """

    name: str
    generation: int
    sandbox: str
    bound_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCreate:
    """A creation that was set out on and whose end is not recorded. `is_ours`: this very process is at it."""

    agent: str
    generation: int
    opened_at: datetime
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that is known. `spares`: sandboxes that are kept without an agent, and since when each has been idle."""

    observed: Sequence[Observed]
    wanted: Sequence[WantedAgent]
    creates: Sequence[OpenCreate] = ()
    spares: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilePolicy:
    """The limits, in seconds and sandboxes.

    `capacity`: how many of the swarm may exist. `grace_s`: for how long what is not known may live, what was bound
    may be missing from the listing, and what may still come of a creation that is not wanted any more is waited for;
    longer than a creation takes. `lease_s`: how long one lives without renewal. `session_s_max`: from a sandbox's
    start to its end, whatever its lease; `rotate_before_s`: how long before that it is replaced. `rotations_max`: how
    many agents may be without a settled sandbox before no more are replaced. `idle_s_max`: how long a spare is kept.
    """

    capacity: int
    grace_s: float = 60.0
    lease_s: float = 300.0
    session_s_max: float = 3600.0
    rotate_before_s: float = 600.0
    rotations_max: int = 2
    idle_s_max: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.rotate_before_s < self.session_s_max:
            raise ValueError(
                f"rotating {self.rotate_before_s:g} s before the end of a session of {self.session_s_max:g} s "
                "would never stop; rotate later"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """End a sandbox."""

    sandbox: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Take a sandbox for its agent; its creation has succeeded."""

    agent: str
    generation: int
    sandbox: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Let a sandbox live until then."""

    sandbox: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make an agent's sandbox. The generation becomes the wanted one, and the creation an open one, before asking."""

    agent: str
    generation: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """Close a creation that is not wanted any more and of which nothing came."""

    agent: str
    generation: int


Action = Kill | Adopt | Renew | Abandon | Create
"""In the order in which they are given: what frees slots comes before what takes them."""


def reconcile(situation: Situation, policy: ReconcilePolicy, *, now: datetime) -> Sequence[Action]:
    """Decide what to do. Equal values give equal actions, whatever the order of what was observed."""
    view = _View(situation, policy, now=now)
    kills = {kill.sandbox: kill for kill in (*_kills_of_agents(view), *_kills_of_others(view))}
    wishes = (*_missing(view), *_rotations(view))
    unwished = view.creates.keys() - {(create.agent, create.generation) for create, _ in wishes}
    left = {_key(one) for one in view.known if one.id not in kills}
    pending = view.creates.keys() - left - _abandoned(view, unwished, kills=kills)
    free = policy.capacity - (len(view.observed) - len(kills)) - len(pending)
    creates: list[Create] = []
    for create, replaced in wishes:
        cost = 0 if (create.agent, create.generation) in pending else 1
        # a successor begun before has its slot: to end the old one would free one for others, too late for this time
        if replaced is not None and free == 0 and cost > 0:
            kills[replaced.id] = Kill(sandbox=replaced.id, reason=f"{create.reason}, and no slot is free")
            free += 1
        if free >= cost:
            creates.append(create)
            free -= cost
    abandons = [
        Abandon(agent=agent, generation=number) for agent, number in sorted(_abandoned(view, unwished, kills=kills))
    ]
    adopts = [adopt for adopt in _adoptions(view) if adopt.sandbox not in kills]
    renews = [renew for renew in _renewals(view) if renew.sandbox not in kills]
    return (*(kills[sandbox] for sandbox in sorted(kills)), *abandons, *adopts, *renews, *creates)


class _View:
    """The situation in a fixed order. A key is an agent's name and a generation.

    `heads`: of each agent the sandbox that is to be kept, if it is there. `stand_ins`: the newest older one, which
    works on while there is no head or its creation is still under way here. `known`: all that are not spares.
    """

    def __init__(self, situation: Situation, policy: ReconcilePolicy, *, now: datetime) -> None:
        self.policy, self.now = policy, now
        self.spares = situation.spares
        self.observed = sorted(situation.observed, key=lambda one: one.id)
        self.wanted = {agent.name: agent for agent in sorted(situation.wanted, key=lambda agent: agent.name)}
        self.creates = {
            (one.agent, one.generation): one
            for one in sorted(situation.creates, key=lambda one: (one.agent, one.generation))
        }
        self.known = [one for one in self.observed if one.id not in self.spares]
        self.heads: dict[str, Observed] = {}
        self.stand_ins: dict[str, Observed] = {}
        for agent in self.wanted.values():
            ranked = sorted(self.of(agent.name), key=lambda one: (one.generation, one.id == agent.sandbox, one.id))
            if ranked and ranked[-1].generation >= agent.generation:
                self.heads[agent.name] = ranked[-1]
            older = [one for one in ranked if one.generation < agent.generation]
            if older and (agent.name not in self.heads or self.is_under_way(self.heads[agent.name])):
                self.stand_ins[agent.name] = older[-1]

    def of(self, agent: str) -> Sequence[Observed]:
        return [one for one in self.known if one.agent == agent]

    def is_under_way(self, one: Observed) -> bool:
        """Say whether this process is at making it: then whoever does will say when it is ready."""
        create = self.creates.get(_key(one))
        return create is not None and create.is_ours

    def is_past(self, moment: datetime, seconds: float) -> bool:
        return self.now - moment >= timedelta(seconds=seconds)

    def is_due_to_rotate(self, one: Observed) -> bool:
        return self.is_past(one.started_at, self.policy.session_s_max - self.policy.rotate_before_s)


def _key(one: Observed) -> tuple[str, int]:
    return one.agent, one.generation


def _kills_of_agents(view: _View) -> Iterator[Kill]:
    """Of each wanted agent, all but the one that is kept and the one that stands in for it."""
    for name in view.wanted:
        head, stand_in = view.heads.get(name), view.stand_ins.get(name)
        for one in view.of(name):
            if one not in (head, stand_in):
                newer = head or stand_in
                is_double = newer is not None and newer.generation == one.generation
                yield Kill(sandbox=one.id, reason="double" if is_double else "an older generation")


def _kills_of_others(view: _View) -> Iterator[Kill]:
    for one in view.observed:
        if one.id in view.spares:
            if view.is_past(view.spares[one.id], view.policy.idle_s_max):
                yield Kill(sandbox=one.id, reason="idle")
            elif view.is_due_to_rotate(one):
                yield Kill(sandbox=one.id, reason="near the end of its session")
        elif one.agent not in view.wanted:
            if _key(one) in view.creates:
                yield Kill(sandbox=one.id, reason="not wanted any more")
            elif view.is_past(one.started_at, view.policy.grace_s):
                yield Kill(sandbox=one.id, reason="unknown")


def _abandoned(
    view: _View, keys: AbstractSet[tuple[str, int]], *, kills: Mapping[str, Kill]
) -> AbstractSet[tuple[str, int]]:
    """Choose the creations that nobody is at and that can be closed: what came is killed, or nothing will come."""
    chosen: set[tuple[str, int]] = set()
    for key in keys:
        create, made = view.creates[key], [one for one in view.known if _key(one) == key]
        is_over = all(one.id in kills for one in made) if made else view.is_past(create.opened_at, view.policy.grace_s)
        if is_over and not create.is_ours:
            chosen.add(key)
    return chosen


def _missing(view: _View) -> Iterator[tuple[Create, None]]:
    for name, agent in view.wanted.items():
        if name in view.heads:
            continue
        create = view.creates.get((name, agent.generation))
        if create is not None:
            if not create.is_ours:  # left by a coordinator before us: the same key gives the same sandbox
                yield Create(agent=name, generation=agent.generation, reason="begun before"), None
        elif not agent.sandbox:
            yield Create(agent=name, generation=agent.generation, reason="missing"), None
        elif view.is_past(agent.bound_at, view.policy.grace_s):
            yield Create(agent=name, generation=agent.generation + 1, reason="gone"), None


def _rotations(view: _View) -> Iterator[tuple[Create, Observed]]:
    """Replace what comes near the longest session, the oldest first, a few at a time."""
    settled = [head for head in view.heads.values() if not view.is_under_way(head)]
    under_way = len(view.wanted) - len(settled)
    due = [head for head in settled if view.is_due_to_rotate(head)]
    due.sort(key=lambda head: (head.started_at, head.id))
    for head in due[: max(0, view.policy.rotations_max - under_way)]:
        yield Create(agent=head.agent, generation=head.generation + 1, reason="near the end of its session"), head


def _adoptions(view: _View) -> Iterator[Adopt]:
    for name, head in view.heads.items():
        agent = view.wanted[name]
        is_bound = (agent.sandbox, agent.generation) == (head.id, head.generation)
        if not view.is_under_way(head) and not (is_bound and _key(head) not in view.creates):
            yield Adopt(agent=name, generation=head.generation, sandbox=head.id)


def _renewals(view: _View) -> Iterator[Renew]:
    """Renew what is kept when a third of its lease is over, but not beyond its longest session."""
    lease = timedelta(seconds=view.policy.lease_s)
    spares = [one for one in view.observed if one.id in view.spares]
    for one in sorted((*view.heads.values(), *view.stand_ins.values(), *spares), key=lambda one: one.id):
        until = min(view.now + lease, one.started_at + timedelta(seconds=view.policy.session_s_max))
        if one.ends_at - view.now < lease * 2 / 3 and until > one.ends_at:
            yield Renew(sandbox=one.id, until=until)
