"""The embedded server as one object: what it is made of, in which order that starts, and how it ends.

    async with EmulatorServer(api_key="local") as server:
        client = E2B(api_key=server.api_key, api_url=server.url, sandbox_url=server.url)

After the block nothing is left: no process, no directory, no connection.
"""

import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Unpack

import anyio
from aiohttp import web
from anyio.abc import TaskGroup

from sandboxes.emulator.control.control_parts import ControlParts, ControlSettings, open_control_parts
from sandboxes.emulator.control.webhooks import is_loopback
from sandboxes.emulator.data_dir import make_data_dir
from sandboxes.emulator.dispatch import Dispatcher
from sandboxes.emulator.errors import EmulatorError
from sandboxes.emulator.faults.fault_injection import Answer, open_fault_injection
from sandboxes.emulator.faults.plan import FaultPlan
from sandboxes.emulator.interpreter import CodeInterpreter, KernelSockets
from sandboxes.emulator.isolation.enclosures import EnclosureFailed, EnclosureMaker
from sandboxes.emulator.isolation.machine import open_enclosures
from sandboxes.emulator.ports.proxy import PortProxy
from sandboxes.emulator.processes.warm_start import WarmProcess
from sandboxes.emulator.processes.watchdog import Watchdog
from sandboxes.emulator.server_options import Isolation, ServerOptions, ServerSettings
from sandboxes.emulator.templates.template_catalog import TEMPLATES

log = logging.getLogger(__name__)

ExitReason = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

SHUTDOWN_TIMEOUT_S = 0.2
"""How long the last requests may take at the end; those of sandboxes are cut before."""
BACKLOG = 1024
"""A swarm connects all at once."""


class EmulatorServer:
    """An E2B-compatible server for this machine (Linux), reachable from this machine alone by default."""

    def __init__(
        self,
        api_key: str,
        **options: Unpack[ServerOptions],
    ) -> None:
        """Remember the settings, which `server_options.py` explains; nothing starts before the `async with`.

        Raises `EmulatorError` for an empty key, which would let everybody in, and for an unknown template.
        """
        settings = ServerSettings(**options)
        if not api_key:
            raise EmulatorError("the API key is empty: give the server one, and its clients the same")
        unknown = sorted(settings.warm_modules.keys() - TEMPLATES)
        if unknown:
            raise EmulatorError(
                f"no such template to keep warm: {unknown[0]!r}; there are {', '.join(sorted(TEMPLATES))}"
            )
        self.api_key = api_key
        self.url = ""
        self.faults = FaultPlan(settings.fault_seed)
        self._settings = settings
        self._report_network: Callable[[], dict[str, list[str]]] = dict

    async def __aenter__(self) -> "EmulatorServer":
        require_linux()
        self._block = self._serve()
        await self._block.__aenter__()
        return self

    async def __aexit__(self, *reason: *ExitReason) -> bool | None:
        return await self._block.__aexit__(*reason)

    def report_unenforced_network(self) -> dict[str, list[str]]:
        """Return for each living sandbox its network settings that are stored, but not enforced on this machine."""
        return self._report_network()

    async def reset(self) -> None:
        """Kill all sandboxes, take all faults away, and forget creations and their keys; templates stay."""
        self.faults.clear()
        async with anyio.create_task_group() as kills:
            for sandbox in self._parts.registry.list_living():
                kills.start_soon(self._parts.lifecycle.kill, sandbox)
        self._parts.registry.creations.refill()
        self._parts.forget_answers()

    def _control_settings(self) -> ControlSettings:
        return ControlSettings(
            api_key=self.api_key,
            sandboxes_max=self._settings.sandboxes_max,
            tier=self._settings.tier,
            faults=self.faults,
            is_network_strict=self._settings.strict_network,
            reaches_beyond_loopback=not is_loopback(self._settings.address[0]),
        )

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[None]:
        """Serve while the context is open.

        The task groups are nested blocks and not parts of an exit stack: a stack rewrites the context of a
        cancellation that several groups pass on, into a circle that anyio then follows for ever.
        """
        with ExitStack() as things:
            listener = things.enter_context(open_listener(*self._settings.address))
            data_dir = enter_data_dir(self._settings.data_dir, things)
            things.enter_context(Watchdog(data_dir, removes_data_dir=self._settings.data_dir is None))
            kernel_sockets = things.enter_context(KernelSockets())
            async with anyio.create_task_group() as tasks:
                with ExitStack() as helpers:
                    enclosures = await enter_enclosures(data_dir, helpers, isolation=self._settings.isolation)
                    modules = self._settings.warm_modules
                    warm = {name: start_warm(module, helpers, tasks=tasks) for name, module in modules.items()}
                    settings = self._control_settings()
                    async with (
                        open_control_parts(data_dir, settings, tasks=tasks, warm=warm, enclosures=enclosures) as parts,
                        self._answering(parts, kernel_sockets, tasks=tasks) as answer,
                        listening(answer, listener, before_end=parts.lifecycle.kill_all) as url,
                    ):
                        self.url = url
                        yield

    @asynccontextmanager
    async def _answering(
        self, parts: ControlParts, kernel_sockets: KernelSockets, *, tasks: TaskGroup
    ) -> AsyncIterator[Answer]:
        """Put together what answers a request."""
        self._report_network, self._parts = parts.policy.report, parts
        proxy = PortProxy(parts.registry.find_by_address)
        dispatcher = Dispatcher(parts, interpreter=CodeInterpreter(kernel_sockets, tasks=tasks), proxy=proxy)
        try:
            async with open_fault_injection(dispatcher.handle, self.faults, parts=parts) as entrance:
                yield entrance.handle
        finally:
            await run_to_end(proxy.close)


@asynccontextmanager
async def listening(
    answer: Answer, listener: socket.socket, *, before_end: Callable[[], Awaitable[None]]
) -> AsyncIterator[str]:
    """Let `answer` have the requests that come, and yield the server's URL; at the end, `before_end` comes first."""
    server = web.Server(
        answer,
        handler_cancellation=True,  # a client that hangs up ends its stream at once
        access_log=None,
        auto_decompress=False,  # the proxy passes bodies on as they are
    )
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        host, port = listener.getsockname()[:2]
        try:
            yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        finally:
            await run_to_end(before_end)
    finally:
        await run_to_end(runner.cleanup)


def enter_data_dir(wanted: Path | None, exits: ExitStack) -> Path:
    """Return the directory for sandboxes' files; one that the server makes itself it removes again."""
    if wanted is None:
        data_dir = make_data_dir()
        exits.callback(shutil.rmtree, data_dir, ignore_errors=True)
        return data_dir
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted.resolve()


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `EmulatorError` if the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise EmulatorError(f"cannot listen on {host} port {port}: {error.strerror}; name another port") from error


def start_warm(module: str, exits: ExitStack, *, tasks: TaskGroup) -> WarmProcess:
    """Keep a module imported until the server ends; commands wait until it is ready. Raises `OSError`."""
    warm = WarmProcess(module)
    exits.callback(warm.stop)
    tasks.start_soon(warm.follow)
    return warm


async def enter_enclosures(data_dir: Path, exits: ExitStack, *, isolation: Isolation) -> EnclosureMaker | None:
    """Return what makes sandboxes' namespaces until the server ends, `None` where none are wanted or possible."""
    if isolation == "off":
        return None
    try:
        enclosures = await open_enclosures(data_dir)
    except EnclosureFailed as failure:
        log.warning("commands run without isolation: %s", failure)
        return None
    exits.callback(enclosures.stop)
    return enclosures


async def run_to_end(operation: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the server's end; a cancelled caller must not leave processes behind, and it is short."""
    with anyio.CancelScope(shield=True):
        await operation()


def require_linux() -> None:
    """Raise `EmulatorError` on a system without what sandboxes are made of here."""
    if not hasattr(os, "pidfd_open") or not Path("/proc/self/environ").exists():
        raise EmulatorError(
            "the embedded server needs Linux 5.3 or later with /proc (process handles, loopback addresses): "
            "use E2B itself, or a Linux machine"
        )
