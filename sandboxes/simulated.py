"""Sandboxes without processes: each is a worker as a coroutine in this process. The provider of mock mode.

A sandbox takes a seeded time to start, ends when its lease does, and may be asked for twice under one key. It can be
killed, stopped or lost like a real one (`sandboxes.simulated_faults`).
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup, TaskStatus

from sandboxes.link_weather import LinkWeather
from sandboxes.memory_network import MemoryNetwork
from sandboxes.provider import Sandbox, SandboxGone, SandboxSpec
from sandboxes.simulated_process import SimulatedProcess
from workers.host import Host
from workers.network import Endpoint
from workers.worker import Worker

START_S_MIN = 0.1
START_S_MAX = 0.3


@dataclass(slots=True)
class _Running:
    """A sandbox. `has_vanished`: whoever asks is told that it is gone, and nobody at its connections is told."""

    swarm: str
    lease: anyio.CancelScope
    ended: anyio.Event
    process: SimulatedProcess
    has_vanished: bool = False


class SimulatedProvider:
    """Grants simulated sandboxes; made by `open_simulation`."""

    def __init__(self, network: MemoryNetwork, *, tasks: TaskGroup, home: Path, rng: random.Random) -> None:
        self._network = network
        self._tasks = tasks
        self._home = home
        self._rng = rng
        self._running: dict[str, _Running] = {}
        self._made = 0
        self._by_key: dict[str, Sandbox] = {}

    async def create(self, spec: SandboxSpec) -> Sandbox:
        await anyio.sleep(self._rng.uniform(START_S_MIN, START_S_MAX))
        known = self._by_key.get(spec.key)
        if known is not None:
            return known
        self._made += 1
        sandbox_id = f"simulated-{self._made:04}"
        home = self._home / sandbox_id
        for path, content in sorted(spec.files.items()):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(content)
        endpoint: Endpoint = await self._tasks.start(self._run, spec, sandbox_id)
        sandbox = Sandbox(id=sandbox_id, agent=spec.agent, generation=spec.generation, endpoint=endpoint, pid=None)
        self._by_key[spec.key] = sandbox
        return sandbox

    async def renew(self, sandbox_id: str, lease_s: int) -> None:
        running = self._running.get(sandbox_id)
        if running is None or running.has_vanished:
            raise SandboxGone(f"asked to renew sandbox {sandbox_id}, which does not exist any more")
        running.lease.deadline = anyio.current_time() + lease_s

    async def list(self, swarm: str) -> Sequence[str]:
        return sorted(
            sandbox_id
            for sandbox_id, running in self._running.items()
            if running.swarm == swarm and not running.has_vanished
        )

    async def kill(self, sandbox_id: str) -> bool:
        running = self._running.get(sandbox_id)
        if running is None or running.has_vanished:
            return False
        running.lease.cancel()
        await running.ended.wait()
        return True

    def process(self, sandbox_id: str) -> SimulatedProcess:
        """Return the process that runs in a sandbox. Raises SandboxGone."""
        running = self._running.get(sandbox_id)
        if running is None or running.has_vanished:
            raise SandboxGone(f"asked for the process in sandbox {sandbox_id}, which does not exist any more")
        return running.process

    def lose(self, sandbox_id: str) -> None:
        """Let a sandbox vanish: it runs no more, and nobody is told. Raises SandboxGone."""
        self.process(sandbox_id).stop()
        self._running[sandbox_id].has_vanished = True

    async def _run(self, spec: SandboxSpec, sandbox_id: str, *, task_status: TaskStatus[Endpoint]) -> None:
        """Keep a sandbox until its lease ends, or it is killed."""
        process, ended = SimulatedProcess(spec.agent), anyio.Event()
        async with anyio.create_task_group() as tasks:
            endpoint = await tasks.start(partial(process.run, partial(self._work, sandbox_id)))
            with anyio.CancelScope(deadline=anyio.current_time() + spec.lease_s) as lease:
                self._running[sandbox_id] = _Running(spec.swarm, lease, ended, process)
                task_status.started(endpoint)
                try:
                    await anyio.sleep_forever()
                finally:
                    process.end()
        del self._running[sandbox_id]
        ended.set()

    async def _work(self, sandbox_id: str, task_status: TaskStatus[Endpoint]) -> None:
        """Be the worker in a sandbox; when it has ended its sandbox is still there."""
        host = Host(home=self._home / sandbox_id, rss_mb=lambda: None, now_s=anyio.current_time)
        worker = Worker(self._network, host)
        async with anyio.create_task_group() as connections:
            endpoint = self._network.listen(sandbox_id, worker, tasks=connections)
            try:
                task_status.started(endpoint)
                await worker.run()
                await anyio.sleep_forever()
            finally:
                self._network.forget(endpoint)


@asynccontextmanager
async def open_simulation(
    rng: random.Random, home: Path, *, weather: LinkWeather | None = None
) -> AsyncIterator[tuple[SimulatedProvider, MemoryNetwork]]:
    """Open a provider and the network of its workers; `home` is where their uploaded files go."""
    network = MemoryNetwork(rng, weather)
    async with anyio.create_task_group() as tasks:
        yield SimulatedProvider(network, tasks=tasks, home=home, rng=rng), network
        tasks.cancel_scope.cancel()
