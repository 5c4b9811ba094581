"""The command that a template starts in each of its sandboxes, and the one that tells when it is ready.

At E2B it runs when the template is built, and every sandbox begins with it running. Memory cannot be copied here, so
it is started anew in each, and a creator is answered when the ready command has succeeded, or after a while.
"""

import logging

import anyio

from sandboxes.emulator.envd.process_messages import ProcessConfig, StartRequest
from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox import Sandbox
from sandboxes.emulator.processes.processes import Process
from sandboxes.emulator.templates.template_catalog import Template

log = logging.getLogger(__name__)

READY_DEADLINE_S = 20.0
READY_POLL_S = 0.2


async def run_start_command(sandbox: Sandbox) -> None:
    """Start a sandbox's start command, if its template has one, and wait until it is ready."""
    template = sandbox.spec.template
    if template.start_command is None:
        return
    try:
        await start_shell(sandbox, template.start_command)
        with anyio.move_on_after(READY_DEADLINE_S) as patience:
            await wait_ready(sandbox, template)
    except RpcError as error:
        log.warning("sandbox %s: its start command could not be started: %s", sandbox.id, error)
        return
    if patience.cancelled_caught:
        log.warning("sandbox %s: its start command is not ready after %.0f s", sandbox.id, READY_DEADLINE_S)


async def wait_ready(sandbox: Sandbox, template: Template) -> None:
    """Wait until the ready command ends well."""
    while template.ready_command is not None:
        check = await start_shell(sandbox, template.ready_command)
        await check.finished.wait()
        if check.end is not None and check.end.exit_code == 0:
            return
        await anyio.sleep(READY_POLL_S)


async def start_shell(sandbox: Sandbox, command: str) -> Process:
    """Start a command as the SDK does."""
    return await sandbox.processes.start(StartRequest(ProcessConfig(cmd="/bin/bash", args=["-l", "-c", command])))
