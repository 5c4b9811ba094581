"""What a terminal shows of an agent that is being replaced, and of its next process."""

import io

import pytest
from rich.console import Console

from orchestrator.board import AgentRow, Board
from orchestrator.display import Display
from workers.codec import Progress
from workers.state import AgentState


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "back"])
def test_table_shows_who_is_being_replaced_and_which_process_an_agent_has(is_lost):
    row = AgentRow("agent-001", "hub", 4, generation=2, is_being_replaced=is_lost)
    row.update(Progress("agent-001", AgentState.READY, 7, 10, 10, 5))
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    display = Display(console)
    display.watch(Board("swarm", "star", "mock", 20, {"agent-001": row}, phase="trading"))
    with display.show():
        pass
    shown = console.file.getvalue()
    line = next(line for line in shown.splitlines() if "agent-001" in line)
    assert line.split()[:5] == ["agent-001", "hub", "REPLACING" if is_lost else "READY", "2", "4"]
