"""Workers on a network in memory for tests, and the coordinator's and a neighbour's end of talking to them."""

import random
from contextlib import asynccontextmanager

import anyio
import msgspec

from sandboxes.memory_network import MemoryNetwork
from strategies import Bar
from topologies.detector import DetectorSettings
from topologies.kinds import DistributionStrategy, Role
from topologies.seats import Branch, DelegationSeat, MeshSeat, MeshSlot, Office, Post
from workers.codec import (
    PROTOCOL_VERSION,
    Assign,
    Batch,
    Hello,
    Neighbour,
    Progress,
    StrategyRef,
    decode_account,
    encode,
)
from workers.host import Host
from workers.network import Endpoint
from workers.worker import Worker

TOKEN = "token-of-the-swarm"
OFFICE = Office("hub", ("hub", "spoke"), ("hub", "spoke"))
POST = Post(OFFICE, (Branch("hub", {}), Branch("spoke", {"momentum": 1})), None, 2.0)
HUB = DelegationSeat("hub", Role.HUB, (), OFFICE, (POST,), DistributionStrategy.LEAST_LOADED, ("spoke",))
SPOKE = DelegationSeat("spoke", Role.SPOKE, ("momentum",), OFFICE, (POST,), DistributionStrategy.LEAST_LOADED, ("hub",))
DETECTOR = DetectorSettings.paced(0.5)
BAR = Bar("day", 1.0, 1.0, 1.0, 1.0, 0.0)
SHOWING = {"authorization": f"Bearer {TOKEN}"}


def mesh_seat(*owners):
    """Make the seat of a, who watches b, on a symbol with these owners."""
    slots = {"X": tuple(MeshSlot(owner, ("momentum",)) for owner in owners)}
    return MeshSeat("a", Role.PEER, ("momentum",), slots, {"X": ()}, 0.66, 2.0, ("b",))


def neighbour(agent, endpoint=None, *, dials=False, sends=True, hears=True):
    return Neighbour(agent, endpoint or Endpoint(f"memory://{agent}", {}), dials=dials, sends=sends, hears=hears)


def assignment(seat=HUB, *neighbours, **changes):
    assign = Assign(
        version=PROTOCOL_VERSION,
        swarm="s",
        generation=1,
        token=TOKEN,
        seat=seat,
        neighbours=neighbours or (neighbour("spoke"),),
        strategies=(StrategyRef("momentum"),),
        history={},
        seed=0,
        detector=DETECTOR,
    )
    return msgspec.structs.replace(assign, **changes)


class Control:
    """A coordinator's end of a control connection."""

    def __init__(self, pipe):
        self._pipe = pipe

    async def tell(self, *orders):
        for order in orders:
            await self._pipe.send(order if isinstance(order, bytes) else encode(order))

    async def hear(self, *, also_progress=False):
        """Return the next account that is not about progress."""
        while isinstance(account := decode_account(await self._pipe.receive()), Progress):
            if also_progress:
                return account
        return account

    async def hang_up(self):
        await self._pipe.close()
        await anyio.sleep(0.01)


class Yard:
    """A network with workers on it."""

    def __init__(self, tasks, home, rng=None):
        self.network = MemoryNetwork(rng or random.Random(1))
        self._tasks = tasks
        self._home = home

    def start(self, address):
        """Start an anonymous worker; return it, its endpoint, and an event for its end."""
        worker = Worker(self.network, Host(home=self._home, rss_mb=lambda: 12.5, now_s=anyio.current_time))
        ended = anyio.Event()

        async def run():
            await worker.run()
            ended.set()

        self._tasks.start_soon(run)
        return worker, self.network.listen(address, worker, tasks=self._tasks), ended

    async def control(self, endpoint, **headers):
        return Control(await self.network.dial(endpoint, "/control", headers=headers))


@asynccontextmanager
async def a_yard(home, rng=None):
    async with anyio.create_task_group() as tasks:
        yield Yard(tasks, home, rng)
        tasks.cancel_scope.cancel()


async def shake_hands(pipe, agent, *messages):
    """Greet as a neighbour, and send it a first batch."""
    await pipe.send(encode(Hello(PROTOCOL_VERSION, agent, 1, 0)))
    await pipe.send(encode(Batch(1, 0, messages)))


async def link_as(yard, endpoint, agent, *messages):
    pipe = await yard.network.dial(endpoint, "/link", headers=SHOWING | {"x-swarm-agent": agent})
    await shake_hands(pipe, agent, *messages)
    return pipe
