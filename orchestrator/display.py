"""How a running swarm looks on a terminal: a progress bar while sandboxes come up, then a live table, then a summary.

On anything but a terminal: a line for each phase on standard error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.board import AgentRow, Board
from orchestrator.summary import Summary

REFRESH_PER_S = 5
ROWS_SHOWN_MAX = 40
FAILOVERS_SHOWN_MAX = 10
STATE_STYLES = {"READY": "green", "BUSY": "green", "DRAINING": "yellow", "OFFLINE": "dim", "ERROR": "red"}


@dataclass(slots=True)
class Display:
    """Shows a board on a console while the context of `show` is open."""

    console: Console
    _board: Board | None = field(default=None)

    def watch(self, board: Board) -> None:
        """Show this board from now on."""
        self._board = board

    @contextmanager
    def show(self) -> Iterator[None]:
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=REFRESH_PER_S, transient=True):
            yield

    def _render(self) -> RenderableType:
        board = self._board
        if board is None:
            return Text("starting ...", style="dim")
        header = _header(board)
        if board.phase == "starting":
            return Group(header, _bar("sandboxes", done=board.sandboxes_ready, total=len(board.rows)))
        return Group(header, _bar("ticks", done=board.round, total=board.ticks), _table(board))


def print_summary(console: Console, summary: Summary) -> None:
    """Print what a run came to, in a dozen lines."""
    for line in summary_lines(summary):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def summary_lines(summary: Summary) -> list[str]:
    latency, tasks, boxes = summary.latency_ms, summary.tasks, summary.sandboxes
    virtual = " (virtual time)" if summary.clock == "virtual" else ""
    estimate = " (an estimate: what E2B would have charged)" if summary.cost_is_estimate else ""
    return [
        f"{summary.swarm}: {summary.agents} agents, {summary.topology} topology, {summary.mode} mode",
        f"  data        {summary.data}",
        f"  ready       {summary.ready_s:.2f} s, all in {summary.wall_s:.2f} s{virtual}",
        f"  rounds      {summary.rounds} of {summary.ticks} ticks, success rate {summary.success_rate:.3f}, "
        f"{summary.throughput.rounds_s:.0f} rounds/s, {summary.throughput.messages_s:.0f} messages/s",
        f"  latency     p50 {_number(latency.p50)} ms, p95 {_number(latency.p95)} ms, p99 {_number(latency.p99)} ms, "
        f"max {_number(latency.max)} ms from tick to decision{virtual}",
        f"  tasks       {tasks.completed} of {tasks.assigned} completed, {tasks.lost} lost, "
        f"{tasks.duplicated} duplicated, {tasks.failed} failed",
        f"  edges       {len(summary.edges)}, {sum(edge.messages for edge in summary.edges)} messages, "
        f"the quietest carried {min((edge.messages for edge in summary.edges), default=0)}",
        f"  decisions   {summary.decisions}, {summary.trades} paper trades at the next tick's open, "
        f"fee {summary.fee_bps:g} basis points",
        f"  P&L         {summary.pnl:+,.2f} on {summary.capital:,.0f} after {summary.fees:,.2f} of fees "
        "(a replay, not a forecast)",
        f"  sandboxes   {boxes.created} created, {boxes.killed} killed, {boxes.left} left",
        *_failover_lines(summary),
        f"  cost        ${summary.cost_usd:.4f}{estimate}",
    ]


def _failover_lines(summary: Summary) -> list[str]:
    """Tell what was done to the swarm on purpose, who died, and how soon that was mended."""
    lines: list[str] = []
    failed = [fault for fault in summary.chaos.injected if fault.failed]
    if summary.chaos.injected or summary.chaos.missed:
        done = len(summary.chaos.injected) - len(failed)
        lines.append(
            f"  faults      {done} on purpose, {len(failed)} failed, {len(summary.chaos.missed)} came too late"
        )
    lines += [f"              {fault.fault} failed: {fault.failed}" for fault in failed[:FAILOVERS_SHOWN_MAX]]
    if summary.failovers:
        mended = sum(failover.repaired_ms is not None for failover in summary.failovers)
        lines.append(f"  failovers   {len(summary.failovers)} agents lost, {mended} replaced")
    for failover in summary.failovers[:FAILOVERS_SHOWN_MAX]:
        repaired = "not replaced" if failover.repaired_ms is None else f"replaced after {failover.repaired_ms:.0f} ms"
        lines.append(
            f"              {failover.agent} ({failover.fault}): found out in {failover.detected_ms:.0f} ms, {repaired}"
        )
    if len(summary.failovers) > FAILOVERS_SHOWN_MAX:
        lines.append(f"              ... and {len(summary.failovers) - FAILOVERS_SHOWN_MAX} more")
    return lines


@contextmanager
def plain_progress(say: Callable[[str], None]) -> Iterator[Callable[[Board], None]]:
    """Say who starts; for logs, where nothing can be redrawn."""

    def watch(board: Board) -> None:
        say(f"{board.swarm}: starting {len(board.rows)} agents, {board.topology} topology, {board.mode} mode")

    yield watch


def _header(board: Board) -> Text:
    latency = f", {board.latency_ms:.1f} ms" if board.latency_ms is not None else ""
    return Text.assemble(
        (board.swarm, "bold"),
        f"  {board.topology}, {board.mode} mode, {board.phase}: {board.decisions} decisions{latency}, "
        f"{board.trades} trades, P&L {board.pnl:+,.2f}",
    )


def _bar(label: str, *, done: int, total: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(label, ProgressBar(total=max(1, total), completed=done, width=40), f"{done}/{total}")
    return grid


def _table(board: Board) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("agent", "role", "state"):
        table.add_column(name)
    for name in ("process", "neighbours", "tick", "in", "out", "latency ms"):
        table.add_column(name, justify="right")
    rows = list(board.rows.values())
    for row in rows[:ROWS_SHOWN_MAX]:
        table.add_row(*_cells(row))
    if len(rows) > ROWS_SHOWN_MAX:
        table.add_row(f"... and {len(rows) - ROWS_SHOWN_MAX} more")
    return table


def _cells(row: AgentRow) -> tuple[RenderableType, ...]:
    state = Text(row.state, style=STATE_STYLES.get(row.state, ""))
    if row.is_being_replaced:
        state = Text("REPLACING", style="bold red")
    counts = (row.generation, row.neighbours, row.round, row.messages_in, row.messages_out)
    return (row.name, row.role, state, *(str(count) for count in counts), _number(row.rtt_ms))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
