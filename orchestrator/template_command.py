"""`e2b-swarm template`: the template of the workers' sandboxes, in the account that E2B_API_KEY names.

There is none for local mode, whose server lives as long as one deployment and starts workers its own way. A server
of `e2b-swarm e2b-server` is an account like E2B's: its E2B_API_URL and key lead there.
"""

import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import anyio
import msgspec
import structlog
import typer

from orchestrator import options
from orchestrator.modes import KEY_VARIABLE
from orchestrator.summary import WORKER_MEMORY_GIB, WORKER_VCPUS
from sandboxes.provider import CredentialsRefused

if TYPE_CHECKING:
    from sandboxes.e2b import E2BAccount

Result = TypeVar("Result")
NAME_DEFAULT = "e2b-swarm-worker"

template_app = typer.Typer(name="template", pretty_exceptions_enable=False, no_args_is_help=True)

CpuCount = Annotated[int, typer.Option(help="CPUs of each sandbox; E2B bills them.", metavar="N", min=1, max=8)]
MemoryMb = Annotated[int, typer.Option(help="Memory of each sandbox in MB.", metavar="N", min=128, max=8192)]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Take every step again, also those that did not change.")]
Name = Annotated[str, typer.Argument(help="The template's name or id.", metavar="[NAME]", show_default=NAME_DEFAULT)]


@template_app.callback()
def _root() -> None:
    """Build, list and delete templates: what the workers' sandboxes are made from."""


@template_app.command("build")
def build_command(
    cpu_count: CpuCount = WORKER_VCPUS,
    memory_mb: MemoryMb = int(WORKER_MEMORY_GIB * 1024),
    no_cache: NoCache = False,
    json: options.Json = False,
) -> None:
    """Build the template of the workers' sandboxes, in which the worker listens already.

    \b
    Examples:
      e2b-swarm template build
      e2b-swarm template build --cpu-count 2 --memory-mb 1024 --json
    """
    account_key = _require_key()
    from sandboxes.worker_template import build_worker_template

    began_s = time.perf_counter()
    log = structlog.get_logger().info
    built = _run(
        lambda: build_worker_template(
            _account(account_key), cpu_count=cpu_count, memory_mb=memory_mb, skip_cache=no_cache, on_log=log
        )
    )
    took_s = round(time.perf_counter() - began_s, 1)
    if json:
        _print_json({**msgspec.structs.asdict(built), "took_s": took_s})
    else:
        sys.stdout.write(f"{built.name} is ready after {took_s} s: template {built.template_id}\n")


@template_app.command("list")
def list_command(json: options.Json = False) -> None:
    """List the account's templates."""
    account_key = _require_key()
    from sandboxes.worker_template import list_templates

    found = _run(lambda: list_templates(_account(account_key)))
    if json:
        _print_json({"templates": found})
        return
    for template in found:
        names = ", ".join(template.names) or "-"
        size = f"{template.cpu_count} CPU {template.memory_mb} MB"
        sys.stdout.write(f"{template.template_id}  {names}  {template.build_status}  {size}  {template.updated_at}\n")
    if not found:
        sys.stdout.write("no templates: make one with e2b-swarm template build\n")


@template_app.command("delete")
def delete_command(name: Name = NAME_DEFAULT, json: options.Json = False) -> None:
    """Delete a template; sandboxes made from it live on."""
    account_key = _require_key()
    from sandboxes.worker_template import delete_template

    template_id = _run(lambda: delete_template(_account(account_key), name))
    if json:
        _print_json({"deleted": template_id, "name": name})
    else:
        sys.stdout.write(f"{name} is deleted: template {template_id}\n")


def _require_key() -> str:
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise CredentialsRefused(
            f"templates belong to an E2B account and {KEY_VARIABLE} is not set; set it (export {KEY_VARIABLE}="
            "e2b_...), or start e2b-swarm e2b-server and paste the lines that it prints"
        )
    return key


def _account(api_key: str) -> "E2BAccount":
    from sandboxes.e2b import E2BAccount

    return E2BAccount(api_key=api_key)


def _run(operation: Callable[[], Awaitable[Result]]) -> Result:
    # So that Ctrl-C removes what a build has put into a temporary directory.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return anyio.run(operation, backend_options={"use_uvloop": os.name == "posix"})


def _print_json(content: object) -> None:
    sys.stdout.write(msgspec.json.encode(content).decode() + "\n")
