"""The template that workers' sandboxes are made from, as E2B builds it, and the account's templates.

In it the worker is installed, compiled and already listening: a sandbox then costs no upload and no start. Its wheel
is built from the source tree, so that what runs in the sandbox is what the coordinator runs. Called by
`e2b-swarm template`; errors are translated as in `e2b.py`.
"""

import importlib.metadata
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import msgspec

from sandboxes.e2b import WORKER_COMMAND, WORKER_PORT, WORKER_TEMPLATE, E2BAccount, translated
from sandboxes.provider import PermanentSandboxError

import e2b  # isort: skip  (after the module that sets the SDK's environment)
from e2b.api import handle_api_exception
from e2b.api.client.api.templates import delete_templates_template_id, get_templates
from e2b.api.client.client import AuthenticatedClient
from e2b.api.client.models import Template as ListedTemplate
from e2b.api.client_async import get_api_client

DISTRIBUTION = "e2b-swarm"
WORKER_REQUIREMENTS = frozenset({"aiohttp", "anyio", "msgspec", "networkx", "uvloop"})
"""What a worker imports of the distribution's dependencies; the others are the coordinator's."""
WORKER_PACKAGES = ("strategies", "topologies", "workers")
HOME = "/home/user"
WHEEL_DEADLINE_S = 300.0


class BuiltTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A template that is ready."""

    template_id: str
    build_id: str
    name: str
    tags: Sequence[str]


class TemplateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A template of the account."""

    template_id: str
    names: Sequence[str]
    build_status: str
    cpu_count: int
    memory_mb: int
    updated_at: str


async def build_worker_template(
    account: E2BAccount, *, cpu_count: int, memory_mb: int, skip_cache: bool, on_log: Callable[[str], None]
) -> BuiltTemplate:
    """Build the template and wait until it is ready. Raises SandboxError."""
    with tempfile.TemporaryDirectory(prefix="e2b-swarm-template-") as directory:
        context = Path(directory)
        wheel = await anyio.to_thread.run_sync(build_wheel, context)
        with translated(f"building template {WORKER_TEMPLATE}"):
            built = await e2b.E2B(**account.params()).AsyncTemplate.build(
                define_worker(context, wheel.name),
                WORKER_TEMPLATE,
                cpu_count=cpu_count,
                memory_mb=memory_mb,
                skip_cache=skip_cache,
                on_build_logs=lambda entry: on_log(entry.message),
            )
    return BuiltTemplate(template_id=built.template_id, build_id=built.build_id, name=built.name, tags=built.tags)


async def list_templates(account: E2BAccount) -> Sequence[TemplateSummary]:
    """Return the templates of an account. Raises SandboxError."""
    with translated("listing the templates"):
        found = await _fetch_templates(_open_client(account))
    return [
        TemplateSummary(
            template_id=template.template_id,
            names=sorted({*template.names, *template.aliases}),
            build_status=str(template.build_status),
            cpu_count=template.cpu_count,
            memory_mb=template.memory_mb,
            updated_at=template.updated_at.isoformat(timespec="seconds"),
        )
        for template in found
    ]


async def delete_template(account: E2BAccount, name: str) -> str:
    """Delete the template of a name or id, and return its id. Raises SandboxError, also if there is none."""
    with translated(f"deleting template {name}"):
        client = _open_client(account)
        known = await _fetch_templates(client)
        ids = [found.template_id for found in known if name in (found.template_id, *found.names, *found.aliases)]
        if not ids:
            raise PermanentSandboxError(f"there is no template {name}: see e2b-swarm template list")
        answer = await delete_templates_template_id.asyncio_detailed(ids[0], client=client)
        if answer.status_code >= 300:
            raise handle_api_exception(answer, e2b.TemplateException)
    return ids[0]


def define_worker(context: Path, wheel: str) -> e2b.TemplateClass:
    """Return the build's definition. What changes most often comes last, so that the steps before stay cached."""
    path = f"{HOME}/{wheel}"
    imports = f"import {', '.join(WORKER_PACKAGES)}"
    paths = ", ".join(f"*{package}.__path__" for package in WORKER_PACKAGES)
    return (
        e2b.AsyncTemplate(file_context_path=context)
        .from_python_image(f"{sys.version_info.major}.{sys.version_info.minor}")
        .pip_install([shlex.quote(requirement) for requirement in worker_requirements()])
        .copy(wheel, path)
        .run_cmd(f"pip install --no-deps {path}", user="root")
        .run_cmd(f"python -P -m compileall -q $(python -P -c '{imports}; print({paths})')", user="root")
        .set_start_cmd(WORKER_COMMAND, e2b.wait_for_port(WORKER_PORT))
    )


def worker_requirements() -> list[str]:
    """Return what a worker needs, in the versions that the distribution asks for."""
    asked = importlib.metadata.requires(DISTRIBUTION) or []
    plain = [text.partition(";")[0].strip() for text in asked if "extra ==" not in text]
    return sorted(text for text in plain if re.split(r"[^\w.-]", text, maxsplit=1)[0] in WORKER_REQUIREMENTS)


def build_wheel(directory: Path) -> Path:
    """Build our wheel from the source tree, or fetch the one of our version; blocking. Raises PermanentSandboxError."""
    source = Path(__file__).resolve().parent.parent
    version = importlib.metadata.version(DISTRIBUTION)
    wanted = str(source) if (source / "pyproject.toml").exists() else f"{DISTRIBUTION}=={version}"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory), wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WHEEL_DEADLINE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise PermanentSandboxError(f"the worker's wheel was not built within {WHEEL_DEADLINE_S:.0f} s") from error
    wheels = sorted(directory.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        said = " ".join(done.stderr.split())[-300:] or "nothing"
        raise PermanentSandboxError(f"the worker's wheel was not built (is pip installed?); pip said: {said}")
    return wheels[0]


def _open_client(account: E2BAccount) -> AuthenticatedClient:
    return get_api_client(e2b.ConnectionConfig(**account.params()))


async def _fetch_templates(client: AuthenticatedClient) -> Sequence[ListedTemplate]:
    answer = await get_templates.asyncio_detailed(client=client)
    if answer.status_code >= 300 or not isinstance(answer.parsed, list):
        raise handle_api_exception(answer, e2b.TemplateException)
    return answer.parsed
