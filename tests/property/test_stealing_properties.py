"""Whatever is stolen, nothing is lost or doubled, nobody gets what it cannot do, and no branch ends later for it."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.messages import Task
from topologies.stealing import Backlog, StolenTasks, apply_steals, confirm, plan_steals

ABLE = {"a": "m", "b": "mr", "c": "r", "d": "mr"}


@st.composite
def crews(draw):
    crew = {}
    for agent, strategies in ABLE.items():
        wanted = draw(st.lists(st.sampled_from(strategies), max_size=8))
        crew[agent] = Backlog(
            agent=agent,
            strategies=frozenset(strategies),
            queued=tuple(Task(f"1/{agent}{index}/{name}", "X", name) for index, name in enumerate(wanted)),
            running=draw(st.integers(0, 3)),
            task_s=draw(st.floats(0.01, 5.0)),
        )
    return crew


def keys_of(crew):
    return Counter(task.key for backlog in crew.values() for task in backlog.queued)


@settings(deadline=None)
@given(crew=crews())
def test_stealing_conserves_tasks_and_never_makes_the_last_end_later(crew):
    steals = plan_steals(list(crew.values()), stolen=())
    after = apply_steals(crew, steals)
    assert keys_of(after) == keys_of(crew)
    assert all(task.strategy in backlog.strategies for backlog in after.values() for task in backlog.queued)
    assert max(one.left_s for one in after.values()) <= max(one.left_s for one in crew.values()) + 1e-9
    assert set(Counter(steal.task.key for steal in steals).values()) <= {1}


@settings(deadline=None)
@given(crew=crews(), begun=st.integers(0, 8), rounds=st.integers(1, 4))
def test_old_plans_and_many_rounds_move_a_task_at_most_once_in_an_epoch(crew, begun, rounds):
    """Victims begin tasks between plan and confirmation, and plans are made again and again."""
    book, moved = StolenTasks(), Counter()
    for _ in range(rounds):
        plan = plan_steals(list(crew.values()), stolen=book.keys(epoch=1), imbalance_min=0.0, transfer_s=0.0)
        confirmed = []
        for agent, backlog in crew.items():
            still = backlog.queued[begun:] if len(moved) == 0 else backlog.queued
            confirmed += confirm(still, victim=agent, steals=plan)
        book.note(confirmed, epoch=1)
        moved.update(steal.task.key for steal in confirmed)
        before = keys_of(crew)
        crew = apply_steals(crew, confirmed)
        assert keys_of(crew) == before
    assert set(moved.values()) <= {1}
