"""The state store does what plain dictionaries would do, whatever is asked of it and however often it is reopened."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from orchestrator.store import open_store
from orchestrator.store.changes import CloseIntent, OpenIntent, RecordEvent, SaveAgent, SaveOrder, SaveSandbox, SetPhase
from orchestrator.store.errors import StoreError
from orchestrator.store.records import (
    AgentRecord,
    BrokerOrder,
    OrderState,
    Outcome,
    SandboxRecord,
    SandboxState,
    SwarmPhase,
)
from tests.store.store_model import StoreModel
from workers.state import AgentState

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ENOUGH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

# Few names and few moments, so that what is asked for often meets what is there already.
names = st.sampled_from(["a", "B"])
moments = st.sampled_from([NOON + timedelta(seconds=seconds) for seconds in (0, 1, 2, 2.000001, 60)])
durations = st.sampled_from([0, 1, 2])
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
facts = st.one_of(st.just({}), st.dictionaries(st.text(max_size=4), values, max_size=2))
agents = st.builds(
    AgentRecord,
    name=names,
    generation=st.integers(1, 3),
    state=st.sampled_from(AgentState),
    sandbox=names,
    revision=names,
)
sandboxes = st.builds(
    SandboxRecord,
    id=names,
    agent=st.just("a"),
    generation=st.sampled_from([1, 1, 2]),
    state=st.sampled_from(SandboxState),
    started_at=st.just(NOON),
    lease_until=moments,
)
orders = st.builds(
    BrokerOrder,
    key=names,
    symbol=st.sampled_from(["A", "A", "B"]),
    state=st.sampled_from([OrderState.INTENDED, OrderState.UNKNOWN, OrderState.FILLED]),
    facts=facts,
)
changes = st.one_of(
    st.builds(SetPhase, phase=st.sampled_from([SwarmPhase.STOPPED, SwarmPhase.TRADING])),
    st.builds(SaveAgent, agents),
    st.builds(SaveSandbox, sandboxes),
    st.builds(OpenIntent, key=names, kind=st.just("create"), subject=st.just("a")),
    st.builds(OpenIntent, key=names, kind=st.just("create"), subject=names, facts=facts),
    st.builds(CloseIntent, key=names, outcome=st.sampled_from([Outcome.DONE, Outcome.FAILED])),
    st.builds(SaveOrder, orders),
    st.builds(RecordEvent, event=names, subject=names, facts=facts),
)


class Place:
    """A store that stays open from step to step, and its event loop."""

    def __init__(self, state):
        self.state = state

    def __enter__(self):
        self.runner = asyncio.Runner()
        self.run = self.runner.run
        self.open()
        return self

    def __exit__(self, *exception):
        self.close()
        self.runner.close()

    def open(self):
        self.context = open_store(self.state)
        self.store = self.run(self.context.__aenter__())

    def close(self):
        self.run(self.context.__aexit__(None, None, None))

    def reopen(self):
        if self.state != ":memory:":
            self.close()
            self.open()


class StoreMachine(RuleBasedStateMachine):
    """Every machine has swarms of its own, so that one place can serve many."""

    leases = Bundle("leases")
    numbers = itertools.count()

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.prefix = f"m{next(self.numbers)}-"
        self.model = StoreModel()
        self.touched = set()

    def teardown(self):
        self.touched = set(self.model.swarms)
        self.both_say_the_same()

    def both(self, call, *arguments, **named):
        """Ask the store and the model for the same; they give the same, or refuse for the same reason."""
        about = arguments[0]
        self.touched.add(about if isinstance(about, str) else about.swarm)
        try:
            expected, error = getattr(self.model, call)(*arguments, **named), None
        except StoreError as raised:
            expected, error = None, type(raised)
        try:
            found, refused = self.place.run(getattr(self.place.store, call)(*arguments, **named)), None
        except StoreError as raised:
            found, refused = None, type(raised)
        assert (found, refused) == (expected, error)
        return found

    @initialize(target=leases)
    def begin(self):
        self.both("found", self.prefix + "a", {}, now=NOON)
        return self.both("acquire", self.prefix + "a", "a", now=NOON, lease_s=1)

    @rule(name=names, spec=facts, now=moments)
    def found(self, name, spec, now):
        self.both("found", self.prefix + name, spec, now=now)

    @rule(target=leases, name=names, holder=names, now=moments, lease_s=durations)
    def acquire(self, name, holder, now, lease_s):
        lease = self.both("acquire", self.prefix + name, holder, now=now, lease_s=lease_s)
        return multiple() if lease is None else lease

    @rule(lease=leases, now=moments, lease_s=durations)
    def renew(self, lease, now, lease_s):
        self.both("renew", lease, now=now, lease_s=lease_s)

    @rule(lease=leases, now=moments)
    def release(self, lease, now):
        self.both("release", lease, now=now)

    @rule(lease=leases, change=changes, now=moments)
    def commit_one(self, lease, change, now):
        self.both("commit", lease, [change], now=now)

    @rule(lease=leases, several=st.lists(changes, max_size=4), now=moments)
    def commit_several(self, lease, several, now):
        self.both("commit", lease, several, now=now)

    @rule()
    def reopen(self):
        self.touched = set(self.model.swarms)
        self.place.reopen()

    @invariant()
    def both_say_the_same(self):
        """Looked at after every step for the swarm it was about, and for all at the end."""
        for name in sorted(self.touched & self.model.swarms.keys()):
            swarm = self.model.swarms[name]
            assert self.place.run(self.place.store.read(name)) == swarm.state()
            assert list(self.place.run(self.place.store.events(name))) == swarm.events
        self.touched.clear()


def check(state, **limits):
    bounds = settings(deadline=None, suppress_health_check=ENOUGH, **limits)
    with Place(state) as place:
        run_state_machine_as_test(partial(StoreMachine, place), settings=bounds)


def test_store_in_memory_behaves_like_dictionaries():
    check(":memory:", max_examples=40, stateful_step_count=40)


def test_store_that_is_reopened_behaves_like_dictionaries(state):
    check(state, max_examples=10, stateful_step_count=25)
