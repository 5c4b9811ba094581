"""The agents' processes of a simulated world: their clocks, their ends, what they hear and what they send."""

from collections.abc import Callable

from orchestrator.simulation.engine import STEP_S, Engine
from orchestrator.simulation.invariants import Checker
from orchestrator.simulation.network import BatchFrame, SimFrame, SimNetwork
from orchestrator.simulation.node import Node
from orchestrator.simulation.trace import Trace
from topologies.round import Noticed, Report, Took

CONTROL_WAY_S = 0.001
CUT_SEEN_S = 0.01

Account = Report | Took | Noticed | str


class Processes:
    """All processes there are, by agent. `hear` is how the coordinator hears them: agent, generation, account."""

    def __init__(self, engine: Engine, *, rates: dict[str, float], checker: Checker, trace: Trace) -> None:
        self._engine = engine
        self._rates = rates
        self._checker = checker
        self._trace = trace
        self._links: dict[tuple[str, str], int] = {}
        self._held: dict[str, list[Callable[[], None]]] = {}
        self._said_s: dict[str, float] = {}
        self.nodes: dict[str, Node] = {}
        self.network: SimNetwork
        self.hear: Callable[[str, int, Account], None]
        self.messages = 0

    # ---- what a process needs of its surroundings

    def later(self, node: Node, after_s: float, *, event: Callable[[], None]) -> None:
        self.at(node, self._engine.now_s + after_s / self._rates[node.name], event=event)

    def local_s(self, node: Node) -> float:
        return self._engine.now_s * self._rates[node.name]

    def transmit(self, node: Node, peer: str, *, frame: SimFrame) -> None:
        if isinstance(frame, BatchFrame):
            self.messages += len(frame.messages)
            self._checker.on_send(node.name, peer)
        self.network.send(node.name, peer, frame=frame)

    def account(self, node: Node, action: Account) -> None:
        due_s = max(self._engine.now_s + CONTROL_WAY_S, self._said_s.get(node.name, 0.0) + STEP_S)
        self._said_s[node.name] = due_s
        self._engine.at(due_s, lambda: self.hear(node.name, node.generation, action))

    # ---- what happens to processes

    def at(self, node: Node, due_s: float, *, event: Callable[[], None]) -> None:
        """Have an event happen at a process, if it lives then; at one that hangs, when it goes on."""

        def happen() -> None:
            held = self._held.get(node.name)
            if held is not None and node.is_alive:
                held.append(happen)
            elif node.is_alive:
                event()

        self._engine.at(due_s, happen, who=node.name)

    def deliver(self, link: tuple[str, str], frame: SimFrame) -> None:
        """Hand a frame to whatever process the receiver has now."""
        sender, receiver = link
        self._trace.note_frame(self._engine.now_s, self._links.setdefault(link, len(self._links)))
        node = self.nodes.get(receiver)
        if node is None or not node.is_alive:
            return
        held = self._held.get(receiver)
        if held is not None:
            held.append(lambda: node.on_frame(sender, frame) if node.is_alive else None)
        else:
            node.on_frame(sender, frame)

    def end(self, agent: str, *, is_seen: bool) -> bool:
        """End an agent's process; say whether there was one. `is_seen`: its connections break visibly."""
        node = self.nodes.get(agent)
        if node is None or not node.is_alive:
            return False
        node.is_alive = False
        self._held.pop(agent, None)
        if is_seen:
            due_s = self._engine.now_s + CUT_SEEN_S
            for peer in node.member.seat.watches:
                other = self.nodes.get(peer)
                if other is not None and other.is_alive:
                    self.at(other, due_s, event=lambda other=other: other.on_cut(agent))  # type: ignore[misc]
            self._engine.at(due_s, lambda: self.hear(agent, node.generation, "the connection closed"))
        return True

    def hang(self, agent: str) -> bool:
        """Stop an agent's process; say whether there was one that ran."""
        node = self.nodes.get(agent)
        if node is None or not node.is_alive or agent in self._held:
            return False
        self._held[agent] = []
        return True

    def go_on(self, agent: str) -> None:
        """Let a stopped process go on with all that has come meanwhile."""
        for event in self._held.pop(agent, []):
            event()
