"""The settings of the embedded server: what may be given to `EmulatorServer`, and what holds otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from sandboxes.emulator.control.limits import UNLIMITED, Tier

SANDBOXES_MAX_DEFAULT = 1000
Isolation = Literal["auto", "off"]
ISOLATION_DEFAULT: Isolation = "auto"


class ServerOptions(TypedDict, total=False):
    """The settings by name, as `EmulatorServer` takes them; `ServerSettings` says what they mean."""

    address: tuple[str, int]
    data_dir: Path | None
    sandboxes_max: int
    tier: Tier
    fault_seed: int
    warm_modules: Mapping[str, str]
    strict_network: bool
    isolation: Isolation


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """All settings."""

    address: tuple[str, int] = ("127.0.0.1", 0)
    """Where to listen; port 0 takes a free one."""
    data_dir: Path | None = None
    """Where sandboxes keep files; `None` makes a temporary directory and removes it at the end."""
    sandboxes_max: int = SANDBOXES_MAX_DEFAULT
    """How many sandboxes may run at once."""
    tier: Tier = UNLIMITED
    """The limits of a plan of E2B's (`HOBBY`, `PRO`), or none but `sandboxes_max`; the lower of the two holds."""
    fault_seed: int = 0
    """Decides which requests a fault with a probability meets (see `faults.py`)."""
    warm_modules: Mapping[str, str] = field(default_factory=dict)
    """For a template the module that its commands may start from (see `warm_start.py`)."""
    strict_network: bool = False
    """Refuse network settings that are not enforced on this machine (501), instead of storing them with a warning."""
    isolation: Isolation = ISOLATION_DEFAULT
    """`auto` runs commands in namespaces of their sandbox where the machine allows it (see `isolation/`), and says in
    the log why not where it does not; `off` runs them beside the server."""
