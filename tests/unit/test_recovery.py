"""Filling the places of the dead: killed first, replaced by one at a time, tried again, given up when it is no use."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import pytest

from orchestrator.control import AgentLost
from orchestrator.crew import SwarmFailed
from orchestrator.journal import Journal
from orchestrator.recovery import RESTARTS_MAX, RETRY_S, SILENCE_CHECK_S, Recovery
from orchestrator.verdicts import Verdicts
from sandboxes.provider import Sandbox, TemporarySandboxError
from topologies.detector import PeerState
from workers.codec import PeerNoticed
from workers.network import Endpoint

AGENTS = "abc"
START_S = 0.3


def sandbox_of(agent, generation=1):
    return Sandbox(id=f"{agent}{generation}", agent=agent, generation=generation, endpoint=Endpoint("", {}), pid=None)


class FakeCrew:
    """Notes what it is asked to do. `troubles[step]` are raised one after the other at that step."""

    def __init__(self, log, troubles):
        self.sandboxes = {agent: sandbox_of(agent) for agent in AGENTS}
        self.absent = set()
        self._log = log
        self._troubles = troubles

    async def bury(self, agent):
        self.absent.add(agent)
        self._do("bury", agent)

    async def open(self, sandboxes, _):
        (sandbox,) = sandboxes.values()
        self._do("open", sandbox.id)
        self.sandboxes |= sandboxes

    async def assign(self, agents, *, rounds_over, deadline_s):
        self._do("assign", f"{agents[0]} after {rounds_over}")

    async def welcome(self, agent):
        self.absent.discard(agent)
        self._do("welcome", agent)

    async def connect(self, agents, *, deadline_s):
        await anyio.sleep(0.1)
        self._do("connect", agents[0])

    def _do(self, step, subject):
        self._log.append((step, subject))
        if self._troubles.get(step):
            raise self._troubles[step].pop(0)


class FakeManager:
    """Replaces a sandbox in `START_S` seconds; `alive` names what exists."""

    def __init__(self, log, troubles):
        self.alive = {sandbox_of(agent).id for agent in AGENTS}
        self._log = log
        self._troubles = troubles

    async def replace(self, sandbox, *, generation):
        self._log.append(("kill", sandbox.id))
        self.alive.discard(sandbox.id)
        await anyio.sleep(START_S)
        if self._troubles.get("create"):
            raise self._troubles["create"].pop(0)
        made = sandbox_of(sandbox.agent, generation)
        self.alive.add(made.id)
        return made


class FakeFloor:
    def __init__(self, log):
        self.board = SimpleNamespace(rows={agent: SimpleNamespace(is_being_replaced=False) for agent in AGENTS})
        self._log = log

    async def play_again(self):
        self._log.append(("play again", ""))

    @asynccontextmanager
    async def admission(self):
        self._log.append(("hold", ""))
        yield 7
        self._log.append(("go on", ""))


class Scene:
    """A recovery with its surroundings, and the log of what it did to them."""

    def __init__(self, **troubles):
        self.log = []
        self.made = []
        self.crew = FakeCrew(self.log, troubles)
        self.manager = FakeManager(self.log, troubles)
        self.verdicts = Verdicts({agent: frozenset(AGENTS) - {agent} for agent in AGENTS})
        self.recovery = Recovery(
            crew=self.crew,
            assignments=SimpleNamespace(
                offices=SimpleNamespace(appoint=lambda agent: self.log.append(("appoint", agent)))
            ),
            manager=self.manager,
            network=None,
            floor=FakeFloor(self.log),
            journal=Journal(anyio.current_time),
            verdicts=self.verdicts,
            now_s=anyio.current_time,
            on_sandbox=lambda sandbox: self.made.append(sandbox.id),
        )

    @asynccontextmanager
    async def running(self):
        for agent in AGENTS:
            self.verdicts.arrived(agent, 1, now_s=anyio.current_time())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.recovery.run)
            tasks.start_soon(self._keep_talking)
            await anyio.sleep(0.01)
            yield self.recovery
            tasks.cancel_scope.cancel()

    async def _keep_talking(self):
        """Let everybody who is there be heard."""
        while True:
            for agent in AGENTS:
                self.verdicts.heard(agent, anyio.current_time())
            await anyio.sleep(0.25)

    def events(self, *kinds):
        return [entry.event for entry in self.recovery.journal.entries if not kinds or entry.event in kinds]


REPAIR = [
    ("bury", "a"),
    ("play again", ""),
    ("kill", "a1"),
    ("open", "a2"),
    ("hold", ""),
    ("appoint", "a"),
    ("assign", "a after 7"),
    ("welcome", "a"),
    ("connect", "a"),
    ("go on", ""),
]


def test_dead_agent_is_buried_killed_and_replaced_between_two_rounds(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.lose("a", "its connection broke")
            await anyio.sleep(5)
        assert scene.log == REPAIR
        assert (scene.manager.alive, scene.made) == ({"a2", "b1", "c1"}, ["a2"])
        assert scene.verdicts.lost == frozenset()
        (failover,) = recovery.failovers
        assert (failover.agent, failover.fault) == ("a", "its connection broke")
        assert failover.repaired_ms == pytest.approx(1000 * (START_S + 0.1))
        assert scene.events() == ["agent.lost", "agent.replaced"]

    run_virtual(main)


def test_who_has_no_process_that_works_is_known_meanwhile(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.lose("a", "gone")
            row = scene.recovery.floor.board.rows["a"]
            assert (recovery.lost, row.is_being_replaced) == ({"a"}, True)
            with anyio.fail_after(5):
                await recovery.changes.wait_until(lambda: not recovery.lost)
            await anyio.sleep(1)
            assert not row.is_being_replaced

    run_virtual(main)


def test_one_that_dies_while_the_swarm_drains_is_noted_and_not_replaced(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.note_silence("b")
        assert [(failover.agent, failover.repaired_ms) for failover in recovery.failovers] == [("b", None)]
        assert scene.log == []

    run_virtual(main)


def test_detection_is_counted_from_the_fault_where_that_is_known(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.faults["a"] = ("SIGKILL", anyio.current_time())
            await anyio.sleep(0.2)
            recovery.lose("a", "its connection broke")
            await anyio.sleep(5)
        (failover,) = recovery.failovers
        assert (failover.fault, failover.detected_ms) == ("SIGKILL", pytest.approx(200.0))

    run_virtual(main)


def test_word_of_a_majority_of_the_neighbours_is_enough(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.notice(PeerNoticed("b", "a", 1, PeerState.DEAD))
            assert recovery.failovers == []
            recovery.notice(PeerNoticed("c", "a", 1, PeerState.DEAD))
            await anyio.sleep(5)
        assert [failover.fault for failover in recovery.failovers] == ["2 of 2 neighbours hear nothing"]

    run_virtual(main)


def test_one_that_is_never_heard_of_is_found_by_its_silence(run_virtual):
    async def main():
        scene = Scene()
        for agent in AGENTS:
            scene.verdicts.arrived(agent, 1, now_s=0.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scene.recovery.run)
            while anyio.current_time() < 10.0 and not scene.recovery.failovers:
                scene.verdicts.heard("b", anyio.current_time())
                scene.verdicts.heard("c", anyio.current_time())
                await anyio.sleep(0.1)
            tasks.cancel_scope.cancel()
        assert anyio.current_time() <= scene.verdicts.silence_s + SILENCE_CHECK_S + 0.2
        assert [failover.agent for failover in scene.recovery.failovers] == ["a"]

    run_virtual(main)


def test_death_that_many_report_is_repaired_once(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            for _ in range(5):
                recovery.lose("a", "gone")
                await anyio.sleep(0.05)
            await anyio.sleep(5)
        assert scene.log == REPAIR
        assert len(recovery.failovers) == 1

    run_virtual(main)


def test_two_deaths_are_repaired_side_by_side(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            recovery.lose("a", "gone")
            recovery.lose("b", "gone")
            await anyio.sleep(START_S + 0.2)
        assert [failover.repaired_ms is not None for failover in recovery.failovers] == [True, True]
        assert scene.manager.alive == {"a2", "b2", "c1"}

    run_virtual(main)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        pytest.param("create", TemporarySandboxError("no sandbox today"), id="no sandbox"),
        pytest.param("open", AgentLost("a does not answer"), id="no connection"),
        pytest.param("assign", SwarmFailed("a had not taken its assignment"), id="not assigned"),
        pytest.param("connect", AgentLost("a went away before it was ready"), id="not connected"),
    ],
)
def test_repair_that_fails_is_tried_again_and_leaves_no_process_behind(run_virtual, step, error):
    async def main():
        scene = Scene(**{step: [error]})
        async with scene.running() as recovery:
            recovery.lose("a", "gone")
            await anyio.sleep(10)
        assert scene.events() == ["agent.lost", "agent.not-replaced", "agent.replaced"]
        assert scene.manager.alive == {"a3", "b1", "c1"}
        (failover,) = recovery.failovers
        assert failover.repaired_ms >= 1000 * RETRY_S

    run_virtual(main)


def test_neighbours_hear_of_the_death_of_one_they_were_told_to_dial(run_virtual):
    async def main():
        scene = Scene(connect=[AgentLost("a went away before it was ready")])
        async with scene.running() as recovery:
            recovery.lose("a", "gone")
            await anyio.sleep(10)
        assert [step for step in scene.log if step[0] in ("bury", "welcome")] == [
            ("bury", "a"),
            ("welcome", "a"),
            ("bury", "a"),
            ("welcome", "a"),
        ]

    run_virtual(main)


def test_process_that_dies_while_it_is_let_in_is_replaced_by_one_and_not_by_two(run_virtual):
    async def main():
        scene = Scene(connect=[AgentLost("a went away before it was ready")])
        async with scene.running() as recovery:
            recovery.lose("a", "gone")
            await anyio.sleep(START_S + 0.05)
            assert scene.log[-1] == ("welcome", "a")
            recovery.lose("a", "gone again")
            await anyio.sleep(10)
        assert scene.manager.alive == {"a3", "b1", "c1"}
        assert [subject for step, subject in scene.log if step == "kill"] == ["a1", "a2"]
        assert len(recovery.failovers) == 1

    run_virtual(main)


def test_agent_that_dies_again_later_is_replaced_again(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            for _ in range(5):
                recovery.lose("a", "gone")
                await anyio.sleep(20)
        assert [failover.repaired_ms is not None for failover in recovery.failovers] == [True] * 5
        assert scene.crew.sandboxes["a"].generation == 6

    run_virtual(main)


def test_agent_that_dies_too_often_ends_the_swarm(run_virtual):
    async def main():
        scene = Scene()
        async with scene.running() as recovery:
            for _ in range(RESTARTS_MAX):
                recovery.lose("a", "gone")
                await anyio.sleep(1)
            with pytest.raises(SwarmFailed, match=f"a died {RESTARTS_MAX + 1} times within 10 s, at last: bad code"):
                recovery.lose("a", "bad code")

    run_virtual(main)


def test_before_it_runs_nobody_is_taken_for_dead(run_virtual):
    async def main():
        scene = Scene()
        for agent in AGENTS:
            scene.verdicts.arrived(agent, 1, now_s=0.0)
        scene.recovery.lose("a", "gone")
        return scene.recovery.failovers, scene.verdicts.lost

    assert run_virtual(main) == ([], frozenset())
