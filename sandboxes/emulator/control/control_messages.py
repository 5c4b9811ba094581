"""The bodies of the control plane's calls about sandboxes, as E2B's REST API spells them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from sandboxes.emulator.fleet.network_settings import NetworkSettings
from sandboxes.emulator.fleet.sandbox import PauseMode, SandboxState

TIMEOUT_MAX_S = 365 * 24 * 3600
"""Beyond any plan's 24 hours, which this server does not impose; a calendar has an end, too."""
TIMEOUT_DEFAULT_S = 300
"""What E2B gives a sandbox whose creator names no timeout."""
RESUME_TIMEOUT_DEFAULT_S = 15
FORK_TIMEOUT_DEFAULT_S = 15
REFRESH_DEFAULT_S = 15
FORKS_MAX = 100

Seconds = Annotated[int, Meta(ge=0, le=TIMEOUT_MAX_S)]
"""How long from now."""
Unsupported = Annotated[msgspec.Raw | UnsetType, Meta(description="Not supported here: any value but null is a 501.")]


class AutoResume(Struct):
    """Whether traffic wakes a paused sandbox."""

    enabled: bool = False


class NewSandbox(Struct, rename="camel"):
    """The body of create."""

    template: str = msgspec.field(name="templateID")
    timeout: Seconds = TIMEOUT_DEFAULT_S
    metadata: dict[str, str] = {}
    env_vars: dict[str, str] = {}
    network: NetworkSettings = NetworkSettings()
    allow_internet_access: bool | None = msgspec.field(name="allow_internet_access", default=None)
    auto_pause: bool = False
    auto_pause_memory: bool = True
    auto_resume: AutoResume = msgspec.field(default_factory=AutoResume)
    mcp: Unsupported = UNSET
    iam: Unsupported = UNSET
    volume_mounts: Unsupported = UNSET


class TimeoutWish(Struct):
    """The body of set-timeout, in seconds from now."""

    timeout: Seconds


class ConnectWish(Struct):
    """The body of connect."""

    timeout: Seconds = TIMEOUT_DEFAULT_S
    memory: bool = True
    """Whether what stood still goes on; otherwise it is killed."""


class ResumeWish(Struct, rename="camel"):
    """The body of resume, the older form of connect."""

    timeout: Seconds = RESUME_TIMEOUT_DEFAULT_S
    auto_pause: bool | UnsetType = UNSET
    memory: bool = True


class RefreshWish(Struct):
    """The body of refresh, in seconds from now."""

    duration: Seconds = REFRESH_DEFAULT_S


class PauseWish(Struct, rename="camel"):
    """The body of pause."""

    memory: bool = True
    require_healthy_guest: bool = False
    """Always so here: the daemon is a part of this server."""


class SnapshotWish(Struct):
    """The body of snapshot."""

    name: str | None = None
    memory: bool = True


class ForkWish(Struct):
    """The body of fork."""

    timeout: Seconds = FORK_TIMEOUT_DEFAULT_S
    count: Annotated[int, Meta(ge=1, le=FORKS_MAX)] = 1


class CreatedSandbox(Struct, omit_defaults=True):
    """The reply to create and to connect."""

    template: str = msgspec.field(name="templateID")
    sandbox_id: str = msgspec.field(name="sandboxID")
    envd_version: str = msgspec.field(name="envdVersion")
    envd_access_token: str = msgspec.field(name="envdAccessToken")
    client_id: str = msgspec.field(name="clientID")
    traffic_access_token: str | None = msgspec.field(name="trafficAccessToken", default=None)
    alias: str | None = None


class ForkError(Struct):
    """Why one fork was not made."""

    code: int
    message: str


class ForkResult(Struct, omit_defaults=True):
    """What became of one fork: a sandbox or an error."""

    sandbox: CreatedSandbox | None = None
    error: ForkError | None = None


class SnapshotShown(Struct):
    """A snapshot in the list, and the reply to its making."""

    snapshot_id: str = msgspec.field(name="snapshotID")
    names: list[str]


class Lifecycle(Struct, rename="camel"):
    """What happens at a sandbox's end, in its details."""

    auto_resume: bool
    on_timeout: Literal["kill", "pause"]


class ListedSandbox(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """A row of the list."""

    template: str = msgspec.field(name="templateID")
    sandbox_id: str = msgspec.field(name="sandboxID")
    client_id: str = msgspec.field(name="clientID")
    started_at: datetime
    end_at: datetime
    cpu_count: int
    memory_mb: int = msgspec.field(name="memoryMB")
    disk_size_mb: int = msgspec.field(name="diskSizeMB")
    state: SandboxState
    envd_version: str
    metadata: dict[str, str]
    alias: str | None = None


class SandboxDetail(ListedSandbox, rename="camel", kw_only=True, omit_defaults=True):
    """The reply to get."""

    envd_access_token: str
    allow_internet_access: bool | None = None
    network: NetworkSettings
    lifecycle: Lifecycle
    pause_mode: PauseMode | None = None
