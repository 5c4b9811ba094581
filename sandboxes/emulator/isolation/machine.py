"""What this machine gives for isolation, found out by doing it once: the server asks at its start, `doctor` whenever.

Containers, security modules and settings of the kernel may each forbid namespaces, in ways that no file tells.
"""

import os
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio

from sandboxes.emulator.fleet.egress_rules import EgressMeans
from sandboxes.emulator.isolation.egress_gate import require_replacing
from sandboxes.emulator.isolation.enclosures import EnclosureFailed, EnclosureMaker


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReport:
    """Why something cannot be had here, in the system's words; empty if it can."""

    namespaces: str
    """Mount and process namespaces, with the mounts that sandboxes need."""
    network: str
    """Network namespaces."""
    filter: str
    """Filters for system calls that tell the server of connections."""

    @property
    def means(self) -> EgressMeans:
        """What a server can do about rules for traffic out."""
        return EgressMeans(cuts_network=not self.network, filters_network=not self.filter)


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
        return None, refuse_all(str(failure))
    root = data_dir / f"probe-{secrets.token_hex(8)}"
    (root / "home/user").mkdir(parents=True)
    (root / "tmp").mkdir()
    try:
        refusal = await try_once(maker, root, has_network=True)
        if refusal:
            maker.stop()
            return None, refuse_all(refusal)
        network = await try_once(maker, root, has_network=False)
        filtering = network or await try_once(maker, root, has_network=False, watches=True)
        report = MachineReport(namespaces="", network=network, filter=filtering)
        maker.means = report.means
        return maker, report
    finally:
        shutil.rmtree(root, ignore_errors=True)


def refuse_all(reason: str) -> MachineReport:
    """Return the report of a machine without namespaces."""
    return MachineReport(namespaces=reason, network=reason, filter=reason)


async def try_once(maker: EnclosureMaker, root: Path, *, has_network: bool, watches: bool = False) -> str:
    """Make namespaces and take them down; return what went wrong."""
    try:
        enclosure = await maker.make(root, has_network=has_network)
    except EnclosureFailed as failure:
        return str(failure)
    refusal = ""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enclosure.follow)
        try:
            if watches:
                listener = enclosure.watch_connections()
                with ExitStack() as undo:
                    undo.callback(os.close, listener)
                    require_replacing(listener)
        except OSError as error:
            refusal = error.strerror or str(error)
        enclosure.kill()
    return refusal
