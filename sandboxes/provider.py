"""What the rest of the system needs of whoever grants sandboxes: E2B, the embedded server, or the simulation.

SandboxError
+-- TemporarySandboxError   try again, after `retry_after_s`; nothing was done or what was done can be found again
+-- PermanentSandboxError   asking again changes nothing
    +-- CredentialsRefused  the API key is missing or wrong
    +-- SandboxGone         the sandbox does not exist any more
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from workers.network import Endpoint


class SandboxError(Exception):
    """The root of what can go wrong with a sandbox."""


class TemporarySandboxError(SandboxError):
    """It may work later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentSandboxError(SandboxError):
    """It will not work later either."""


class CredentialsRefused(PermanentSandboxError):
    """The API key is missing or wrong."""


class SandboxGone(PermanentSandboxError):
    """The sandbox does not exist any more."""


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask for a sandbox: one worker of one agent in one generation.

    `key` makes asking idempotent: the same key gives the same sandbox. `lease_s`: it ends by itself that long after
    the last renewal. `files`: what to upload before the worker starts, by path below its home.
    """

    swarm: str
    agent: str
    generation: int
    lease_s: int
    files: Mapping[str, bytes]

    @property
    def key(self) -> str:
        return f"{self.swarm}-{self.agent}-{self.generation}"


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox with a worker that listens. `pid`: of the worker, as the provider reports it; None without one."""

    id: str
    agent: str
    generation: int
    endpoint: Endpoint
    pid: int | None


class SandboxProvider(Protocol):
    """Grants sandboxes. Every call may raise SandboxError; the caller holds the deadline."""

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Make a sandbox and start its worker; return once it listens."""

    async def renew(self, sandbox_id: str, lease_s: int) -> None:
        """Let a sandbox live for another `lease_s` seconds from now."""

    async def list(self, swarm: str) -> Sequence[str]:
        """Name all sandboxes of a swarm that exist, whoever made them."""

    async def kill(self, sandbox_id: str) -> bool:
        """End a sandbox and all that runs in it; False when it was gone already."""
