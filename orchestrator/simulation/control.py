"""The coordinator in a simulated world: rounds, the gateway for effects, verdicts and replacements.

It follows `orchestrator.floor` and `orchestrator.recovery` step by step, with events in place of waiting, and uses the
same verdicts, the same book of offices and the same ledger.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from orchestrator.ledger import RoundLedger
from orchestrator.office_book import OfficeBook
from orchestrator.simulation.invariants import Checker
from orchestrator.simulation.node import PROGRESS, READY
from orchestrator.simulation.trace import Trace
from orchestrator.verdicts import Verdicts
from topologies.detector import DetectorSettings
from topologies.layouts import Topology
from topologies.messages import Tick
from topologies.round import Noticed, Report, Took
from topologies.seats import Seat

ROUND_END_S = 0.5
RETRY_S = 1.0
ADMISSION_DEADLINE_HEARTBEATS = 8
SILENCE_HEARTBEATS = 20
CLOCK_DRIFT_MAX = 0.05  # agents' deadlines are by their own clocks
BAR = msgspec.Raw(b"\xc0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds from one round to the next, until a round has failed, and until an agent decides with what it has."""

    tick_s: float
    round_s: float
    agent_s: float


class Hands(Protocol):
    """What the coordinator can do in the world."""

    def later(self, after_s: float, event: Callable[[], None]) -> None:
        """Have an event happen at the coordinator's place."""

    def kill(self, agent: str) -> None:
        """End whatever is left of an agent's process."""

    def start(self, agent: str, generation: int, on_listening: Callable[[bool], None]) -> None:
        """Start a process; tells later whether it listens."""

    def admit(self, seat: Seat, generation: int, *, rounds_over: int) -> None:
        """Tell a listening process who it is, and its neighbours where it is."""

    def play(self, agent: str, tick: Tick) -> None:
        """Hand a tick to an agent."""

    def bury(self, other: str, agent: str, generation: int) -> None:
        """Tell one agent that another's process is dead."""


class Control:
    """The coordinator of one simulated swarm."""

    def __init__(
        self,
        topology: Topology,
        hands: Hands,
        *,
        pace: Pace,
        settings: DetectorSettings,
        checker: Checker,
        trace: Trace,
        now_s: Callable[[], float],
    ) -> None:
        self.topology = topology
        self.ledger = RoundLedger(symbols=topology.request.symbols, task_keys=topology.task_keys)
        self.offices = OfficeBook(topology)
        watchers = {
            agent: frozenset(other for other, seat in topology.seats.items() if agent in seat.watches)
            for agent in topology.agents
        }
        self.verdicts = Verdicts(watchers, silence_s=SILENCE_HEARTBEATS * settings.heartbeat_s)
        self.generations = dict.fromkeys(topology.agents, 1)
        self.absent: set[str] = set()
        self.failed_rounds: list[tuple[float, int]] = []
        self.deaths = 0
        self.repairs_s: list[float] = []
        self._hands = hands
        self._pace = pace
        self._settings = settings
        self._checker = checker
        self._trace = trace
        self._now_s = now_s
        self._tick: Tick | None = None
        self._round = 0
        self._began_s = 0.0
        self._attempt = 1
        self._admissions: dict[str, Tick | None] = {}  # with the round that was under way
        self._lost_s: dict[str, float] = {}
        self._is_due = False
        self._not_ready = set(topology.agents)

    def _begin(self) -> None:
        """All agents are ready: play the first round."""
        for agent in self.topology.agents:
            self.verdicts.arrived(agent, 1, now_s=self._now_s())
        self._next_round()

    # ---- rounds

    def _next_round(self) -> None:
        if self._admissions:
            self._is_due = True
            return
        self._is_due = False
        self._round += 1
        self._attempt = 1
        self._began_s = self._now_s()
        self._tick = Tick(self._round, "", dict.fromkeys(self.topology.request.symbols, BAR))
        self.ledger.begin(self._round, self._began_s)
        self._send_tick(self._tick)
        number = self._round
        self._hands.later(self._pace.round_s, lambda: self._end_round(number))

    def _send_tick(self, tick: Tick) -> None:
        for agent in self.offices.entries(self.absent):
            self._hands.play(agent, tick)

    def _play_again(self, tick: Tick | None) -> None:
        if tick is not None:
            self._attempt += 1
            self._send_tick(msgspec.structs.replace(tick, attempt=self._attempt))

    def _end_round(self, number: int) -> None:
        if self._tick is None or number != self._round:
            return
        self._tick = None
        if not self.ledger.end(number):
            self.failed_rounds.append((self._now_s(), number))
            self._trace.note(self._now_s(), "round failed", str(number))
        wait_s = max(0.0, self._began_s + self._pace.tick_s - self._now_s())
        self._hands.later(wait_s, self._next_round)

    # ---- what agents say

    def hear(self, agent: str, generation: int, account: "Report | Took | Noticed | str") -> None:
        """Take an account of an agent's process, unless it has been replaced."""
        if generation != self.generations[agent]:
            return
        if self._not_ready:
            self._wait_for_all(agent, account)
            return
        self.verdicts.heard(agent, self._now_s())
        match account:
            case Report():
                self._hear_report(agent, account)
            case Took(office=office, token=token):
                if self.offices.took_office(office, token):
                    self._checker.on_holder(office, token, holder=(agent, generation))
                    self._play_again(self._tick)
            case Noticed(peer=peer, generation=seen, state=state):
                evidence = self.verdicts.noticed(agent, peer, generation=seen, state=state)
                if evidence:
                    self.lose(peer, evidence)
            case str() if account == READY:
                self._admitted(agent)
            case str() if account != PROGRESS:
                self.lose(agent, account)

    def _wait_for_all(self, agent: str, account: "Report | Took | Noticed | str") -> None:
        if account == READY:
            self._not_ready.discard(agent)
        if not self._not_ready:
            self._begin()

    def _hear_report(self, agent: str, report: Report) -> None:
        if report.office:
            self._checker.on_holder(report.office, report.token, holder=(agent, self.generations[agent]))
        if report.office and not self.offices.took_office(report.office, report.token):
            self._trace.note(self._now_s(), "refused", agent, report.office)
            return
        is_late = self._now_s() >= self._began_s + self._pace.agent_s * (1.0 - CLOCK_DRIFT_MAX)
        for decision in report.decisions:
            if not self.ledger.report(decision, self._now_s()):
                continue
            self._trace.note(self._now_s(), "decision", decision.key, agent)
            expected = self._tasks_of(decision.round)[decision.symbol]
            self._checker.on_effect(report, decision, expected=expected, is_late=is_late)
        if self._tick is not None and self.ledger.is_complete(self._round):
            self._end_round(self._round)

    def _tasks_of(self, round: int) -> dict[str, frozenset[str]]:
        tasks: dict[str, set[str]] = defaultdict(set)
        for key in self.topology.task_keys(round):
            tasks[key.split("/")[1]].add(key)
        return {symbol: frozenset(keys) for symbol, keys in tasks.items()}

    # ---- deaths and replacements

    def lose(self, agent: str, evidence: str) -> None:
        """Take an agent's process for dead, and begin to replace it."""
        if not self.verdicts.condemn(agent):
            return
        self.deaths += 1
        self._lost_s[agent] = self._now_s()
        self._trace.note(self._now_s(), "lost", agent, evidence.partition(":")[0][:24])
        self.absent.add(agent)
        self._leave_admission(agent)
        for other in self.topology.neighbours(agent):
            if other not in self.absent:
                self._hands.bury(other, agent, self.generations[agent])
        self._play_again(self._tick)
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

        self._hands.start(agent, generation, on_listening)

    def _begin_admission(self, agent: str, generation: int) -> None:
        """Let no round begin; give one that is under way a moment to end."""
        self._admissions[agent] = None
        wait_s = ROUND_END_S if self._tick is not None else 0.0
        self._hands.later(wait_s, lambda: self._admit(agent, generation))

    def _admit(self, agent: str, generation: int) -> None:
        if self.generations[agent] != generation or agent not in self._admissions:
            return
        in_play = self._tick
        self.offices.appoint(agent)
        rounds_over = self._round if in_play is None else self._round - 1
        self.verdicts.arrived(agent, generation, now_s=self._now_s())
        self.absent.discard(agent)
        self._hands.admit(self.offices.seat(agent), generation, rounds_over=rounds_over)
        self._admissions[agent] = in_play
        deadline_s = ADMISSION_DEADLINE_HEARTBEATS * self._settings.heartbeat_s
        self._hands.later(deadline_s, lambda: self._give_up_admission(agent, generation))

    def _admitted(self, agent: str) -> None:
        if agent not in self._admissions:
            return
        self.repairs_s.append(self._now_s() - self._lost_s.pop(agent))
        self._trace.note(self._now_s(), "replaced", agent)
        self._play_again(self._admissions[agent])
        self._leave_admission(agent)

    def _give_up_admission(self, agent: str, generation: int) -> None:
        if agent in self._admissions and self.generations[agent] == generation:
            self.lose(agent, "not admitted")

    def _leave_admission(self, agent: str) -> None:
        self._admissions.pop(agent, None)
        if not self._admissions and self._is_due:
            self._next_round()
