"""Sandboxes without processes: each is a worker as a coroutine in this process. The provider of mock mode.

A sandbox takes a seeded time to start, ends when its lease does, and may be asked for twice under one key.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup, TaskStatus

from sandboxes.memory_network import MemoryNetwork
from sandboxes.provider import Sandbox, SandboxGone, SandboxSpec
from workers.host import Host
from workers.network import Endpoint
from workers.worker import Worker

START_S_MIN = 0.1
START_S_MAX = 0.3


@dataclass(slots=True)
class _Running:
    swarm: str
    scope: anyio.CancelScope
    ended: anyio.Event


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
        if running is None:
            raise SandboxGone(f"asked to renew sandbox {sandbox_id}, which does not exist any more")
        running.scope.deadline = anyio.current_time() + lease_s

    async def list(self, swarm: str) -> Sequence[str]:
        return sorted(sandbox_id for sandbox_id, running in self._running.items() if running.swarm == swarm)

    async def kill(self, sandbox_id: str) -> bool:
        running = self._running.get(sandbox_id)
        if running is None:
            return False
        running.scope.cancel()
        await running.ended.wait()
        return True

    async def _run(self, spec: SandboxSpec, sandbox_id: str, *, task_status: TaskStatus[Endpoint]) -> None:
        ended = anyio.Event()
        with anyio.CancelScope(deadline=anyio.current_time() + spec.lease_s) as scope:
            self._running[sandbox_id] = _Running(spec.swarm, scope, ended)
            worker = Worker(
                self._network, Host(home=self._home / sandbox_id, rss_mb=lambda: None, now_s=anyio.current_time)
            )
            async with anyio.create_task_group() as connections:
                endpoint = self._network.listen(sandbox_id, worker, tasks=connections)
                task_status.started(endpoint)
                try:
                    await worker.run()
                    await anyio.sleep_forever()  # the worker has ended, its sandbox is still there
                finally:
                    self._network.forget(endpoint)
        del self._running[sandbox_id]
        ended.set()


@asynccontextmanager
async def open_simulation(rng: random.Random, home: Path) -> AsyncIterator[tuple[SimulatedProvider, MemoryNetwork]]:
    """Open a provider and the network of its workers; `home` is where their uploaded files go."""
    network = MemoryNetwork(rng)
    async with anyio.create_task_group() as tasks:
        yield SimulatedProvider(network, tasks=tasks, home=home, rng=rng), network
        tasks.cancel_scope.cancel()
