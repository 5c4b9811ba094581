"""Starts the engine of a context in its sandbox, and has it served for as long as it lives."""

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.interpreter.bash_shell import BashShell, start_bash
from sandboxes.emulator.interpreter.errors import EngineGoneError
from sandboxes.emulator.interpreter.kernel import PythonKernel, start_kernel
from sandboxes.emulator.interpreter.kernel_sockets import KernelSockets
from sandboxes.emulator.interpreter.languages import Language

READY_DEADLINE_S = 30.0
"""An idle machine takes 0.2 s."""

Engine = PythonKernel | BashShell
"""Runs a context's cells, one at a time."""


class EngineLauncher:
    """Starts engines."""

    def __init__(self, sockets: KernelSockets, *, tasks: TaskGroup) -> None:
        self._sockets = sockets
        self._tasks = tasks

    async def launch(self, language: Language, sandbox: Sandbox, *, cwd: str) -> Engine:
        """Start an engine that is ready for cells. Raises `RpcError`, `EngineGoneError`."""
        try:
            engine = await self._start(language, sandbox, cwd=cwd)
        except OSError as error:
            raise EngineGoneError(f"the system refused: {error}") from error
        self._tasks.start_soon(engine.serve)
        is_ready = False
        try:
            with anyio.move_on_after(READY_DEADLINE_S):
                await engine.prepare()
                is_ready = True
        finally:
            if not is_ready:
                with anyio.CancelScope(shield=True):  # it would be nobody's
                    await engine.process.kill()
        if not is_ready:
            raise EngineGoneError(f"it was not ready after {READY_DEADLINE_S:g} s, and was killed")
        return engine

    async def _start(self, language: Language, sandbox: Sandbox, *, cwd: str) -> Engine:
        match language:
            case Language.PYTHON:
                return await start_kernel(sandbox, cwd, sockets=self._sockets)
            case Language.BASH:
                return await start_bash(sandbox, cwd)
