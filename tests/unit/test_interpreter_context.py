"""A context of the code interpreter with an engine of ours: turns, variables, interrupts and engines that end."""

import anyio
import pytest

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.interpreter import context as context_module
from sandboxes.emulator.interpreter.context import Context, ContextInfo
from sandboxes.emulator.interpreter.errors import EngineGoneError
from sandboxes.emulator.interpreter.execution import Execution
from sandboxes.emulator.interpreter.languages import Language
from sandboxes.emulator.interpreter.outputs import Error, NumberOfExecutions

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class FixedProcess:
    """A process that ends when it is killed."""

    has_ended = False

    def read_environment(self):
        return {"A": "before"}

    async def kill(self):
        self.has_ended = True


class FixedEngine:
    """Notes what it is asked for; a cell ends at once, unless its code says that it hangs or dies."""

    def __init__(self):
        self.process = FixedProcess()
        self.asked = []
        self.released = anyio.Event()
        self.interrupts_left = 0

    async def set_variables(self, changes):
        self.asked.append(changes)

    async def run(self, code, emit):
        self.asked.append(code)
        if code == "hang":
            await self.released.wait()
        if code == "die" or self.process.has_ended:
            self.process.has_ended = True
            raise EngineGoneError("exit status 3")
        await emit(NumberOfExecutions(1))

    async def interrupt(self):
        self.interrupts_left -= 1
        if self.interrupts_left <= 0:
            self.released.set()


@pytest.fixture
def engines():
    return []


@pytest.fixture
def context(engines):
    async def launch():
        engines.append(FixedEngine())
        return engines[-1]

    return Context(ContextInfo("c", Language.PYTHON, "/home/user"), launch)


async def run(context, execution):
    """Run a cell and return its lines."""
    lines = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(context.run, execution)
        async with execution.lines:
            lines.extend([line async for line in execution.lines])
    return lines


async def test_cells_share_one_engine(context, engines):
    for code in ("a", "b"):
        assert await run(context, Execution(code, {})) == [NumberOfExecutions(1)]
    assert [engine.asked for engine in engines] == [["a", "b"]]


async def test_variables_are_set_before_and_put_back_after_the_cell(context, engines):
    await run(context, Execution("a", {"A": "1", "B": "2"}))
    assert engines[0].asked == [{"A": "1", "B": "2"}, "a", {"A": "before", "B": None}]


async def test_abandoned_cell_does_not_run_when_its_turn_comes(context, engines):
    execution = Execution("a", {})
    execution.abandon()
    await context.run(execution)
    assert engines == []


async def test_abandoned_cell_is_interrupted_until_it_hears(context, engines, monkeypatch):
    monkeypatch.setattr(context_module, "INTERRUPT_EVERY_S", 0)
    await context.open()
    engines[0].interrupts_left = 3
    execution = Execution("hang", {})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(context.run, execution)
        await anyio.wait_all_tasks_blocked()
        execution.abandon()
    assert engines[0].released.is_set()


async def test_cell_whose_engine_ends_by_itself_says_so_and_the_next_has_another(context, engines):
    assert await run(context, Execution("die", {})) == [
        Error("ContextRestarting", "Context was restarted", "exit status 3")
    ]
    assert await run(context, Execution("a", {})) == [NumberOfExecutions(1)]
    assert len(engines) == 2


@pytest.mark.parametrize("end", [Context.restart, Context.remove])
async def test_cell_that_is_ended_from_outside_says_so(context, engines, end):
    lines = []

    async def follow():
        lines.extend(await run(context, Execution("hang", {})))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        await end(context)
        engines[0].released.set()
    assert [line.name for line in lines] == ["UnexpectedEndOfExecution"]


async def test_removed_context_starts_no_engine(context, engines):
    await context.remove()
    [line] = await run(context, Execution("a", {}))
    assert (line.name, engines) == ("ContextNotStarted", [])


async def test_engine_that_does_not_start_is_the_cells_error():
    async def launch():
        raise RpcError("invalid_argument", "cwd is gone")

    context = Context(ContextInfo("c", Language.BASH, "/gone"), launch)
    assert await run(context, Execution("a", {})) == [
        Error("ContextNotStarted", "The context could not be started: cwd is gone")
    ]
