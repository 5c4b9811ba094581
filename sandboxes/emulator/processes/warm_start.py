"""Commands that start from a warm process instead of from nothing: the server's side of `zygote.py`.

A template may name a module. A command of its sandboxes that runs exactly this module is forked from the process that
has it imported; all other commands, and all when that process is not there, are spawned. A client sees no difference
but time.
"""

import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
import msgspec

from sandboxes.emulator.envd.streams import Streams
from sandboxes.emulator.processes import zygote
from sandboxes.emulator.processes.children import CommandLine, close_theirs, open_pipes
from sandboxes.emulator.processes.process_environment import COMMAND_PATH

READY_DEADLINE_S = 5.0
"""How long after its start the warm process is waited for; later commands do not wait any more."""
FORK_DEADLINE_S = 1.0
"""How long the server stands still for one fork at most; usual is 1 ms."""
REPORT_BYTES_MAX = 64 * 1024
SHELL = ("/bin/bash", "-l", "-c")
# -P is required: without it the directory of the command decides what is imported, which cannot be done beforehand.
PLAIN_COMMAND = re.compile(r"(?:exec )?python3? -P -m ([A-Za-z0-9_.]+)((?: [A-Za-z0-9_@%+=:,./-]+)*)")
READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "GLIBC_", "MALLOC_", "OMP_", "OPENBLAS_", "MKL_")
"""Variables that the interpreter and its libraries read once: who sets one gets an interpreter of his own."""
ENDED_UNSEEN = -signal.SIGKILL
"""The code of a child whose end nobody could report: it died with the warm process."""

logger = logging.getLogger(__name__)


class ForkReply(msgspec.Struct):
    """What the zygote answers to a request."""

    pid: int = 0
    error: str = ""


class ForkedChild:
    """A child of the warm process. Its end is seen on its handle, its code is reported."""

    def __init__(self, pid: int, *, handle: int, pipes: Streams, number: int | None = None) -> None:
        self.pid = pid
        self.number = pid if number is None else number
        self.pipes = pipes
        self._handle = handle
        self._code: int | None = None
        self._reported = anyio.Event()

    def poll(self) -> int | None:
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    async def wait(self) -> None:
        await anyio.wait_readable(self._handle)
        await self._reported.wait()

    def close(self) -> None:
        self.pipes.close()
        os.close(self._handle)

    def report(self, code: int) -> None:
        """Take the code in."""
        self._code = code
        self._reported.set()


class WarmProcess:
    """A module that is kept imported, for commands to start from."""

    def __init__(self, module: str) -> None:
        """Start the process. Raises `OSError` if that is impossible."""
        self._module = module
        self._control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reports, their_reports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(FORK_DEADLINE_S)
        self._reports.setblocking(False)
        with their_control, their_reports:
            numbers = (their_control.fileno(), their_reports.fileno())
            self._popen = subprocess.Popen(
                [sys.executable, "-P", zygote.__file__, module, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=build_warm_environment(),
                pass_fds=numbers,
                start_new_session=True,
            )
        self._ready_by = anyio.current_time() + READY_DEADLINE_S
        self._settled = anyio.Event()
        self._forks = False
        self._is_stopping = False
        self._children: dict[int, ForkedChild] = {}

    async def follow(self) -> None:
        """Take in reports until the process ends. Called once, as a task."""
        with anyio.CancelScope(shield=True):  # while the server ends, commands still need their codes
            while report := await self._receive():
                if report == zygote.READY:
                    self._forks = True
                    self._settled.set()
                for pid, code in msgspec.json.decode(report, type=list[tuple[int, int]]):
                    child = self._children.pop(pid, None)  # one whose fork we gave up is not known here
                    if child is not None:
                        child.report(code)
        if not self._is_stopping:
            self._stop_forking("it ended")
        self._popen.kill()
        self._popen.wait()
        self._reports.close()
        self._control.close()
        self._forks = False
        self._settled.set()
        for child in self._children.values():
            child.report(ENDED_UNSEEN)

    def stop(self) -> None:
        """Kill the process, and with it what is left of its children."""
        self._is_stopping = True
        self._popen.kill()

    def can_fork(self, command: CommandLine) -> bool:
        """Whether the command is one for the warm process, once that is ready."""
        return plan_fork(command, self._module) is not None

    async def wait_settled(self) -> None:
        """Wait until the process is ready, or known not to become so, or should have been."""
        with anyio.move_on_after(self._ready_by - anyio.current_time()):
            await self._settled.wait()

    def fork(self, command: CommandLine) -> ForkedChild | None:
        """Start a command from the warm process; return None if it has to be spawned. Raises `RpcError`."""
        arguments = plan_fork(command, self._module)
        if arguments is None or not self._forks:
            return None
        job = zygote.Job(arguments, command.environment, str(command.directory)).encode()
        return None if len(job) > zygote.REQUEST_BYTES_MAX else self._request(job, has_stdin=command.has_stdin)

    def _request(self, job: bytes, *, has_stdin: bool) -> ForkedChild | None:
        pipes, theirs = open_pipes(has_stdin=has_stdin)
        try:
            socket.send_fds(self._control, [job], theirs)
            data, handles, _, _ = socket.recv_fds(self._control, REPORT_BYTES_MAX, 1, socket.MSG_CMSG_CLOEXEC)
            reply = msgspec.json.decode(data, type=ForkReply)
        except (OSError, msgspec.DecodeError) as error:
            reply, handles = ForkReply(error=f"it does not answer: {error}"), []
        finally:
            close_theirs(theirs)
        if not handles:
            pipes.close()
            self._stop_forking(reply.error)
            return None
        self._children[reply.pid] = ForkedChild(reply.pid, handle=handles[0], pipes=pipes)
        return self._children[reply.pid]

    def _stop_forking(self, reason: str) -> None:
        """Spawn from now on; children that run already stay."""
        if self._forks or not self._settled.is_set():
            logger.warning("the warm process of %s cannot be used (%s): its commands are spawned", self._module, reason)
        self._forks = False
        self._control.close()

    async def _receive(self) -> bytes:
        try:
            await anyio.wait_readable(self._reports)
            return self._reports.recv(REPORT_BYTES_MAX)
        except ConnectionResetError:
            return b""


def build_warm_environment() -> dict[str, str]:
    """Return the environment of the warm process: nothing of the server's but where modules are found."""
    environment = {
        "PATH": COMMAND_PATH,
        "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot be forked
        "OMP_NUM_THREADS": "1",
        zygote.ROOM_VARIABLE: "-" * zygote.ROOM_BYTES,
    }
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return environment


def plan_fork(command: CommandLine, module: str) -> Sequence[str] | None:
    """Return the module's arguments if the command is a plain call of it, None if only a shell understands it."""
    *shell, line = command.arguments
    match = PLAIN_COMMAND.fullmatch(line)
    if tuple(shell) != SHELL or match is None or match.group(1) != module:
        return None
    return match.group(2).split() if is_plain(command.environment) else None


def is_plain(environment: Mapping[str, str]) -> bool:
    """Whether the interpreter that is warm would also have been found and started so with this environment."""
    return environment["PATH"] == COMMAND_PATH and not any(
        name.startswith(READ_AT_START) or not name or "=" in name or "\0" in name + value
        for name, value in environment.items()
    )
