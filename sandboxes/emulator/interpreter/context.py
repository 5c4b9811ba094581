"""A context: cells that share one state, run one after the other in the order in which they came.

Its engine starts with its first use and anew when it ended by itself; the cell it took along hears so, in E2B's words.
"""

from collections.abc import Awaitable, Callable

import anyio
import msgspec

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.interpreter.errors import EngineGoneError
from sandboxes.emulator.interpreter.execution import Execution
from sandboxes.emulator.interpreter.languages import Language
from sandboxes.emulator.interpreter.launcher import Engine
from sandboxes.emulator.interpreter.outputs import Error

INTERRUPT_EVERY_S = 0.5
INTERRUPTS_MAX = 20
"""How often a cell that nobody waits for is interrupted; one that catches all of them keeps its context busy."""

Launch = Callable[[], Awaitable[Engine]]


class ContextInfo(msgspec.Struct, frozen=True):
    """What clients know of a context."""

    id: str
    language: Language
    cwd: str


class Context:
    """One state and the cells that wait for it."""

    def __init__(self, info: ContextInfo, launch: Launch) -> None:
        self.info = info
        self._launch = launch
        self._turn = anyio.Lock()
        self._opening = anyio.Lock()
        self._engine: Engine | None = None
        self._is_removed = False

    async def run(self, execution: Execution) -> None:
        """Run a cell when its turn comes. Everything that goes wrong becomes a line of its answer."""
        async with self._turn:
            try:
                if not execution.is_abandoned:
                    await self._run(execution, await self._open())
            except (EngineGoneError, RpcError) as failure:
                await execution.emit(Error("ContextNotStarted", f"The context could not be started: {failure}"))
            finally:
                execution.finish()

    async def open(self) -> None:
        """Start the engine if there is none. Raises `RpcError`, `EngineGoneError`."""
        await self._open()

    async def restart(self) -> None:
        """Forget all state. The cell that runs ends with an error, those that wait run afterwards."""
        await self._close()
        await self._open()

    async def remove(self) -> None:
        """End the engine for good, and with it the cells that run or wait."""
        self._is_removed = True
        await self._close()

    async def _open(self) -> Engine:
        async with self._opening:
            if self._is_removed:
                raise EngineGoneError("it was removed")
            if self._engine is None or self._engine.process.has_ended:
                self._engine = await self._launch()
            return self._engine

    async def _close(self) -> None:
        async with self._opening:
            engine, self._engine = self._engine, None
            if engine is not None:
                await engine.process.kill()

    async def _run(self, execution: Execution, engine: Engine) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt_abandoned, engine, execution)
            try:
                await run_with_variables(engine, execution)
            except EngineGoneError as gone:
                await execution.emit(self._explain(engine, gone))
            tasks.cancel_scope.cancel()

    def _explain(self, engine: Engine, gone: EngineGoneError) -> Error:
        """Return the error of a cell whose engine ended under it, by itself or because a client wished so."""
        if self._engine is engine:
            return Error("ContextRestarting", "Context was restarted", str(gone))
        return Error(
            "UnexpectedEndOfExecution",
            "Connection to the execution was closed before the execution was finished",
        )


async def run_with_variables(engine: Engine, execution: Execution) -> None:
    """Run a cell with variables of its own, which afterwards are again what the engine was started with."""
    if not execution.variables:
        await engine.run(execution.code, execution.emit)
        return
    before = engine.process.read_environment()
    await engine.set_variables(execution.variables)
    if not execution.is_abandoned:
        await engine.run(execution.code, execution.emit)
    await engine.set_variables({name: before.get(name) for name in execution.variables})


async def interrupt_abandoned(engine: Engine, execution: Execution) -> None:
    """Interrupt a cell whose client hangs up, again and again: the first may come before the cell has begun."""
    await execution.wait_abandoned()
    for _ in range(INTERRUPTS_MAX):
        await engine.interrupt()
        await anyio.sleep(INTERRUPT_EVERY_S)
