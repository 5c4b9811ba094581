"""The contexts of one sandbox: one for each language that is used without naming one, and those clients make."""

import secrets
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sandboxes.emulator.fleet.paths import HOME
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.interpreter.context import Context, ContextInfo
from sandboxes.emulator.interpreter.errors import EngineGoneError, InterpreterError
from sandboxes.emulator.interpreter.languages import Language, choose_language
from sandboxes.emulator.interpreter.launcher import EngineLauncher

CONTEXTS_MAX = 64
DEFAULT_ID = "default"
"""By this name, too, E2B finds the Python context that is used when a client names none."""


class SandboxContexts:
    """Makes, finds and removes contexts."""

    def __init__(self, sandbox: Sandbox, launcher: EngineLauncher) -> None:
        self._sandbox = sandbox
        self._launcher = launcher
        self._contexts: dict[str, Context] = {}
        self._defaults: dict[Language, str] = {}
        with suppress(InterpreterError):  # without Jupyter's packages there is none
            self.find_default(choose_language(None))

    @property
    def clock_offset(self) -> timedelta:
        """How wrong the sandbox's clock is told (a fault on purpose)."""
        return self._sandbox.envd_clock_offset

    def list_all(self) -> list[ContextInfo]:
        """Return all contexts in the order in which they were made, the default one for Python first."""
        return [context.info for context in self._contexts.values()]

    def find(self, context_id: str) -> Context:
        """Return a context. Raises `InterpreterError` (404)."""
        if context_id == DEFAULT_ID:
            return self.find_default(choose_language(None))
        context = self._contexts.get(context_id)
        if context is None:
            raise InterpreterError(404, f"Context {context_id} not found")
        return context

    def find_default(self, language: Language) -> Context:
        """Return the context of a language's cells that name none; its engine starts with the first of them."""
        context = self._contexts.get(self._defaults.get(language, ""))
        if context is None:
            context = self._add(language, HOME)
            self._defaults[language] = context.info.id
        return context

    async def create(self, language: Language, cwd: str) -> ContextInfo:
        """Make a context and start it. Raises `InterpreterError`, `RpcError` for a directory that is none."""
        context = self._add(language, cwd)
        is_open = False
        try:
            await context.open()
            is_open = True
        except EngineGoneError as error:
            raise InterpreterError(500, f"Failed to create context: {error}") from error
        finally:
            if not is_open:
                self._contexts.pop(context.info.id, None)
        return context.info

    async def restart(self, context_id: str) -> None:
        """Forget a context's state. Raises `InterpreterError`."""
        try:
            await self.find(context_id).restart()
        except EngineGoneError as error:
            raise InterpreterError(500, f"Failed to restart context {context_id}: {error}") from error

    async def remove(self, context_id: str) -> None:
        """End a context; a default one comes back, empty, with its next cell. Raises `InterpreterError` (404)."""
        context = self.find(context_id)
        del self._contexts[context.info.id]
        await context.remove()

    def _add(self, language: Language, cwd: str) -> Context:
        if len(self._contexts) >= CONTEXTS_MAX:
            raise InterpreterError(429, f"the sandbox has {CONTEXTS_MAX} contexts, the most it may: remove one")
        info = ContextInfo(id=secrets.token_hex(16), language=language, cwd=cwd)
        launch = partial(self._launcher.launch, language, self._sandbox, cwd=cwd)
        self._contexts[info.id] = Context(info, launch)
        return self._contexts[info.id]
