"""A sandbox's namespaces as the server holds them: made at its first command, gone with its last breath.

`EnclosureMaker` is the server's side of the program in `namespace_init.py`; an `Enclosure` is one process 1 it made. A
sandbox that runs no command has none, and costs nothing.
"""

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.egress_rules import EgressMeans
from sandboxes.emulator.isolation import namespace_init
from sandboxes.emulator.isolation.kept_directories import HIDING, find_kept_directories, is_below
from sandboxes.emulator.isolation.namespace_init import (
    FURNISH,
    MESSAGE_BYTES_MAX,
    SOCKET,
    SOCKET6,
    START,
    WATCH,
    Furnishing,
    Job,
    receive,
)
from sandboxes.emulator.processes.children import SHORTAGES, CommandLine, close_theirs, open_streams
from sandboxes.emulator.processes.warm_start import ENDED_UNSEEN, ForkedChild

ANSWER_DEADLINE_S = 5.0
"""How long the server stands still for one start at most; usual is 2 ms. Later answers would be taken for others'."""
OPEN_DEADLINE_S = 5.0


class EnclosureFailed(Exception):
    """No namespaces could be made; the message says which, and what the system said."""


class Answer(msgspec.Struct):
    """What the program answers."""

    pid: int = 0
    error: str | None = None
    number: int = 0


class Enclosure:
    """The namespaces of one sandbox, with their process 1."""

    def __init__(self, handle: int, *, control: socket.socket, reports: socket.socket) -> None:
        self._handle = handle
        self._control = control
        self._reports = reports
        self._children: dict[int, ForkedChild] = {}
        self.pid = read_handle_pid(handle)
        """Of process 1, as this machine counts."""
        self.over = anyio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether process 1 runs."""
        if self.over.is_set():
            return False
        watched = select.poll()  # select() fails for a descriptor beyond 1,023
        watched.register(self._handle, select.POLLIN)
        return not watched.poll(0)

    async def furnish(self, plan: Furnishing) -> None:
        """Mount what is the sandbox's own. Called once, before anything is started. Raises `EnclosureFailed`."""
        try:
            page = write_page(plan._asdict())
            try:
                socket.send_fds(self._control, [FURNISH], [page])
            finally:
                os.close(page)
            with anyio.fail_after(OPEN_DEADLINE_S):
                await anyio.wait_readable(self._control)
            require_success(self._control.recv(MESSAGE_BYTES_MAX))
        except (OSError, TimeoutError) as error:
            raise EnclosureFailed(str(error) or "it took too long") from error

    def abandon(self) -> None:
        """Kill process 1 of an enclosure that nobody follows."""
        self.kill()
        self.over.set()
        self._close()

    def start(self, command: CommandLine) -> ForkedChild:
        """Start a command in here. Raises `RpcError`."""
        streams, theirs = open_streams(command)
        try:
            theirs.insert(0, write_page(describe_job(command)))
            number, handle = self._ask(START, theirs)
            child = ForkedChild(read_handle_pid(handle), handle=handle, pipes=streams, number=number)
        except OSError as error:
            streams.close()
            if error.errno in SHORTAGES:
                raise RpcError("resource_exhausted", f"no process could be started: {error.strerror}") from error
            raise RpcError("invalid_argument", f"the command could not be started: {error}") from error
        finally:
            close_theirs(theirs)
        self._send_go_on()
        self._children[number] = child
        return child

    def open_socket(self, family: int) -> socket.socket:
        """Return a new socket that connects as if from in here. Raises `OSError`."""
        _pid, number = self._ask(SOCKET6 if family == socket.AF_INET6 else SOCKET, ())
        return socket.socket(fileno=number)

    def watch_connections(self) -> int:
        """Let what is started here from now on ask before it connects; return where it is asked. Raises `OSError`."""
        return self._ask(WATCH, ())[1]

    def kill(self) -> None:
        """Kill process 1, and with it everything in here."""
        if not self.over.is_set():  # afterwards the handle is closed, and its number may be another's
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def follow(self) -> None:
        """Take in reports until process 1 ends. Called once, as a task."""
        with anyio.CancelScope(shield=True):
            while report := await receive_report(self._reports):
                for pid, code in msgspec.json.decode(report, type=list[tuple[int, int]]):
                    child = self._children.pop(pid, None)  # what a command left behind is not known here
                    if child is not None:
                        child.report(code)
            await anyio.wait_readable(self._handle)
        for child in self._children.values():
            child.report(ENDED_UNSEEN)
        self.over.set()
        self._close()

    def _close(self) -> None:
        self._reports.close()
        self._control.close()
        os.close(self._handle)

    def _ask(self, word: bytes, handles: Collection[int]) -> tuple[int, int]:
        """Ask for something that comes with a handle. Raises `OSError`."""
        try:
            socket.send_fds(self._control, [word], list(handles))
            data, given = receive(self._control, 1)
        except TimeoutError:
            self.kill()
            raise
        if not data:
            raise OSError(0, "the sandbox's process 1 is gone")
        reply = msgspec.json.decode(data, type=Answer)
        if reply.error is not None:
            raise OSError(reply.number, reply.error)
        if not given:  # the kernel drops a descriptor that there is no room for
            if reply.pid:
                self._send_go_on()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return reply.pid, given[0]

    def _send_go_on(self) -> None:
        """Let process 1 go on after a start: from now on it may reap the command."""
        with suppress(OSError):  # it may be gone by now
            self._control.send(b".")


class EnclosureMaker:
    """Makes enclosures, for as long as the server lives."""

    def __init__(self, data_dir: Path) -> None:
        """Start the program. Raises `EnclosureFailed`."""
        self._spare: Enclosure | None = None
        self._is_refilling = False
        self.means = EgressMeans()
        """What has been found to work of network namespaces and filters."""
        self._kept = find_kept_directories()
        is_hidden = is_below(data_dir, HIDING) and not is_below(data_dir, self._kept)
        self._hidden = "" if is_hidden else str(data_dir)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(OPEN_DEADLINE_S)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", namespace_init.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        try:
            require_success(self._control.recv(MESSAGE_BYTES_MAX))
        except (OSError, EnclosureFailed) as error:
            self.stop()
            raise EnclosureFailed(str(error)) from error

    async def make(self, root: Path, *, has_network: bool) -> Enclosure:
        """Make the namespaces of a sandbox, which its `follow` serves. Raises `EnclosureFailed`."""
        enclosure = self._take_spare() if has_network else None
        if enclosure is None:
            enclosure = await self._make_empty(has_network=has_network)
        try:
            await enclosure.furnish(Furnishing(str(root), self._kept, self._hidden))
        except EnclosureFailed:
            enclosure.abandon()
            raise
        return enclosure

    async def refill(self) -> None:
        """Keep namespaces ready for the next sandbox, which then waits for its mounts alone; failing is no harm."""
        if self._is_refilling or self._spare is not None:
            return
        self._is_refilling = True
        try:
            with suppress(EnclosureFailed):
                self._spare = await self._make_empty(has_network=True)
        finally:
            self._is_refilling = False

    def stop(self) -> None:
        """Kill the program, and with it every enclosure that is left."""
        if self._spare is not None:
            self._spare.abandon()
        self._popen.kill()
        self._popen.wait()
        self._control.close()

    def _take_spare(self) -> Enclosure | None:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.is_alive:
            spare.abandon()
            return None
        return spare

    async def _make_empty(self, *, has_network: bool) -> Enclosure:
        """Make namespaces that nothing is mounted in. Raises `EnclosureFailed`."""
        control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reports, their_reports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(ANSWER_DEADLINE_S)
        reports.setblocking(False)
        handles: list[int] = []
        try:
            with their_control, their_reports:
                word = namespace_init.WITH_NETWORK if has_network else namespace_init.WITHOUT_NETWORK
                socket.send_fds(self._control, [word], [their_control.fileno(), their_reports.fileno()])
            with anyio.fail_after(OPEN_DEADLINE_S):
                await anyio.wait_readable(control)
                data, handles = receive(control, 1)
                require_success(data)
                await anyio.wait_readable(reports)
            if reports.recv(MESSAGE_BYTES_MAX) != namespace_init.READY:
                require_success(control.recv(MESSAGE_BYTES_MAX))
            return Enclosure(handles[0], control=control, reports=reports)
        except (OSError, TimeoutError, EnclosureFailed) as error:
            for handle in handles:
                os.close(handle)
            control.close()
            reports.close()  # process 1, if there is one, sees it and ends
            raise EnclosureFailed(str(error) or "it took too long") from error


async def receive_report(reports: socket.socket) -> bytes:
    """Wait for a report; empty if there will be none any more."""
    try:
        await anyio.wait_readable(reports)
        return reports.recv(MESSAGE_BYTES_MAX)
    except ConnectionResetError:
        return b""


def require_success(data: bytes) -> None:
    """Raise `EnclosureFailed` for a message that says so, or for none."""
    reply = msgspec.json.decode(data, type=Answer) if data else Answer(error="its process ended without a word")
    if reply.error is not None:
        raise EnclosureFailed(reply.error)


def write_page(content: Mapping[str, object]) -> int:
    """Return a file in memory with something to be read by process 1. Raises `OSError`."""
    page = os.memfd_create("page", os.MFD_CLOEXEC)
    write_whole(page, json.dumps(content).encode())
    return page


def describe_job(command: CommandLine) -> Mapping[str, object]:
    """Return a command as process 1 is told of it."""
    has_terminal = command.terminal is not None
    return Job(list(command.arguments), dict(command.environment), str(command.directory), has_terminal)._asdict()


def read_handle_pid(handle: int) -> int:
    """Return the number of a process, as this process counts, by its handle; -1 if it is gone. Raises `OSError`."""
    text = Path(f"/proc/self/fdinfo/{handle}").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pid:"))


def write_whole(file: int, data: bytes) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
