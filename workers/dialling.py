"""Keeping a link dialled: again after every cut, with a wait that grows, until nothing more is to be said on it."""

import random
from collections.abc import Mapping

import anyio

from workers.link import Link
from workers.network import Network, Refused, Unreachable

DIAL_DEADLINE_S = 10.0
BACKOFF_S_MIN = 0.02
BACKOFF_S_MAX = 1.0
# A worker says this as long as nobody has told it who it is, or that the caller is its neighbour; a gateway, while a
# process is being replaced.
PASSING_REFUSALS = (403, 404, 409)


class LinkLost(ConnectionError):
    """A neighbour refuses this agent for good."""


class Dialler:
    """Dials the other end of one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_hurried = anyio.Event()
        self._scope = anyio.CancelScope()

    def hurry(self) -> None:
        """Dial now: the neighbour has a new process. One that vanished leaves a pipe on which nobody ever hangs up."""
        self._is_hurried.set()
        self._scope.cancel()

    async def keep(self, network: Network, *, headers: Mapping[str, str], rng: random.Random) -> None:
        """Dial the neighbour and dial again after a cut, until it has left. Raises LinkLost."""
        wait_s = BACKOFF_S_MIN
        while not self._link.is_finished:
            self._is_hurried, has_met = anyio.Event(), False
            with anyio.CancelScope() as self._scope:
                has_met = await self._dial_once(network, headers=headers)
            wait_s = BACKOFF_S_MIN if has_met else min(BACKOFF_S_MAX, rng.uniform(BACKOFF_S_MIN, 3 * wait_s))
            with anyio.move_on_after(wait_s):
                await self._is_hurried.wait()

    async def _dial_once(self, network: Network, *, headers: Mapping[str, str]) -> bool:
        """Dial, use the pipe until it breaks, and say whether there was one. Raises LinkLost."""
        neighbour = self._link.neighbour
        try:
            with anyio.fail_after(DIAL_DEADLINE_S):
                pipe = await network.dial(neighbour.endpoint, "/link", headers=headers)
        except (Unreachable, TimeoutError):
            return False
        except Refused as error:
            if error.status in PASSING_REFUSALS:
                return False
            raise LinkLost(f"{neighbour.agent} {error}") from error
        return await self._link.attach(pipe)
