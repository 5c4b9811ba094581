"""The embedded server as one object: what it is made of, in which order that starts, and how it ends.

    async with EmulatorServer(api_key="local") as server:
        client = E2B(api_key=server.api_key, api_url=server.url, sandbox_url=server.url)

After the block nothing is left: no process, no directory, no connection.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from aiohttp import web

from sandboxes.emulator.control_plane import ControlPlane
from sandboxes.emulator.data_dir import make_data_dir
from sandboxes.emulator.dispatch import Dispatcher
from sandboxes.emulator.errors import EmulatorError
from sandboxes.emulator.proxy import PortProxy
from sandboxes.emulator.registry import SandboxRegistry
from sandboxes.emulator.sandbox_factory import SandboxFactory
from sandboxes.emulator.watchdog import Watchdog

SHUTDOWN_TIMEOUT_S = 0.2
"""How long the last requests may take at the end; those of sandboxes are cut before."""
BACKLOG = 1024
"""A swarm connects all at once."""
SANDBOXES_MAX_DEFAULT = 1000


class EmulatorServer:
    """An E2B-compatible server for this machine (Linux), reachable from this machine alone by default."""

    def __init__(
        self,
        api_key: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data_dir: Path | None = None,
        sandboxes_max: int = SANDBOXES_MAX_DEFAULT,
    ) -> None:
        """Remember the settings; nothing starts before the `async with`.

        `port` 0 takes a free one. Without a `data_dir` the server makes one and removes it at its end.
        Raises `EmulatorError` for an empty key: it would let everybody in.
        """
        if not api_key:
            raise EmulatorError("the API key is empty: give the server one, and its clients the same")
        self.api_key = api_key
        self.url = ""
        self._host = host
        self._port = port
        self._data_dir = data_dir
        self._sandboxes_max = sandboxes_max
        self._exits = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "EmulatorServer":
        require_linux()
        async with contextlib.AsyncExitStack() as exits:
            listener = exits.enter_context(open_listener(self._host, self._port))
            data_dir = self._enter_data_dir(exits)
            exits.enter_context(Watchdog(data_dir, removes_data_dir=self._data_dir is None))
            tasks = await exits.enter_async_context(anyio.create_task_group())
            factory = SandboxFactory(data_dir, tasks=tasks)
            registry = SandboxRegistry(factory, sandboxes_max=self._sandboxes_max, tasks=tasks)
            proxy = PortProxy()
            exits.push_async_callback(run_to_end, proxy.close)
            control_plane = ControlPlane(registry, api_key=self.api_key)
            dispatcher = Dispatcher(registry, control_plane=control_plane, proxy=proxy)
            await self._listen(dispatcher, exits, listener=listener)
            exits.push_async_callback(run_to_end, registry.kill_all)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, *_reason: object) -> None:
        await self._exits.aclose()

    def _enter_data_dir(self, exits: contextlib.AsyncExitStack) -> Path:
        if self._data_dir is None:
            data_dir = make_data_dir()
            exits.callback(shutil.rmtree, data_dir, ignore_errors=True)
        else:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            data_dir = self._data_dir.resolve()
        return data_dir

    async def _listen(
        self, dispatcher: Dispatcher, exits: contextlib.AsyncExitStack, *, listener: socket.socket
    ) -> None:
        server = web.Server(
            dispatcher.handle,
            handler_cancellation=True,  # a client that hangs up ends its stream at once
            access_log=None,
            auto_decompress=False,  # the proxy passes bodies on as they are
        )
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        exits.push_async_callback(run_to_end, runner.cleanup)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        host, port = listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `EmulatorError` if the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise EmulatorError(f"cannot listen on {host} port {port}: {error.strerror}; name another port") from error


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
