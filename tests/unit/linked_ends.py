"""Links over pipes in memory for tests: two ends, and a line that can be cut."""

import random
from contextlib import asynccontextmanager, suppress

import anyio

from sandboxes.memory_network import MemoryPipe
from topologies.messages import Ballot, Join
from workers.changes import Changes
from workers.codec import PROTOCOL_VERSION, Hello, Neighbour, decode_frame, encode
from workers.dialling import Dialler
from workers.link import Link, LinkEnd
from workers.network import Endpoint, PipeClosed

HELLO = Hello(PROTOCOL_VERSION, "b", 1, 0)


class End:
    """One end of a link and what it heard."""

    def __init__(self, agent, neighbour, generation=1):
        self.heard = []
        self.signs = []
        self.cuts = 0
        self.changes = Changes()
        me = LinkEnd(
            agent=agent,
            generation=generation,
            greeting=Join(agent, "peer", ""),
            now_s=anyio.current_time,
            on_message=self._hear,
            on_change=self.changes.note,
            on_sign=lambda peer, generation: self.signs.append((peer, generation)),
            on_cut=self._note_cut,
        )
        self.link = Link(Neighbour(neighbour, Endpoint("", {}), dials=agent < neighbour, sends=True, hears=True), me)
        self.dialler = Dialler(self.link)

    def _note_cut(self, _):
        self.cuts += 1

    def _hear(self, _, message):
        self.heard.append(message)

    def post(self, numbers):
        for number in numbers:
            self.link.post(Ballot(number, ()))

    @property
    def rounds(self):
        return [message.round for message in self.heard if isinstance(message, Ballot)]


class Line:
    """A network where one link answers. A cut loses what is under way; `keep_out` makes dialling fail."""

    def __init__(self, answer, tasks):
        self.dials = 0
        self.keep_out = None
        self.answer = answer
        self._tasks = tasks
        self._rng = random.Random(1)
        self._pipes = ()

    async def dial(self, endpoint, path, *, headers):
        self.dials += 1
        await anyio.sleep(0.001)
        if self.keep_out is not None:
            raise self.keep_out
        here, there = self._pipes = MemoryPipe.pair(self._rng)
        self._tasks.start_soon(self.answer, there)
        return here

    async def cut(self):
        for pipe in self._pipes:
            await pipe.close()


@asynccontextmanager
async def linked():
    """Open a line between two ends, a who dials and b."""
    a, b = End("a", "b"), End("b", "a")
    async with anyio.create_task_group() as tasks:
        line = Line(b.link.attach, tasks)
        tasks.start_soon(keep, a, line)
        await a.changes.wait_until(lambda: a.link.is_up)
        await b.changes.wait_until(lambda: b.link.is_up)
        yield a, b, line
        tasks.cancel_scope.cancel()


async def keep(end, line):
    await end.dialler.keep(line, headers={}, rng=random.Random(2))


async def greet(*frames):
    """Attach end a to a pipe, send frames into it, and return what it says until it hangs up."""
    a = End("a", "b")
    here, there = MemoryPipe.pair(random.Random(1))
    said = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.link.attach, here)
        for frame in frames:
            await there.send(frame if isinstance(frame, bytes) else encode(frame))
        with suppress(PipeClosed):
            while True:
                said.append(decode_frame(await there.receive()))
    return said, a
