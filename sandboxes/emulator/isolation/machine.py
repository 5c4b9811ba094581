"""What this machine gives for isolation, found out by doing it once: the server asks at its start, `doctor` whenever.

Containers, security modules and settings of the kernel may each forbid namespaces, in ways that no file tells.
"""

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import anyio

from sandboxes.emulator.isolation.enclosures import EnclosureFailed, EnclosureMaker


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReport:
    """Why something cannot be had here, in the system's words; empty if it can."""

    namespaces: str
    """Mount and process namespaces, with the mounts that sandboxes need."""
    network: str
    """Network namespaces."""


async def open_enclosures(data_dir: Path) -> EnclosureMaker:
    """Return what makes namespaces below a data directory, tried once. Raises `EnclosureFailed`."""
    maker, report = await try_machine(data_dir)
    if maker is None:
        raise EnclosureFailed(report.namespaces)
    await maker.refill()
    return maker


async def inspect_machine(data_dir: Path) -> MachineReport:
    """Say what can be had here; the directory is one to make files in."""
    maker, report = await try_machine(data_dir)
    if maker is not None:
        maker.stop()
    return report


async def try_machine(data_dir: Path) -> tuple[EnclosureMaker | None, MachineReport]:
    """Make namespaces of both kinds once."""
    try:
        maker = EnclosureMaker(data_dir)
    except (EnclosureFailed, OSError) as failure:
        return None, MachineReport(namespaces=str(failure), network=str(failure))
    root = data_dir / f"probe-{secrets.token_hex(8)}"
    (root / "home/user").mkdir(parents=True)
    (root / "tmp").mkdir()
    try:
        refusal = await try_once(maker, root, has_network=True)
        if refusal:
            maker.stop()
            return None, MachineReport(namespaces=refusal, network=refusal)
        network = await try_once(maker, root, has_network=False)
        maker.cuts_network = not network
        return maker, MachineReport(namespaces="", network=network)
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def try_once(maker: EnclosureMaker, root: Path, *, has_network: bool) -> str:
    """Make namespaces and take them down; return what went wrong."""
    try:
        enclosure = await maker.make(root, has_network=has_network)
    except EnclosureFailed as failure:
        return str(failure)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enclosure.follow)
        enclosure.kill()
    return ""
