"""SandboxManager: launches the workers of a swarm, keeps them leased, and leaves none behind.

A slot is taken before a sandbox is asked for, so that no burst goes over the capacity. Closing kills what the provider
lists under the swarm's name, not what is remembered here: a creation that was cut off midway is found as well.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskStatus
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from sandboxes.provider import Sandbox, SandboxError, SandboxGone, SandboxProvider, SandboxSpec, TemporarySandboxError

CREATE_ATTEMPTS_MAX = 6
BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 10.0
KILL_ROUNDS_MAX = 20
KILL_CONCURRENCY = 50


class CapacityExceeded(SandboxError):
    """More sandboxes were asked for than the account or the machine gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The limits of an account or a machine.

    `sandboxes_max`: running at the same time. `creates_per_s`: None where nobody counts. `concurrency`: requests for
    a sandbox under way at once. `create_deadline_s`: for one sandbox with a listening worker.
    """

    sandboxes_max: int
    creates_per_s: float | None
    concurrency: int
    create_deadline_s: float = 60.0
    lease_s: int = 300


@dataclass(slots=True)
class SandboxCounts:
    """What a swarm used: sandboxes created, killed, and left after the end; seconds of sandbox life in total."""

    created: int = 0
    killed: int = 0
    left: int = 0
    lifetime_s: float = 0.0


@dataclass(slots=True)
class SandboxManager:
    """The sandboxes of one swarm."""

    provider: SandboxProvider
    capacity: Capacity
    swarm: str
    rng: random.Random
    counts: SandboxCounts = field(default_factory=SandboxCounts)
    _live: dict[str, float] = field(default_factory=dict)
    _files: dict[str, Mapping[str, bytes]] = field(default_factory=dict)
    _slots: int = 0
    _wait_s: float = 0.0

    async def launch(
        self, agents: Mapping[str, Mapping[str, bytes]], *, on_ready: Callable[[Sandbox], None]
    ) -> dict[str, Sandbox]:
        """Create a sandbox with a listening worker for each agent, given the files each needs.

        Raises CapacityExceeded before anything is started, or the SandboxError of the first that could not be made.
        """
        self.check_capacity(len(agents))
        self._slots += len(agents)
        self._files |= agents
        ready: dict[str, Sandbox] = {}
        limiter = anyio.CapacityLimiter(self.capacity.concurrency)
        pace = _Pace(self.capacity.creates_per_s)

        async def launch_one(agent: str, files: Mapping[str, bytes]) -> None:
            spec = SandboxSpec(swarm=self.swarm, agent=agent, generation=1, lease_s=self.capacity.lease_s, files=files)
            async with limiter:
                await pace.wait_turn()
                sandbox = await self._create(spec)
            ready[agent] = sandbox
            on_ready(sandbox)

        try:
            async with anyio.create_task_group() as tasks:
                for agent, files in sorted(agents.items()):
                    tasks.start_soon(launch_one, agent, files)
        except ExceptionGroup as group:
            raise first_sandbox_error(group) from group
        finally:
            self._slots -= len(agents) - len(ready)
        return dict(sorted(ready.items()))

    async def replace(self, sandbox: Sandbox, *, generation: int) -> Sandbox:
        """Kill a sandbox, whatever state it is in, and create one of a later generation for the same agent.

        The new one takes the slot of the old, which is gone before: there are never two. Raises SandboxError.
        """
        try:
            with anyio.fail_after(self.capacity.create_deadline_s):
                was_there = await self.provider.kill(sandbox.id)
        except TimeoutError as error:
            raise TemporarySandboxError(
                f"the sandbox of {sandbox.agent} was not killed within {self.capacity.create_deadline_s:g} s"
            ) from error
        self._note_killed(sandbox.id, was_there=was_there)
        spec = SandboxSpec(
            swarm=self.swarm,
            agent=sandbox.agent,
            generation=generation,
            lease_s=self.capacity.lease_s,
            files=self._files[sandbox.agent],
        )
        return await self._create(spec)

    async def keep_leased(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Renew every lease when a third of it is over, until cancelled. A sandbox that is gone is forgotten."""
        task_status.started()
        while True:
            await anyio.sleep(self.capacity.lease_s / 3)
            for sandbox_id in sorted(self._live):
                try:
                    with anyio.fail_after(self.capacity.create_deadline_s):
                        await self.provider.renew(sandbox_id, self.capacity.lease_s)
                except SandboxGone:
                    self._live.pop(sandbox_id, None)  # whoever talks to its worker finds out as well
                except (TemporarySandboxError, TimeoutError):
                    continue  # two thirds of the lease are left for the next turn

    async def close(self) -> None:
        """Kill every sandbox of the swarm, as the provider lists them, until it lists none.

        A provider that fails on the way is asked again; `counts.left` says how many are left at the end.
        """
        self.counts.left = len(self._live)
        for _ in range(KILL_ROUNDS_MAX):
            self._wait_s = 0.0
            listed = await self._list()
            doomed = (listed or set()) | set(self._live)
            self.counts.left = len(doomed)
            if listed is not None and not doomed:
                return
            async with anyio.create_task_group() as tasks:
                limiter = anyio.CapacityLimiter(KILL_CONCURRENCY)
                for sandbox_id in sorted(doomed):
                    tasks.start_soon(self._kill, sandbox_id, limiter)
            await anyio.sleep(self._wait_s)

    def check_capacity(self, number: int) -> None:
        """Raise CapacityExceeded when that many more sandboxes are more than there may be."""
        if self._slots + number > self.capacity.sandboxes_max:
            raise CapacityExceeded(
                f"asked for {self._slots + number} sandboxes, this account gives {self.capacity.sandboxes_max}; "
                "ask for fewer agents, or set account_sandboxes_max in the spec to what your account gives"
            )

    async def _create(self, spec: SandboxSpec) -> Sandbox:
        """Ask until it works or cannot: the spec's key makes asking again safe."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(CREATE_ATTEMPTS_MAX),
            wait=self._backoff,
            retry=retry_if_exception_type(TemporarySandboxError),
            sleep=anyio.sleep,
            reraise=True,
        )
        try:
            with anyio.fail_after(self.capacity.create_deadline_s):
                sandbox: Sandbox = await retrying(self.provider.create, spec)
        except TimeoutError as error:
            raise TemporarySandboxError(
                f"the worker of {spec.agent} did not listen within {self.capacity.create_deadline_s:g} s"
            ) from error
        self.counts.created += 1
        self._live[sandbox.id] = anyio.current_time()
        return sandbox

    def _backoff(self, state: RetryCallState) -> float:
        """Draw the wait from our own generator: tenacity's jitter knows neither seeds nor virtual time."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked_s = error.retry_after_s if isinstance(error, TemporarySandboxError) else None
        if asked_s is not None:
            return asked_s
        return self.rng.uniform(BACKOFF_S_MIN, min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2.0**state.attempt_number))

    async def _list(self) -> set[str] | None:
        """List what exists; None when the provider does not say."""
        try:
            return set(await self.provider.list(self.swarm))
        except SandboxError as error:
            self._wait_at_least(error)
            return None

    async def _kill(self, sandbox_id: str, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            try:
                was_there = await self.provider.kill(sandbox_id)
            except SandboxError as error:  # it must not keep the others alive; the next round tries again
                self._wait_at_least(error)
                return
        self._note_killed(sandbox_id, was_there=was_there)

    def _note_killed(self, sandbox_id: str, *, was_there: bool) -> None:
        self.counts.killed += int(was_there)
        born = self._live.pop(sandbox_id, None)
        if born is not None:
            self.counts.lifetime_s += anyio.current_time() - born

    def _wait_at_least(self, error: SandboxError) -> None:
        """Put off the next round of kills as long as the provider asks, and a little in any case."""
        asked_s = error.retry_after_s if isinstance(error, TemporarySandboxError) else None
        self._wait_s = max(self._wait_s, asked_s or BACKOFF_S_MIN)


class _Pace:
    """Let creations through at a rate, evenly."""

    def __init__(self, per_s: float | None) -> None:
        self._interval_s = 1.0 / per_s if per_s else 0.0
        self._next = 0.0

    async def wait_turn(self) -> None:
        now = anyio.current_time()
        turn = max(now, self._next)
        self._next = turn + self._interval_s
        await anyio.sleep(turn - now)


def first_sandbox_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Find the error to tell the user in what a task group raised; the group itself if it is none of ours."""
    matching, _ = group.split(SandboxError)
    while isinstance(matching, BaseExceptionGroup):
        first = matching.exceptions[0]
        if not isinstance(first, BaseExceptionGroup):
            return first
        matching = first
    return group
