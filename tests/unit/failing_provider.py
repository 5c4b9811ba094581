"""A provider of sandboxes for tests that fails as told, and a manager over it."""

import random

import anyio

from sandboxes.manager import (
    Capacity,
    SandboxManager,
)
from sandboxes.provider import (
    Sandbox,
)
from workers.network import Endpoint

START_S = 1.0


class FakeProvider:
    """Grants sandboxes after a second. `troubles[call]` are raised one after the other by that call."""

    def __init__(self, **troubles):
        self.troubles = {call: list(errors) for call, errors in troubles.items()}
        self.asked = []  # (time, key)
        self.renewed = []  # (time, id, lease)
        self.running = {}  # id to swarm
        self.at_once = 0
        self.at_once_max = 0
        self.unlisted = set()  # ids that the listing does not show yet
        self.kill_troubles_for = {}  # id to an error it always has

    async def create(self, spec):
        self.asked.append((round(anyio.current_time(), 6), spec.key))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            self._fail("create")
            self.running[spec.key] = spec.swarm
            await anyio.sleep(START_S)
        finally:
            self.at_once -= 1
        return Sandbox(id=spec.key, agent=spec.agent, generation=1, endpoint=Endpoint("", {}), pid=None)

    async def renew(self, sandbox_id, lease_s):
        self.renewed.append((round(anyio.current_time(), 6), sandbox_id, lease_s))
        self._fail("renew")

    async def list(self, swarm):
        self._fail("list")
        return [id_ for id_, owner in self.running.items() if owner == swarm and id_ not in self.unlisted]

    async def kill(self, sandbox_id):
        await anyio.sleep(0.01)
        if sandbox_id in self.kill_troubles_for:
            raise self.kill_troubles_for[sandbox_id]
        self._fail("kill")
        return self.running.pop(sandbox_id, None) is not None

    def _fail(self, call):
        if self.troubles.get(call):
            raise self.troubles[call].pop(0)


def manager_of(provider, **capacity):
    limits = {"sandboxes_max": 20, "creates_per_s": None, "concurrency": 50} | capacity
    return SandboxManager(provider=provider, capacity=Capacity(**limits), swarm="s", rng=random.Random(1))


async def launch(manager, number, on_ready=lambda sandbox: None):
    return await manager.launch({f"a{index:02}": {} for index in range(number)}, on_ready=on_ready)
