"""A template's start and ready commands: what they become on this machine, and the one trial that a build makes.

At E2B the started command lives on in the template's memory. Here it is started anew in each sandbox (see
`start_command.py`); the trial shows at build time whether it does start, in a sandbox like those to come.
"""

from pathlib import Path

import anyio

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.fleet.start_command import start_shell, wait_ready
from sandboxes.emulator.processes.processes import Process
from sandboxes.emulator.templates.build_actions import BuildFailed
from sandboxes.emulator.templates.build_commands import (
    explain_refusal,
    find_own_directories,
    translate_paths,
    translate_ready_check,
)
from sandboxes.emulator.templates.build_log import BuildLog
from sandboxes.emulator.templates.build_room import BuildRoom, follow_output

READY_DEADLINE_S = 120.0
FINALIZE = "finalize"


def adapt_commands(start: str, ready: str, *, root: Path, log: BuildLog) -> tuple[str | None, str | None]:
    """Return both commands as they run here, `None` for an empty one. Raises `BuildFailed` for one that may not."""
    adapted: list[str | None] = []
    for command in (start, translate_ready_check(ready)):
        own = find_own_directories(root, command)
        refusal = explain_refusal(command, own)
        if refusal is not None:
            raise BuildFailed(f"{command} is refused: {refusal}", step=FINALIZE)
        adapted.append(translate_paths(command, own) or None)
    if translate_ready_check(ready) != ready:
        log.note(
            "the ready command asks for all ports of a machine, which here are those of all sandboxes: it is replaced "
            "by a connection to the port at the sandbox's own address, $E2B_SANDBOX_IP",
            level=LogLevel.WARN,
            step=FINALIZE,
        )
    return adapted[0], adapted[1]


async def try_start(room: BuildRoom, log: BuildLog) -> None:
    """Start a template's command once, and wait until it is ready. Raises `BuildFailed`, or `RpcError`."""
    template = room.sandbox.spec.template
    failures: list[str] = []
    process: Process | None = None
    if template.start_command is not None:
        log.note(f"start command: {template.start_command}", step=FINALIZE)
        process = await start_shell(room.sandbox, template.start_command)
    async with anyio.create_task_group() as tasks:

        async def watch(started: Process) -> None:
            last_words = await follow_output(started, log, step=FINALIZE)
            await started.finished.wait()
            if started.end is not None and started.end.exit_code != 0:
                said = last_words or "nothing"
                failures.append(f"the start command ended with {started.end.status}; it said: {said}")
                tasks.cancel_scope.cancel()

        if process is not None:
            tasks.start_soon(watch, process)
        with anyio.move_on_after(READY_DEADLINE_S) as patience:
            try:
                await wait_ready(room.sandbox, template)
            except RpcError as error:
                failures.append(f"the ready command could not be run: {error}")
        tasks.cancel_scope.cancel()
    if patience.cancelled_caught and not failures:
        failures.append(f"the ready command has not succeeded for {READY_DEADLINE_S:.0f} s: {template.ready_command}")
    if failures:
        raise BuildFailed(failures[0], step=FINALIZE)
    log.note("ready: the start command is stopped, and is started in each new sandbox", step=FINALIZE)
