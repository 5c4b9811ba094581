"""What each kind of step does to the tree that is being built."""

import shutil
import tempfile
from pathlib import Path
from typing import assert_never

import anyio

from sandboxes.emulator.errors import EmulatorError
from sandboxes.emulator.fleet.sandbox_journal import LogLevel
from sandboxes.emulator.templates.build_archives import BuildArchives
from sandboxes.emulator.templates.build_commands import (
    explain_refusal,
    find_own_directories,
    installs_packages,
    is_own_path,
    translate_paths,
    translate_pip,
)
from sandboxes.emulator.templates.build_files import find_source, place_files, unpack_archive
from sandboxes.emulator.templates.build_log import BuildLog
from sandboxes.emulator.templates.build_room import BuildRoom
from sandboxes.emulator.templates.build_steps import BuildContext, Copy, Env, Run, Step, User, Workdir


class BuildFailed(EmulatorError):
    """A build cannot go on, and at which step."""

    def __init__(self, message: str, *, step: str) -> None:
        super().__init__(message)
        self.step = step


class StepWorker:
    """Takes single steps."""

    def __init__(self, archives: BuildArchives, *, scratch: Path) -> None:
        self._archives = archives
        self._scratch = scratch

    async def take(self, step: Step, context: BuildContext, *, room: BuildRoom, log: BuildLog) -> None:
        """Take a step. Raises `BuildFailed`."""
        number = str(step.number)
        try:
            match step.action:
                case Copy() as copy:
                    target = context.absolute(copy.target)
                    explain_place(target, room.root, log=log, step=number)
                    await self._copy(copy, target, room=room)
                case Run() as run:
                    await self._run(run, context, room=room, log=log, step=number)
                case Workdir():
                    explain_place(context.directory, room.root, log=log, step=number)
                    room.sandbox.paths.locate(context.directory).mkdir(parents=True, exist_ok=True)
                case Env() as env:
                    explain_variables(env, room.root, log=log, step=number)
                case User():
                    return
                case _:
                    assert_never(step.action)
        except BuildFailed:
            raise
        except EmulatorError as error:
            raise BuildFailed(f"{step.text} failed: {error}", step=number) from error
        except OSError as error:
            raise BuildFailed(f"{step.text} failed: {error.strerror}", step=number) from error

    async def _copy(self, copy: Copy, target: str, *, room: BuildRoom) -> None:
        archive = self._archives.find(copy.files_hash)
        if archive is None:
            raise EmulatorError("its files were not uploaded: upload them before the build is started")
        place = room.sandbox.paths.locate(target)
        if target.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
        # Beside the tree and on the same disk, so that files can be moved into it.
        unpacked = Path(tempfile.mkdtemp(dir=self._scratch))

        def copy_files() -> None:
            try:
                unpack_archive(archive, unpacked)
                place_files(find_source(unpacked, copy.source), place, mode=copy.mode)
            finally:
                shutil.rmtree(unpacked, ignore_errors=True)

        await anyio.to_thread.run_sync(copy_files)

    async def _run(self, run: Run, context: BuildContext, *, room: BuildRoom, log: BuildLog, step: str) -> None:
        own = find_own_directories(room.root, run.command)
        refusal = explain_refusal(run.command, own)
        if refusal is not None:
            raise BuildFailed(f"RUN {run.command} is refused: {refusal}", step=step)
        command = translate_paths(translate_pip(run.command), own)
        if command != run.command:
            log.note(f"runs here as: {command}", level=LogLevel.DEBUG, step=step)
        extra = room.pip_settings() if installs_packages(command) else {}
        context = context.after(User(run.user)) if run.user else context
        end, last_words = await room.run(command, context, extra=extra, log=log, step=step)
        if end.exit_code != 0:
            said = last_words or "nothing"
            raise BuildFailed(f"RUN {run.command} failed with {end.status}; it said: {said}", step=step)


def explain_place(path: str, root: Path, *, log: BuildLog, step: str) -> None:
    """Tell the builder when files go where commands will not find them by the same path."""
    top = path.split("/", 2)[1]
    if not is_own_path(path, find_own_directories(root, f"mkdir '/{top}'" if "'" not in top else "")):
        log.note(
            f"{path} is kept below the template's root, where the file calls find it; commands see this machine's "
            f"own /{top}. Use a path in /home/user, /tmp or a directory of the template's own, such as /app",
            level=LogLevel.WARN,
            step=step,
        )


def explain_variables(env: Env, root: Path, *, log: BuildLog, step: str) -> None:
    """Tell the builder when a variable holds a path that commands will take for this machine's."""
    own = find_own_directories(root, "")
    for name, value in env.variables:
        if any(part.startswith("/") and is_own_path(part, own) for part in value.split(":")):
            log.note(
                f"{name} reaches commands as it is written: its paths in the template mean this machine's there. "
                "Write them in the commands instead, or relative",
                level=LogLevel.WARN,
                step=step,
            )
