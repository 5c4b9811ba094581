"""The coordinator in a simulated world: rounds, the gateway for effects, verdicts and replacements.

It follows `orchestrator.floor` and `orchestrator.recovery` step by step, with events in place of waiting, and uses the
same verdicts, the same book of offices and the same ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.ledger import RoundLedger
from orchestrator.office_book import OfficeBook
from orchestrator.simulation.invariants import Checker
from orchestrator.simulation.node import PROGRESS, READY
from orchestrator.simulation.rounds import Pace, Rounds
from orchestrator.simulation.trace import Trace
from orchestrator.verdicts import Verdicts
from topologies.detector import DetectorSettings
from topologies.layouts import Topology
from topologies.messages import Decision, Tick
from topologies.round import Noticed, Report, Took
from topologies.seats import Seat

ROUND_END_S = 0.5
RETRY_S = 1.0
ADMISSION_DEADLINE_HEARTBEATS = 8
SILENCE_HEARTBEATS = 20
CLOCK_DRIFT_MAX = 0.05  # agents' deadlines are by their own clocks


class Hands(Protocol):
    """What the coordinator can do in the world."""

    def later(self, after_s: float, event: Callable[[], None]) -> None:
        """Have an event happen at the coordinator's place."""

    def kill(self, agent: str) -> None:
        """End whatever is left of an agent's process."""

    def start(self, agent: str, generation: int, *, on_listening: Callable[[bool], None]) -> None:
        """Start a process; tells later whether it listens."""

    def admit(self, seat: Seat, generation: int, *, rounds_over: int) -> None:
        """Tell a listening process who it is, and its neighbours where it is."""

    def play(self, agent: str, tick: Tick) -> None:
        """Hand a tick to an agent."""

    def bury(self, agent: str, generation: int, *, to: str) -> None:
        """Tell an agent that another's process is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How the coordinator of a simulated swarm sees and records."""

    settings: DetectorSettings
    checker: Checker
    trace: Trace
    now_s: Callable[[], float]


class Control:
    """The coordinator of one simulated swarm."""

    def __init__(self, topology: Topology, hands: Hands, *, pace: Pace, watching: Watching) -> None:
        self.topology = topology
        self.offices = OfficeBook(topology)
        self._now_s = watching.now_s
        ledger = RoundLedger(symbols=topology.request.symbols, task_keys=topology.task_keys)
        self.rounds = Rounds(ledger, pace, now_s=watching.now_s, later=hands.later, send_tick=self._send_tick)
        watchers = {
            agent: frozenset(other for other, seat in topology.seats.items() if agent in seat.watches)
            for agent in topology.agents
        }
        self.verdicts = Verdicts(watchers, silence_s=SILENCE_HEARTBEATS * watching.settings.heartbeat_s)
        self.generations = dict.fromkeys(topology.agents, 1)
        self.absent: set[str] = set()
        self.deaths = 0
        self.repairs_s: list[float] = []
        self._hands = hands
        self._watching = watching
        self._admissions: dict[str, Tick | None] = {}  # with the round that was under way
        self._lost_s: dict[str, float] = {}
        self._not_ready = set(topology.agents)

    def _send_tick(self, tick: Tick) -> None:
        for agent in self.offices.entries(self.absent):
            self._hands.play(agent, tick)

    # ---- what agents say

    def hear(self, agent: str, account: "Report | Took | Noticed | str", *, generation: int) -> None:
        """Take an account of an agent's process, unless it has been replaced."""
        if generation != self.generations[agent]:
            return
        if self._not_ready:
            self._not_ready -= {agent} if account == READY else set()
            if not self._not_ready:
                for each in self.topology.agents:
                    self.verdicts.arrived(each, 1, now_s=self._now_s())
                self.rounds.play_next()
            return
        self.verdicts.heard(agent, self._now_s())
        match account:
            case Report():
                self._hear_report(agent, account)
            case Took(office=office, token=token):
                if self.offices.took_office(office, token):
                    self._watching.checker.on_holder(office, token, holder=(agent, generation))
                    self.rounds.play_again(self.rounds.tick)
            case Noticed(peer=peer, generation=seen, state=state):
                evidence = self.verdicts.noticed(agent, peer, generation=seen, state=state)
                if evidence:
                    self.lose(peer, evidence)
            case str() if account == READY:
                self._admitted(agent)
            case str() if account != PROGRESS:
                self.lose(agent, account)

    def _hear_report(self, agent: str, report: Report) -> None:
        if report.office:
            self._watching.checker.on_holder(report.office, report.token, holder=(agent, self.generations[agent]))
        if report.office and not self.offices.took_office(report.office, report.token):
            self._note("refused", agent, report.office)
            return
        is_late = self._now_s() >= self.rounds.began_s + self.rounds.pace.agent_s * (1.0 - CLOCK_DRIFT_MAX)
        for decision in report.decisions:
            if not self.rounds.ledger.report(decision, self._now_s()):
                continue
            self._note("decision", decision.key, agent)
            expected = _tasks_of(self.topology, decision)
            self._watching.checker.on_effect(report, decision, expected=expected, is_late=is_late)
        self.rounds.end_if_complete()

    def _note(self, what: str, *between: str) -> None:
        self._watching.trace.note(self._now_s(), what, *between)

    # ---- deaths and replacements

    def lose(self, agent: str, evidence: str) -> None:
        """Take an agent's process for dead, and begin to replace it."""
        if not self.verdicts.condemn(agent):
            return
        self.deaths += 1
        self._lost_s[agent] = self._now_s()
        self._note("lost", agent, evidence.partition(":")[0][:24])
        self.absent.add(agent)
        self._leave_admission(agent)
        for other in self.topology.neighbours(agent):
            if other not in self.absent:
                self._hands.bury(agent, self.generations[agent], to=other)
        self.rounds.play_again(self.rounds.tick)
        self._replace(agent)

    def look_for_silence(self) -> None:
        """Lose those who have said nothing for too long; to be called now and then."""
        for agent in self.verdicts.silent(self._now_s()):
            self.lose(agent, "silence")

    def _replace(self, agent: str) -> None:
        self._hands.kill(agent)
        self.generations[agent] += 1
        generation = self.generations[agent]

        def on_listening(is_there: bool) -> None:
            if is_there:
                self._begin_admission(agent, generation)
            else:
                self._hands.later(RETRY_S, lambda: self._replace(agent))

        self._hands.start(agent, generation, on_listening=on_listening)

    def _begin_admission(self, agent: str, generation: int) -> None:
        """Let no round begin; give one that is under way a moment to end."""
        self._admissions[agent] = None
        self.rounds.hold(agent)
        wait_s = ROUND_END_S if self.rounds.tick is not None else 0.0
        self._hands.later(wait_s, lambda: self._admit(agent, generation))

    def _admit(self, agent: str, generation: int) -> None:
        if self.generations[agent] != generation or agent not in self._admissions:
            return
        in_play = self.rounds.tick
        self.offices.appoint(agent)
        rounds_over = self.rounds.number - (in_play is not None)
        self.verdicts.arrived(agent, generation, now_s=self._now_s())
        self.absent.discard(agent)
        self._hands.admit(self.offices.seat(agent), generation, rounds_over=rounds_over)
        self._admissions[agent] = in_play

        def give_up() -> None:
            if agent in self._admissions and self.generations[agent] == generation:
                self.lose(agent, "not admitted")

        deadline_s = ADMISSION_DEADLINE_HEARTBEATS * self._watching.settings.heartbeat_s
        self._hands.later(deadline_s, give_up)

    def _admitted(self, agent: str) -> None:
        if agent not in self._admissions:
            return
        self.repairs_s.append(self._now_s() - self._lost_s.pop(agent))
        self._note("replaced", agent)
        self.rounds.play_again(self._admissions[agent])
        self._leave_admission(agent)

    def _leave_admission(self, agent: str) -> None:
        self._admissions.pop(agent, None)
        self.rounds.release(agent)


def _tasks_of(topology: Topology, decision: Decision) -> frozenset[str]:
    """Name the tasks that a decision is to be made from."""
    return frozenset(key for key in topology.task_keys(decision.round) if key.split("/")[1] == decision.symbol)
