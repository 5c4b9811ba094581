"""The composition root: what mock, local and live are made of. Nothing else compares modes.

Local and live differ in the account alone: local's belongs to an embedded server started here.
"""

import os
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import anyio

from orchestrator.chaos.grammar import FaultKind
from orchestrator.chaos.source import Chaos, read_chaos
from orchestrator.spec import Mode, SpecError, SwarmSpec
from sandboxes.injector import FaultInjector, Surroundings
from sandboxes.manager import Capacity
from sandboxes.provider import CredentialsRefused, SandboxProvider
from workers.network import Network

if TYPE_CHECKING:
    from sandboxes.e2b import E2BProvider

KEY_VARIABLE = "E2B_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything that depends on the mode.

    `token_hex`: makes secrets and names (seeded in mock mode). `close_deadline_s`: how long ending all sandboxes may
    take when the swarm is broken off. `now_s`: a clock fine enough to time a message; `began_s`: its time when opening
    began; `clock`: whether its seconds are real or virtual. `is_billed`: whether sandboxes cost money, rather than what
    E2B would charge. `heartbeat_s_min`: between two signs of life of an agent, at best. `injector` does harm to workers
    on purpose, `surroundings` (where they are simulated, else None) to all around them.
    """

    provider: SandboxProvider
    injector: FaultInjector
    surroundings: Surroundings | None
    network: Network
    capacity: Capacity
    token_hex: Callable[[int], str]
    close_deadline_s: float
    now_s: Callable[[], float]
    began_s: float
    clock: str
    is_billed: bool
    heartbeat_s_min: float


def require_mode(mode: Mode) -> None:
    """Check that a mode can be used here at all. Raises CredentialsRefused."""
    if mode is Mode.LIVE and not os.environ.get(KEY_VARIABLE):
        raise CredentialsRefused(
            f"live mode needs an E2B API key and {KEY_VARIABLE} is not set; "
            f"set it (export {KEY_VARIABLE}=e2b_...), or use --mode local, which needs no account"
        )


def check_chaos(mode: Mode, chaos: Chaos) -> None:
    """Check that what is to go wrong can go wrong in a mode. Raises SpecError."""
    if mode is not Mode.MOCK and chaos.chance is not None:
        raise SpecError(
            f"chaos by chance is for --mode mock, this is {mode}; ask for faults one by one, like kill:random@round=5"
        )
    if mode is Mode.MOCK and any(fault.kind is FaultKind.MEMORY for fault in chaos.faults):
        raise SpecError("fault memory needs real processes, and mock mode has none; use --mode local, or leave it out")


def loop_options(mode: Mode) -> Mapping[str, object]:
    """Choose the event loop: virtual time in mock mode."""
    if mode is Mode.MOCK:
        from sandboxes.virtual_time import VirtualTimeLoop

        return {"loop_factory": VirtualTimeLoop}
    return {"use_uvloop": os.name == "posix"}


@asynccontextmanager
async def open_environment(spec: SwarmSpec) -> AsyncIterator[Environment]:
    """Open what a mode needs, and close it again. Raises SandboxError."""
    match spec.mode:
        case Mode.MOCK:
            async with _open_mock(spec) as environment:
                yield environment
        case Mode.LOCAL:
            async with _open_local() as environment:
                yield environment
        case Mode.LIVE:
            async with _open_live(spec) as environment:
                yield environment
        case _:
            assert_never(spec.mode)


@asynccontextmanager
async def _open_mock(spec: SwarmSpec) -> AsyncIterator[Environment]:
    from sandboxes.link_weather import LinkWeather
    from sandboxes.simulated import open_simulation
    from sandboxes.simulated_faults import SimulatedFaults, UnreliableProvider

    began_s = anyio.current_time()
    rng, chance_rng = (random.Random(f"{spec.seed}/{name}") for name in ("environment", "chance"))
    goes_by_chance = spec.chaos is not None and read_chaos(spec.chaos).chance is not None
    weather = LinkWeather(chance_rng)
    with tempfile.TemporaryDirectory(prefix="e2b-swarm-mock-") as directory:
        async with (
            open_simulation(rng, Path(directory), weather=weather) as (simulated, network),
            anyio.create_task_group() as tasks,
        ):
            provider = UnreliableProvider(simulated, chance_rng)
            faults = SimulatedFaults(simulated, api=provider, weather=weather, tasks=tasks)
            yield Environment(
                provider=provider,
                injector=faults,
                surroundings=faults,
                network=network,
                capacity=Capacity(sandboxes_max=1000, creates_per_s=None, concurrency=50),
                token_hex=lambda size: rng.randbytes(size).hex(),
                close_deadline_s=60.0,
                now_s=anyio.current_time,
                began_s=began_s,
                clock="virtual",
                is_billed=False,
                # Chance is given in faults a minute: signs of life in seconds let a swarm see minutes.
                heartbeat_s_min=1.0 if goes_by_chance else 0.05,
            )
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _open_local() -> AsyncIterator[Environment]:
    from sandboxes.embedded import open_embedded_server

    began_s = time.perf_counter()
    api_key = f"e2b_{secrets.token_hex(20)}"
    async with open_embedded_server(api_key) as server, _open_account(api_key, server.url) as (provider, network):
        yield Environment(
            provider=provider,
            injector=provider,
            surroundings=None,
            network=network,
            # Starting a worker is mostly the CPU's work: more at once would only make all of them late.
            capacity=Capacity(sandboxes_max=250, creates_per_s=None, concurrency=2 * (os.cpu_count() or 1)),
            token_hex=secrets.token_hex,
            close_deadline_s=1.2,
            now_s=time.perf_counter,
            began_s=began_s,
            clock="real",
            is_billed=False,
            heartbeat_s_min=0.05,
        )


@asynccontextmanager
async def _open_live(spec: SwarmSpec) -> AsyncIterator[Environment]:
    began_s = time.perf_counter()
    require_mode(Mode.LIVE)
    async with _open_account(os.environ[KEY_VARIABLE], "") as (provider, network):
        yield Environment(
            provider=provider,
            injector=provider,
            surroundings=None,
            network=network,
            capacity=Capacity(
                sandboxes_max=spec.account_sandboxes_max,
                creates_per_s=spec.account_creates_per_s,
                concurrency=10,
            ),
            token_hex=secrets.token_hex,
            close_deadline_s=30.0,
            now_s=time.perf_counter,
            began_s=began_s,
            clock="real",
            is_billed=True,
            heartbeat_s_min=1.0,
        )


@asynccontextmanager
async def _open_account(api_key: str, url: str) -> AsyncIterator[tuple["E2BProvider", Network]]:
    from sandboxes.e2b import E2BAccount, open_e2b
    from workers.http_network import open_http_network

    account = E2BAccount(api_key=api_key, api_url=url, sandbox_url=url)
    async with open_http_network() as network, open_e2b(account, network) as provider:
        yield provider, network
