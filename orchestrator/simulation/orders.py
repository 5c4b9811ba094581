"""What the coordinator can do in a simulated world."""

import random
from collections.abc import Callable

from orchestrator.simulation.engine import STEP_S, Engine
from orchestrator.simulation.faults import FaultPlan
from orchestrator.simulation.node import Node
from orchestrator.simulation.processes import CONTROL_WAY_S, Processes
from topologies.detector import DetectorSettings
from topologies.messages import Tick
from topologies.seats import Seat

START_S_MIN = 0.05
CREATE_ANSWER_S = 0.1


class Orders:
    """Carries the coordinator's orders, in order for each agent. `generations`, `absent`: as the coordinator has them.

    `outages`: how many failures of the sandbox provider overlap just now; while there is one, no process starts.
    """

    def __init__(
        self,
        engine: Engine,
        processes: Processes,
        *,
        rng: random.Random,
        plan: FaultPlan,
        settings: DetectorSettings,
    ) -> None:
        self._engine = engine
        self._processes = processes
        self._rng = rng
        self._plan = plan
        self._settings = settings
        self._due_s: dict[str, float] = {}
        self.generations: dict[str, int] = {}
        self.absent: set[str] = set()
        self.outages = 0

    def later(self, after_s: float, event: Callable[[], None]) -> None:
        self._engine.at(self._engine.now_s + after_s, event)

    def kill(self, agent: str) -> None:
        self._processes.end(agent, is_seen=True)

    def start(self, agent: str, generation: int, *, on_listening: Callable[[bool], None]) -> None:
        if self.outages:
            self.later(CREATE_ANSWER_S, lambda: on_listening(False))
            return
        start_s = START_S_MIN + self._rng.expovariate(1.0) * self._plan.start_s
        self.later(start_s, lambda: on_listening(True))

    def admit(self, seat: Seat, generation: int, *, rounds_over: int) -> None:
        known = {peer: self.generations[peer] for peer in seat.watches}
        absent = [peer for peer in seat.watches if peer in self.absent]

        def begin() -> None:
            if self.generations[seat.agent] != generation:
                return  # given up on the way
            node = Node(seat, generation, around=self._processes, settings=self._settings, rounds_over=rounds_over)
            self._processes.nodes[seat.agent] = node
            node.begin(known, absent)

        self._engine.at(self._next_due_s(seat.agent), begin, who=seat.agent)

    def play(self, agent: str, tick: Tick) -> None:
        self._tell(agent, lambda node: node.on_tick(tick))

    def bury(self, agent: str, generation: int, *, to: str) -> None:
        self._tell(to, lambda node: node.bury(agent, generation))

    def _tell(self, agent: str, order: Callable[[Node], None]) -> None:
        """Send an order to the process that fills the place when it arrives, of the generation it is meant for."""
        generation = self.generations[agent]

        def arrive() -> None:
            node = self._processes.nodes.get(agent)
            if node is not None and node.generation == generation:
                self._processes.at(node, self._engine.now_s, event=lambda: order(node))

        self._engine.at(self._next_due_s(agent), arrive, who=agent)

    def _next_due_s(self, agent: str) -> float:
        due_s = max(self._engine.now_s + CONTROL_WAY_S, self._due_s.get(agent, 0.0) + STEP_S)
        self._due_s[agent] = due_s
        return due_s
