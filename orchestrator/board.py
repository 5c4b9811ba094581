"""What is known of each agent right now: written by the coordinator, read by whoever shows it."""

from dataclasses import dataclass, field

from workers.codec import Progress
from workers.state import AgentState


@dataclass(slots=True)
class AgentRow:
    """One agent, as last heard of. `generation`: which process of the agent this is, 1 for the first."""

    name: str
    role: str
    neighbours: int
    state: AgentState = AgentState.INITIALIZING
    sandbox_id: str = ""
    pid: int | None = None
    round: int = 0
    messages_in: int = 0
    messages_out: int = 0
    tasks: int = 0
    rtt_ms: float | None = None
    rss_mb: float | None = None
    generation: int = 1
    is_being_replaced: bool = False

    def update(self, progress: Progress) -> None:
        self.state = AgentState(progress.state)
        self.round = progress.round
        self.messages_in = progress.messages_in
        self.messages_out = progress.messages_out
        self.tasks = progress.tasks
        self.rtt_ms = progress.rtt_ms


@dataclass(slots=True)
class Board:
    """The swarm as last heard of. `phase` is a word for people: starting, wiring, trading, draining, stopped."""

    swarm: str
    topology: str
    mode: str
    ticks: int
    rows: dict[str, AgentRow]
    phase: str = "starting"
    round: int = 0
    decisions: int = 0
    trades: int = 0
    pnl: float = 0.0
    latency_ms: float | None = None
    sandboxes_ready: int = 0
    notes: list[str] = field(default_factory=list)
