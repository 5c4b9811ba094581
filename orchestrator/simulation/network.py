"""Wires between simulated agents: in order and at once, until faults say otherwise."""

import random
from collections.abc import Callable, Container

import msgspec

from orchestrator.simulation.engine import STEP_S, Engine
from orchestrator.simulation.faults import FaultPlan
from orchestrator.simulation.trace import Trace
from topologies.messages import Message

WAY_S = 0.0005
REORDERED_S = 0.05


class BeatFrame(msgspec.Struct, frozen=True, gc=False):
    """A sign of life of one generation of an agent; `received`: the last message it has of the other's session."""

    generation: int
    to_generation: int
    received: int


class BatchFrame(msgspec.Struct, frozen=True):
    """Messages of a session between two generations; see `workers.session`."""

    generation: int
    to_generation: int
    seq: int
    ack: int
    messages: tuple[Message, ...]


SimFrame = BeatFrame | BatchFrame


class SimNetwork:
    """Carries frames. What is sent is either delivered, once or twice, or dropped; all are counted."""

    def __init__(
        self,
        engine: Engine,
        rng: random.Random,
        *,
        plan: FaultPlan,
        trace: Trace,
        deliver: Callable[[tuple[str, str], SimFrame], None],
    ) -> None:
        self._engine = engine
        self._rng = rng
        self._trace = trace
        self._deliver = deliver
        self._last_due: dict[tuple[str, str], float] = {}
        self._partitions: list[tuple[Container[str], bool]] = []
        self.plan = plan
        self.sent = self.dropped = self.duplicated = self.delivered = self.under_way = 0

    def part(self, agents: Container[str], *, is_one_way: bool) -> None:
        """Cut some agents off from the others; one way means that only what they send is lost."""
        self._partitions.append((agents, is_one_way))

    def heal(self, agents: Container[str]) -> None:
        """End a partition."""
        self._partitions = [part for part in self._partitions if part[0] is not agents]

    def send(self, sender: str, receiver: str, *, frame: SimFrame) -> None:
        """Send a frame, or lose it."""
        self.sent += 1
        plan, draw = self.plan, self._rng.random
        if (self._partitions and self._is_parted(sender, receiver)) or (plan.drop and draw() < plan.drop):
            self.dropped += 1
            self._trace.note(self._engine.now_s, "dropped", sender, receiver)
            return
        self._carry((sender, receiver), frame)
        if plan.duplicate and draw() < plan.duplicate:
            self.duplicated += 1
            self._trace.note(self._engine.now_s, "duplicated", sender, receiver)
            self._carry((sender, receiver), frame)

    def _carry(self, link: tuple[str, str], frame: SimFrame) -> None:
        plan, now_s = self.plan, self._engine.now_s
        due_s = now_s + WAY_S + self._rng.expovariate(1.0) * plan.delay_s
        if plan.reorder and self._rng.random() < plan.reorder:
            self._trace.note(now_s, "reordered", *link)
            due_s += REORDERED_S
        else:
            last_s = self._last_due.get(link, 0.0) + STEP_S
            self._last_due[link] = due_s = due_s if due_s > last_s else last_s
        self.under_way += 1
        self._engine.at(due_s, lambda: self._arrive(link, frame), who=link[1])

    def _arrive(self, link: tuple[str, str], frame: SimFrame) -> None:
        self.under_way -= 1
        self.delivered += 1
        self._deliver(link, frame)

    def _is_parted(self, sender: str, receiver: str) -> bool:
        return any(
            sender in agents and receiver not in agents if is_one_way else (sender in agents) != (receiver in agents)
            for agents, is_one_way in self._partitions
        )
