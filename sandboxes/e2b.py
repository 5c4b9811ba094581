"""Sandboxes from E2B - its cloud, a self-hosted one, or the embedded server - through the real SDK.

With `worker_template.py` the only module that imports the SDK. One bound client, an idempotency key on every creation,
metadata by which a sandbox can be found again, no command deadline for workers (the SDK's default of 60 s kills), and
no output retained. The SDK's exceptions are translated once, in `translated`: not all of them share a root.
"""

import json
import os
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

import anyio
import httpx
from anyio.abc import TaskGroup
from connectrpc.errors import ConnectError

from sandboxes.injector import ProcessFault, Vanish, command_of
from sandboxes.provider import (
    CredentialsRefused,
    PermanentSandboxError,
    Sandbox,
    SandboxGone,
    SandboxSpec,
    TemporarySandboxError,
)
from workers.http_network import HttpNetwork
from workers.network import Endpoint, Refused, Unreachable

# The SDK reads this once, on import; each worker's command stream holds a connection, 200 is its default for all.
os.environ.setdefault("E2B_MAX_CONNECTIONS", "1000")

import e2b

APP = "e2b-swarm"
WORKER_TEMPLATE = "e2b-swarm-worker"
WORKER_PORT = 8080
# -P: what is uploaded beside the worker must not shadow a module of ours.
WORKER_COMMAND = f"exec python -P -m workers --port {WORKER_PORT}"
WORKER_COMMAND_MARK = "-m workers"
PROBE_INTERVAL_S = 0.05
REQUEST_DEADLINE_S = 30.0
OUTPUT_LINES_KEPT = 20
LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class E2BAccount:
    """Whose sandboxes, and where: empty URLs mean E2B's own; `api_url` and `sandbox_url` point elsewhere."""

    api_key: str
    domain: str = ""
    api_url: str = ""
    sandbox_url: str = ""

    def params(self) -> "e2b.ApiParams":
        params: e2b.ApiParams = {"api_key": self.api_key, "request_timeout": REQUEST_DEADLINE_S, "debug": False}
        if self.domain:
            params["domain"] = self.domain
        if self.api_url:
            params["api_url"] = self.api_url
        if self.sandbox_url:
            params["sandbox_url"] = self.sandbox_url
        return params


class E2BProvider:
    """Grants sandboxes over the SDK, and does harm to them when asked; made by `open_e2b`."""

    def __init__(self, account: E2BAccount, *, network: HttpNetwork, tasks: TaskGroup) -> None:
        self._sandboxes = e2b.E2B(**account.params()).AsyncSandbox
        self._network = network
        self._tasks = tasks
        self._commands: defaultdict[str, list[_Command]] = defaultdict(list)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        with translated(f"creating a sandbox for {spec.agent}"):
            sandbox = await self._sandboxes.create(
                template=WORKER_TEMPLATE,
                timeout=spec.lease_s,
                metadata={
                    "app": APP,
                    "swarm": spec.swarm,
                    "agent": spec.agent,
                    "generation": str(spec.generation),
                },
                network={"allow_public_traffic": False},
                idempotency_key=spec.key.lower(),
            )
            for path, content in sorted(spec.files.items()):
                await sandbox.files.write(path, content)
            pid = await self._start_worker(sandbox)
            endpoint = await self._wait_reachable(sandbox)
        return Sandbox(id=sandbox.sandbox_id, agent=spec.agent, generation=spec.generation, endpoint=endpoint, pid=pid)

    async def renew(self, sandbox_id: str, lease_s: int) -> None:
        with translated(f"renewing sandbox {sandbox_id}"):
            await self._sandboxes.set_timeout(sandbox_id, lease_s)

    async def list(self, swarm: str) -> Sequence[str]:
        found: list[str] = []
        with translated(f"listing the sandboxes of {swarm}"):
            pages = self._sandboxes.list(query=e2b.SandboxQuery(metadata={"app": APP, "swarm": swarm}))
            while pages.has_next:
                found += [info.sandbox_id for info in await pages.next_items()]
        return found

    async def kill(self, sandbox_id: str) -> bool:
        for command in self._commands.pop(sandbox_id, []):
            await command.give_up()
        with translated(f"killing sandbox {sandbox_id}"):
            return await self._sandboxes.kill(sandbox_id)

    async def arm(self, sandbox: Sandbox, fault: ProcessFault) -> Callable[[], Awaitable[None]]:
        """Prepare a fault: a command in the sandbox that waits for a line."""
        if isinstance(fault, Vanish):
            return partial(self._vanish, sandbox.id)
        if sandbox.pid is None:
            raise PermanentSandboxError(f"nobody knows the worker's process in sandbox {sandbox.id} of {sandbox.agent}")
        with translated(f"arming a fault in sandbox {sandbox.id}"):
            connected = await self._sandboxes.connect(sandbox.id)
            handle = await connected.commands.run(
                command_of(fault, sandbox.pid), background=True, stdin=True, timeout=0, retain_output=False
            )
        self._follow(sandbox.id, handle)

        async def fire() -> None:
            with translated(f"firing a fault in sandbox {sandbox.id}"):
                await connected.commands.send_stdin(handle.pid, "\n")

        return fire

    async def _vanish(self, sandbox_id: str) -> None:
        with translated(f"losing sandbox {sandbox_id} on purpose"):
            await self._sandboxes.kill(sandbox_id)

    def _follow(self, sandbox_id: str, handle: "e2b.AsyncCommandHandle[None]") -> "_Command":
        command = _Command(handle)
        self._commands[sandbox_id].append(command)
        self._tasks.start_soon(command.watch)
        return command

    async def _start_worker(self, sandbox: "e2b.AsyncSandbox") -> int | None:
        """Start the worker unless one listens already: left by the template, or by an attempt whose answer was lost."""
        for endpoint in _endpoints(sandbox):
            if await self._answers(endpoint):
                running = await sandbox.commands.list()
                mark = WORKER_COMMAND_MARK
                return next((found.pid for found in running if any(mark in word for word in found.args)), None)
        output: deque[str] = deque(maxlen=OUTPUT_LINES_KEPT)
        spoke = anyio.Event()

        def on_output(text: str) -> None:
            output.append(text)
            spoke.set()

        handle = await sandbox.commands.run(
            WORKER_COMMAND,
            background=True,
            timeout=0,
            retain_output=False,
            on_stdout=on_output,
            on_stderr=on_output,
        )
        ended = self._follow(sandbox.sandbox_id, handle).ended
        await _wait_first(spoke, ended)
        if "listening" not in "".join(output):
            with anyio.move_on_after(LAST_WORDS_S):
                await ended.wait()
            said = " ".join("".join(output).split())[-400:] or "nothing"
            raise PermanentSandboxError(f"the worker in sandbox {sandbox.sandbox_id} did not start; it said: {said}")
        pid: int = handle.pid
        return pid

    async def _wait_reachable(self, sandbox: "e2b.AsyncSandbox") -> Endpoint:
        """Find the way to the worker's port that works: routing by header first, by host name else."""
        while True:
            for endpoint in _endpoints(sandbox):
                if await self._answers(endpoint):
                    return endpoint
            await anyio.sleep(PROBE_INTERVAL_S)

    async def _answers(self, endpoint: Endpoint) -> bool:
        try:
            return "protocol" in await self._network.probe(endpoint)
        except (Refused, Unreachable):
            return False


@asynccontextmanager
async def open_e2b(account: E2BAccount, network: HttpNetwork) -> AsyncIterator[E2BProvider]:
    """Open a provider over an account; the streams of its workers' commands end with the context."""
    async with anyio.create_task_group() as tasks:
        yield E2BProvider(account, network=network, tasks=tasks)
        tasks.cancel_scope.cancel()


def _endpoints(sandbox: "e2b.AsyncSandbox") -> Sequence[Endpoint]:
    """Name the ways to a worker's port, the preferred one first."""
    token = sandbox.traffic_access_token
    admission = {"e2b-traffic-access-token": token} if token else {}
    routing = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": str(WORKER_PORT)}
    config = sandbox.connection_config
    by_header = config.get_sandbox_url(sandbox.sandbox_id, sandbox.sandbox_domain or "", WORKER_PORT)
    endpoints = [Endpoint(by_header.rstrip("/"), routing | admission)]
    shared_host = httpx.URL(by_header)
    if not _is_address(shared_host.host):  # no name leads to a sandbox below an address; asking DNS takes seconds
        endpoints.append(Endpoint(f"{shared_host.scheme}://{sandbox.get_host(WORKER_PORT)}", admission))
    return endpoints


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


class _Command:
    """A command that runs in the background, followed to its end."""

    def __init__(self, handle: "e2b.AsyncCommandHandle[None]") -> None:
        self._handle = handle
        self._scope = anyio.CancelScope()
        self.ended = anyio.Event()

    async def watch(self) -> None:
        """Follow the command to its end, however it ends."""
        try:
            with self._scope:
                await self._handle.wait()
        except Exception:  # noqa: BLE001, S110 - the SDK raises a bare Exception among others: it has ended
            pass
        finally:
            self.ended.set()  # also when all is cancelled: whoever gives up waits for it

    async def give_up(self) -> None:
        """Stop following, and end the stream.

        An open stream at interpreter exit can abort the process (Python 3.11). To end it first would show here as a
        cancellation that nobody asked for, and end all that runs beside.
        """
        self._scope.cancel()
        await self.ended.wait()
        with suppress(e2b.SandboxException, httpx.HTTPError):
            await self._handle.disconnect()


async def _wait_first(*events: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        for event in events:
            tasks.start_soon(wait, event)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever the SDK raises into one of ours (its families, and what each means, were found by experiment)."""
    try:
        yield
    except e2b.AuthenticationException as error:
        raise CredentialsRefused(f"{doing}: E2B refused the API key ({_line(error)})") from error
    except (e2b.RateLimitException, e2b.ServiceBusyException) as error:
        raise TemporarySandboxError(f"{doing}: {_line(error)}") from error
    except (e2b.SandboxNotRunningException, e2b.NotFoundException) as error:
        raise SandboxGone(f"{doing}: it is gone or does not exist ({_line(error)})") from error
    except e2b.TimeoutException as error:
        raise TemporarySandboxError(f"{doing}: {_line(error)}") from error
    except e2b.SandboxException as error:
        kind = TemporarySandboxError if (error.status_code or 0) >= 500 else PermanentSandboxError
        raise kind(f"{doing}: {_line(error)}") from error
    except e2b.BuildException as error:
        raise PermanentSandboxError(f"{doing}: {_line(error)}") from error
    except (httpx.TransportError, ConnectError, json.JSONDecodeError) as error:
        # The connection broke, or a gateway answered: what was asked may have been done.
        raise TemporarySandboxError(f"{doing}: no proper answer ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
