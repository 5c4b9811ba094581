"""From what a creator asks for to what the server makes: what cannot be kept is refused here, with its reason."""

from msgspec import UNSET

from sandboxes.emulator.control.control_messages import NewSandbox
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.network_settings import check_network
from sandboxes.emulator.fleet.sandbox import LifecyclePolicy, PauseMode, SandboxSpec
from sandboxes.emulator.templates.template_catalog import Template, TemplateCatalog


def make_spec(wish: NewSandbox, template: Template) -> SandboxSpec:
    """Return the wish as the server takes it. Raises `ApiError` (400, 501)."""
    refuse_unsupported(wish)
    check_network(wish.network)
    return SandboxSpec(
        template=template,
        timeout_s=wish.timeout,
        metadata=wish.metadata,
        environment={**template.envs, **wish.env_vars},
        lifecycle=make_policy(wish),
        network=wish.network,
        allows_internet=wish.allow_internet_access,
        tree=template.root,
    )


def make_policy(wish: NewSandbox) -> LifecyclePolicy:
    """Return what is to happen on timeout. Raises `ApiError` (400) for a combination that E2B has not."""
    if wish.auto_resume.enabled and not wish.auto_pause:
        raise ApiError(400, "autoResume is enabled without autoPause: a sandbox that is killed cannot be resumed")
    if wish.auto_resume.enabled and not wish.auto_pause_memory:
        raise ApiError(400, "autoResume cannot be combined with autoPauseMemory=false: resume by connect instead")
    if not wish.auto_pause:
        return LifecyclePolicy()
    mode = PauseMode.FULL if wish.auto_pause_memory else PauseMode.FILESYSTEM
    return LifecyclePolicy(pause_on_timeout=mode, resumes_on_traffic=wish.auto_resume.enabled)


def require_template(catalog: TemplateCatalog, name_or_id: str) -> Template:
    """Return a template. Raises `ApiError` (404) naming those that exist."""
    template = catalog.find(name_or_id)
    if template is None:
        known = ", ".join(sorted(template.name or template.id for template in catalog.list_all()))
        raise ApiError(404, f"template {name_or_id!r} not found: this server knows {known}")
    return template


def refuse_unsupported(wish: NewSandbox) -> None:
    """Raise `ApiError` (501) for every wish that could not be kept."""
    unkept = {
        "mcp": wish.mcp is not UNSET and bytes(wish.mcp) != b"null",
        "iam": wish.iam is not UNSET and bytes(wish.iam) != b"null",
        "volumeMounts": wish.volume_mounts is not UNSET and bytes(wish.volume_mounts) != b"null",
    }
    names = [name for name, is_wished in unkept.items() if is_wished]
    if names:
        raise ApiError(501, f"the embedded server cannot keep {', '.join(names)}: leave it out, or use E2B itself")
