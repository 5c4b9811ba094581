"""The bodies of the control plane, as E2B's REST API spells them."""

from datetime import datetime

import msgspec
from msgspec import UNSET, Struct, UnsetType

TIMEOUT_DEFAULT_S = 300
"""What E2B gives a sandbox whose creator names no timeout."""


class AutoResume(Struct):
    """Whether traffic wakes a paused sandbox."""

    enabled: bool = False


class NetworkWishes(Struct, rename="camel"):
    """The part of a sandbox's network settings that this server honours, and the names of the rest."""

    allow_public_traffic: bool = True
    allow_out: msgspec.Raw | UnsetType = UNSET
    deny_out: msgspec.Raw | UnsetType = UNSET
    dns_servers: msgspec.Raw | UnsetType = UNSET
    egress_proxy: msgspec.Raw | UnsetType = UNSET
    mask_request_host: msgspec.Raw | UnsetType = UNSET
    https_ports: msgspec.Raw | UnsetType = UNSET
    rules: msgspec.Raw | UnsetType = UNSET


class NewSandbox(Struct, rename="camel"):
    """The body of create."""

    template: str = msgspec.field(name="templateID")
    timeout: int = TIMEOUT_DEFAULT_S
    metadata: dict[str, str] = {}
    env_vars: dict[str, str] = {}
    network: NetworkWishes = msgspec.field(default_factory=NetworkWishes)
    allow_internet_access: bool = msgspec.field(name="allow_internet_access", default=True)
    auto_pause: bool = False
    auto_resume: AutoResume = msgspec.field(default_factory=AutoResume)
    mcp: msgspec.Raw | UnsetType = UNSET
    iam: msgspec.Raw | UnsetType = UNSET
    volume_mounts: msgspec.Raw | UnsetType = UNSET


class TimeoutWish(Struct):
    """The body of set-timeout and of connect, in seconds from now."""

    timeout: int = TIMEOUT_DEFAULT_S


class CreatedSandbox(Struct, omit_defaults=True):
    """The reply to create and to connect."""

    template: str = msgspec.field(name="templateID")
    sandbox_id: str = msgspec.field(name="sandboxID")
    envd_version: str = msgspec.field(name="envdVersion")
    envd_access_token: str = msgspec.field(name="envdAccessToken")
    client_id: str = msgspec.field(name="clientID")
    traffic_access_token: str | None = msgspec.field(name="trafficAccessToken", default=None)


class NetworkShown(Struct, rename="camel"):
    """A sandbox's network settings in its details."""

    allow_public_traffic: bool


class Lifecycle(Struct, rename="camel"):
    """What happens at a sandbox's end; this server always kills."""

    auto_resume: bool = False
    on_timeout: str = "kill"


class ListedSandbox(Struct, rename="camel", kw_only=True):
    """A row of the list."""

    template: str = msgspec.field(name="templateID")
    sandbox_id: str = msgspec.field(name="sandboxID")
    client_id: str = msgspec.field(name="clientID")
    started_at: datetime
    end_at: datetime
    cpu_count: int
    memory_mb: int = msgspec.field(name="memoryMB")
    disk_size_mb: int = msgspec.field(name="diskSizeMB")
    state: str
    envd_version: str
    metadata: dict[str, str]


class SandboxDetail(ListedSandbox, rename="camel", kw_only=True):
    """The reply to get."""

    envd_access_token: str
    allow_internet_access: bool
    network: NetworkShown
    lifecycle: Lifecycle
