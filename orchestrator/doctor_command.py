"""`e2b-swarm doctor`: what this machine gives, what the embedded server makes of it, and what to do about the rest.

Everything is found out by doing it once. Nothing is changed, and no secret is printed.
"""

import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from sandboxes.emulator.isolation.machine import MachineReport

KEY_VARIABLE = "E2B_API_KEY"
FILES_WANTED = 4096
"""Some 250 sandboxes, each with a connection and the pipes of its commands."""
LOOPBACK_ADDRESS = "127.64.0.1"
UNAVAILABLE = 1

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report."""

    name: str
    ok: bool
    is_required: bool = False
    """Whether local mode cannot run without it."""
    detail: str = ""
    """What was found, and what to do if something is missing."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    can_run_local: bool
    findings: list[Finding]


def doctor_command(json: Json = False) -> int:
    """Say what this machine gives to sandboxes, what is enforced here, and what to do about the rest.

    Exits with 0 if local mode can run, with 1 if it cannot.
    """
    findings = list(examine())
    report = Report(can_run_local=all(f.ok for f in findings if f.is_required), findings=findings)
    if json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{'ok     ' if finding.ok else 'missing'}  {finding.name:<28}  {finding.detail}\n")
        sys.stdout.write(f"local mode {'can' if report.can_run_local else 'CANNOT'} run on this machine\n")
    return 0 if report.can_run_local else UNAVAILABLE


def examine() -> Iterator[Finding]:
    """Yield all findings."""
    yield from examine_versions()
    yield from examine_system()
    yield from examine_isolation()
    yield Finding(
        name=KEY_VARIABLE,
        ok=bool(os.environ.get(KEY_VARIABLE)),
        detail="set"
        if os.environ.get(KEY_VARIABLE)
        else f"not set: --mode live needs it, export {KEY_VARIABLE}=e2b_...",
    )
    has_jupyter = all(importlib.util.find_spec(name) is not None for name in ("ipykernel", "jupyter_client"))
    yield Finding(
        name="run_code (Python cells)",
        ok=has_jupyter,
        detail="ipykernel is installed"
        if has_jupyter
        else "install ipykernel and jupyter_client to use run_code locally",
    )


def examine_versions() -> Iterator[Finding]:
    """Yield what is installed."""
    yield Finding(name="python", ok=True, detail=platform.python_version())
    for package in ("e2b-swarm", "e2b", "aiohttp"):
        try:
            yield Finding(name=package, ok=True, is_required=True, detail=importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name=package, ok=False, is_required=True, detail=f"pip install {package}")


def examine_system() -> Iterator[Finding]:
    """Yield what the kernel and the system's programs give."""
    has_handles = hasattr(os, "pidfd_open") and try_it(lambda: os.close(os.pidfd_open(os.getpid())))
    yield Finding(
        name="process handles (pidfd)",
        ok=has_handles,
        is_required=True,
        detail="" if has_handles else "needs Linux 5.3",
    )
    has_loopback = try_it(bind_loopback)
    yield Finding(
        name="loopback 127.64.x.y",
        ok=has_loopback,
        is_required=True,
        detail="each sandbox has an address of its own"
        if has_loopback
        else "sandboxes listen there: use Linux, with the interface lo up",
    )
    for program in ("setpriv", "setsid"):
        path = shutil.which(program)
        yield Finding(name=program, ok=path is not None, detail=path or "install util-linux")
    has_attributes = try_it(set_attribute)
    yield Finding(
        name="file attributes (xattr)",
        ok=has_attributes,
        detail=""
        if has_attributes
        else "metadata of files is kept in memory: use a file system with user xattr for TMPDIR",
    )
    instances = read_number("/proc/sys/fs/inotify/max_user_instances")
    yield Finding(
        name="inotify",
        ok=instances > 0,
        detail=f"{instances} instances" if instances else "watch_dir needs it: set fs.inotify.max_user_instances",
    )
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    is_enough = files_max == resource.RLIM_INFINITY or files_max >= FILES_WANTED
    advice = "" if is_enough else f": raise it to {FILES_WANTED} (ulimit -Hn) for swarms of 250"
    yield Finding(name="open files", ok=is_enough, detail=f"limit {files_max}{advice}")


def examine_isolation() -> Iterator[Finding]:
    """Yield what of isolation is possible, and which network settings the embedded server enforces by default."""
    report = try_namespaces()
    kind = "not needed: this user is root" if os.geteuid() == 0 else "used, because this user is not root"
    advice = "run as root or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1): "
    for name, refusal, detail in (
        ("user namespaces", report.namespaces, kind),
        ("mount namespaces", report.namespaces, "each sandbox has /home, /tmp and /dev/shm of its own"),
        ("process namespaces", report.namespaces, "each sandbox sees its own processes only"),
    ):
        yield Finding(name=name, ok=not refusal, detail=advice + refusal if refusal else detail)
    for name, refusal, detail in (
        ("network namespaces", report.network, "a sandbox with rules for traffic out has its own network"),
        ("connection filter (seccomp)", report.filter, "the server makes the connections that the rules allow"),
    ):
        yield Finding(name=name, ok=not refusal, detail=f"not possible: {refusal}" if refusal else detail)
    has_limits = try_it(lambda: resource.prlimit(0, resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)))
    detail = "no core files, 20,000 open files at most; memory and processor are shared and not limited"
    yield Finding(name="process limits (rlimits)", ok=has_limits, detail=detail if has_limits else "prlimit is refused")
    from sandboxes.emulator.fleet.network_settings import network_enforcement

    for setting in network_enforcement(cuts_network=not report.network, filters_network=not report.filter):
        yield Finding(name=f"enforced: {setting.name}", ok=setting.is_enforced, detail=setting.note)


def try_namespaces() -> "MachineReport":
    """Make namespaces once."""
    import anyio

    from sandboxes.emulator.isolation.machine import inspect_machine

    with tempfile.TemporaryDirectory(prefix="e2b-swarm-doctor-") as directory:
        return anyio.run(inspect_machine, Path(directory))


def try_it(operation: Callable[[], object]) -> bool:
    """Whether the system allows something."""
    try:
        operation()
    except OSError:
        return False
    return True


def bind_loopback() -> None:
    """Bind an address of the sandboxes' range. Raises `OSError`."""
    with closing(socket.socket()) as listener:
        listener.bind((LOOPBACK_ADDRESS, 0))


def set_attribute() -> None:
    """Give a temporary file an attribute. Raises `OSError`."""
    with tempfile.NamedTemporaryFile() as file:
        os.setxattr(file.name, "user.e2b.probe", b"1")


def read_number(path: str) -> int:
    """Read a setting of the kernel; 0 if there is none."""
    try:
        return int(Path(path).read_text())
    except OSError:
        return 0
