"""Agents that stall, die, come back late and repeat themselves: each task still has exactly one effect."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from topologies.leases import Completion, TaskLeases, TaskState

LEASE_S, ATTEMPTS_MAX = 2.0, 3
AGENTS = st.sampled_from("abc")


class UnreliableAgents(RuleBasedStateMachine):
    """A dispatcher that grants tasks, and agents that may do anything with any lease they ever had, at any time."""

    leases_held = Bundle("leases_held")

    def __init__(self):
        super().__init__()
        self.leases = TaskLeases(lease_s=LEASE_S, attempts_max=ATTEMPTS_MAX, retention_s=1e9)
        self.now = 0.0
        self.tasks = []
        self.effects = Counter()
        self.granted = {}
        self.withdrawn = set()

    @rule()
    def add(self):
        key = f"task-{len(self.tasks)}"
        assert self.leases.add(key)
        self.tasks.append(key)

    @rule(target=leases_held, holder=AGENTS)
    def grant_all_pending(self, holder):
        given = [self.leases.grant(key, holder, now=self.now) for key in self.leases.keys(TaskState.PENDING)]
        for lease in given:
            assert lease.token == self.granted.get(lease.key, 0) + 1 <= ATTEMPTS_MAX
            self.granted[lease.key] = lease.token
        return multiple(*given)

    @rule(seconds=st.floats(0.01, 3.0), is_noticed=st.booleans())
    def wait(self, seconds, is_noticed):
        self.now += seconds
        if is_noticed:
            self.leases.expire(now=self.now)

    @rule(target=leases_held, lease=leases_held)
    def renew(self, lease):
        renewed = self.leases.renew(lease, now=self.now)
        if renewed is None:
            return multiple()
        assert renewed.token == self.granted[lease.key]
        assert renewed.deadline_s == self.now + LEASE_S
        return renewed

    @rule(lease=leases_held)
    def complete(self, lease):
        """The lease stays in the bundle: the completion may be repeated, by a retry or a duplicate delivery."""
        is_accepted = self.leases.complete(lease, now=self.now) is Completion.ACCEPTED
        assert not is_accepted or lease.token == self.granted[lease.key]
        self.effects[lease.key] += is_accepted

    @rule(lease=consumes(leases_held))
    def die_with(self, lease):
        self.leases.release(lease.holder, now=self.now)

    @rule(data=st.data())
    def withdraw(self, data):
        if self.tasks:
            key = data.draw(st.sampled_from(self.tasks))
            if self.leases.withdraw(key, now=self.now):
                self.withdrawn.add(key)

    @invariant()
    def effects_are_at_most_one_and_done_is_what_had_one(self):
        assert set(self.effects.values()) <= {0, 1}
        assert set(self.leases.keys(TaskState.DONE)) == {key for key, number in self.effects.items() if number}

    @invariant()
    def every_task_is_in_one_state(self):
        listed = [key for state in TaskState for key in self.leases.keys(state)]
        assert sorted(listed) == sorted(self.tasks)

    def teardown(self):
        """A sound agent does all that is left: what was not withdrawn or given up has had its one effect."""
        self.now += LEASE_S
        self.leases.expire(now=self.now)
        for key in self.leases.keys(TaskState.PENDING):
            lease = self.leases.grant(key, "sound", now=self.now)
            assert self.leases.complete(lease, now=self.now) is Completion.ACCEPTED
            self.effects[key] += 1
        given_up = set(self.leases.keys(TaskState.EXHAUSTED)) | self.withdrawn
        assert {key: 1 for key in self.tasks if key not in given_up} == +self.effects
        assert all(self.granted[key] == ATTEMPTS_MAX for key in self.leases.keys(TaskState.EXHAUSTED))


TestUnreliableAgents = UnreliableAgents.TestCase
TestUnreliableAgents.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
