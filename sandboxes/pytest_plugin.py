"""pytest fixtures for code that uses E2B: a server of its API on this machine, for synchronous and async tests alike.

    def test_my_agent(e2b_client):
        sandbox = e2b_client.Sandbox.create()
        assert sandbox.commands.run("echo hi").stdout == "hi\\n"

One server serves a session, on a thread of its own; after each test that used it all sandboxes are killed and all
faults taken away. What a test builds beyond that (templates, snapshots) stays until the session's end. pytest loads
this module in every run, so nothing of the server is imported before a fixture is used.
"""

import importlib.util
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from e2b import E2B

    from sandboxes.emulator import EmulatorServer
    from sandboxes.emulator.faults.plan import FaultPlan


class E2BServer:
    """A running server, as tests see it."""

    def __init__(self, server: "EmulatorServer", portal: "BlockingPortal") -> None:
        self._server = server
        self._portal = portal

    @property
    def url(self) -> str:
        """Where it answers: control plane and sandboxes alike."""
        return self._server.url

    @property
    def api_key(self) -> str:
        """The key that it accepts."""
        return self._server.api_key

    @property
    def faults(self) -> "FaultPlan":
        """Faults on purpose, see `sandboxes.emulator.faults.plan`."""
        return self._server.faults

    def env(self) -> dict[str, str]:
        """Return the variables by which an SDK in another process finds the server."""
        return {"E2B_API_KEY": self.api_key, "E2B_API_URL": self.url, "E2B_SANDBOX_URL": self.url}

    def reset(self) -> None:
        """Kill all sandboxes and take all faults away, as happens after each test."""
        self._portal.call(self._server.reset)


@pytest.fixture(scope="session")
def e2b_server_options() -> Mapping[str, object]:
    """Return options for `EmulatorServer`, such as `{"tier": HOBBY}`; override it to change them."""
    return {}


@pytest.fixture(scope="session")
def e2b_session_server(e2b_server_options: Mapping[str, object]) -> Iterator[E2BServer]:
    """A server for the whole session, which no test cleans up after; most tests want `e2b_server`."""
    with serve_on_thread(e2b_server_options) as server:
        yield server


@pytest.fixture
def e2b_server(e2b_session_server: E2BServer) -> Iterator[E2BServer]:
    """A server of E2B's API without sandboxes and faults, and cleaned up after the test."""
    yield e2b_session_server
    e2b_session_server.reset()


@pytest.fixture
def e2b_client(e2b_server: E2BServer) -> "E2B":
    """E2B's SDK bound to the server: `.Sandbox`, `.AsyncSandbox`, `.Template` and so on."""
    from e2b import E2B

    return E2B(api_key=e2b_server.api_key, api_url=e2b_server.url, sandbox_url=e2b_server.url)


@contextmanager
def serve_on_thread(options: Mapping[str, object]) -> Iterator[E2BServer]:
    """Run a server on a thread with an event loop of its own.

    The thread lives as long as the server: commands that it starts die with the thread that started them.
    """
    from anyio.from_thread import start_blocking_portal

    from sandboxes.emulator import EmulatorServer

    make: Callable[..., EmulatorServer] = EmulatorServer
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    with start_blocking_portal("asyncio", {"use_uvloop": has_uvloop}, name="e2b-server") as portal:
        server = make(f"e2b_{secrets.token_hex(20)}", **options)
        with portal.wrap_async_context_manager(server):
            yield E2BServer(server, portal)
