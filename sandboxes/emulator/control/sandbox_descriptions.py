"""What the control plane tells about a sandbox: the reply to its creator, a row of the list, all its details."""

import msgspec

from sandboxes.emulator.control.control_messages import CreatedSandbox, Lifecycle, ListedSandbox, SandboxDetail
from sandboxes.emulator.fleet.network_settings import hide_secrets
from sandboxes.emulator.fleet.sandbox import Sandbox

ENVD_VERSION = "0.6.4"
CLIENT_ID = "emulator"


def describe_created(sandbox: Sandbox) -> CreatedSandbox:
    """Return the reply to create and connect, which holds the sandbox's secrets."""
    return CreatedSandbox(
        template=sandbox.spec.template.id,
        sandbox_id=sandbox.id,
        envd_version=ENVD_VERSION,
        envd_access_token=sandbox.envd_token,
        client_id=CLIENT_ID,
        traffic_access_token=sandbox.traffic_token,
        alias=sandbox.spec.template.name,
    )


def describe_listed(sandbox: Sandbox) -> ListedSandbox:
    """Return a row of the list."""
    template = sandbox.spec.template
    return ListedSandbox(
        template=template.id,
        sandbox_id=sandbox.id,
        client_id=CLIENT_ID,
        started_at=sandbox.started_at + sandbox.api_clock_offset,
        end_at=sandbox.end_at + sandbox.api_clock_offset,
        cpu_count=template.cpu_count,
        memory_mb=template.memory_mb,
        disk_size_mb=template.disk_mb,
        state=sandbox.state,
        envd_version=ENVD_VERSION,
        metadata=dict(sandbox.spec.metadata),
        alias=template.name,
    )


def describe_detail(sandbox: Sandbox) -> SandboxDetail:
    """Return a sandbox's details."""
    policy = sandbox.spec.lifecycle
    return SandboxDetail(
        **msgspec.structs.asdict(describe_listed(sandbox)),
        envd_access_token=sandbox.envd_token,
        allow_internet_access=sandbox.spec.allows_internet,
        network=hide_secrets(sandbox.spec.network),
        lifecycle=Lifecycle(
            auto_resume=policy.resumes_on_traffic,
            on_timeout="kill" if policy.pause_on_timeout is None else "pause",
        ),
        pause_mode=sandbox.pause_mode,
    )
