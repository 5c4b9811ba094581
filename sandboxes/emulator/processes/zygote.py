"""A process that has imported a module already, and forks itself whenever the server wants that module run.

Importing what a worker needs costs 0.2 s; a fork of a process that did costs 1 ms and shares its memory. E2B does the
same with a snapshot that a template is started from. The server runs this file as a program of its own (see
`warm_start.py`): it uses only the standard library, one thread and no event loop, because only such a process can be
forked safely. The module named must have a `MODULE.__main__` with `main(arguments) -> int`.

A forked child is set up as `python -P -m MODULE ARGUMENTS` would be, then returns out of the serving loop and becomes
that program: its exit code, its traceback and its clean-up at exit are the interpreter's own. It dies with this
process, and this process with the server, both by PR_SET_PDEATHSIG.

Differences from a spawned command: no shell ran, so nothing is there that `/etc/profile`, `~/.profile` or bash itself
would have set (PWD, SHLVL, _); all children have the same hash seed; `ps` shows this program's command line.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOM_VARIABLE = "E2B_EMULATOR_ROOM"
ROOM_BYTES = 32 * 1024
"""How much of a child's environment its /proc entry can show; a variable of this length keeps the place free."""
REQUEST_BYTES_MAX = 128 * 1024
REPORTED_AT_ONCE_MAX = 64
READY = b"[]"
"""The first report: nobody has ended, and requests are welcome."""
PR_SET_PDEATHSIG = 1

Program = Callable[[Sequence[str]], int]


class Job(NamedTuple):
    """What a child is to become. Its standard streams travel beside it as descriptors."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode()


class Zygote:
    """Serves fork requests on one socket and reports the ends of its children on another.

    The server's closing of the first ends the forking, of the second everything.
    """

    def __init__(self, control: socket.socket, reports: socket.socket) -> None:
        self._control = control
        self._reports = reports
        self._wakeup, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._wakeup.setblocking(False)
        self._set_death_signal = bind_death_signal()
        self._environment_block = find_environment_block()

    def serve(self) -> Job | None:
        """Serve until the server is gone, and return None; in a forked child return its job."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._reports.send(READY)
        watched = [self._control, self._reports, self._wakeup]
        while True:
            ready, _, _ = select.select(watched, (), ())
            if self._reports in ready:  # the server never writes here: it is gone
                return None
            if self._wakeup in ready:
                self._wakeup.recv(4096)
                self._report_ends()
            if self._control in ready:
                data, streams, _, _ = socket.recv_fds(self._control, REQUEST_BYTES_MAX, 3, socket.MSG_CMSG_CLOEXEC)
                if not data:
                    watched.remove(self._control)
                elif self._fork(streams) == 0:
                    return self._become(Job(**json.loads(data)), streams)

    def _fork(self, streams: Sequence[int]) -> int:
        """Fork, and tell the server the child's number and handle. Return 0 in the child, with its streams open."""
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            close_all(streams)
            with suppress(OSError):  # the server may have given up waiting
                self._control.send(json.dumps({"error": error.strerror}).encode())
            return -1
        if pid == 0:
            self._set_death_signal()
            if os.getppid() != zygote:  # it died before the line above could take effect
                os.kill(os.getpid(), signal.SIGKILL)
            return 0
        close_all(streams)
        self._tell_forked(pid)
        return pid

    def _tell_forked(self, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
            socket.send_fds(self._control, [json.dumps({"pid": pid}).encode()], [handle])
            os.close(handle)
        except OSError:  # the server has given up waiting and starts the command in another way
            os.kill(pid, signal.SIGKILL)

    def _report_ends(self) -> None:
        while ends := reap(REPORTED_AT_ONCE_MAX):
            self._reports.send(json.dumps(ends).encode())

    def _become(self, job: Job, streams: Sequence[int]) -> Job:
        """Put off everything that is the zygote's and put on what the job says."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for connection in (self._control, self._reports, self._wakeup, self._waker):
            connection.close()
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        close_all(streams)
        os.environ.clear()
        os.environ.update(job.environment)
        show_environment(job.environment, self._environment_block)
        os.chdir(job.directory)
        numpy_random = sys.modules.get("numpy.random")  # the standard library's reseeds itself after a fork
        if numpy_random is not None:
            numpy_random.seed()
        return job


def reap(children_max: int) -> list[tuple[int, int]]:
    """Return the numbers and return codes of children that have ended."""
    ends: list[tuple[int, int]] = []
    while len(ends) < children_max:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        ends.append((pid, os.waitstatus_to_exitcode(status)))
    return ends


def bind_death_signal() -> Callable[[], None]:
    """Return a function that ties the calling process to its parent's life, found before any fork."""
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return set_death_signal


def find_environment_block() -> tuple[int, int]:
    """Return where the memory begins and ends that /proc/PID/environ shows."""
    status = Path("/proc/self/stat").read_text()
    fields = status[status.rindex(")") + 2 :].split()  # begins with the third field
    return int(fields[47]), int(fields[48])


def show_environment(environment: Mapping[str, str], block: tuple[int, int]) -> None:
    """Write the environment where /proc/PID/environ shows it, over that of the zygote.

    By it `process_tree.py` knows whose process this is, also after the server's death. The memory is free: the C
    library has copied what was set since. What does not fit is left out, the mark of the sandbox never.
    """
    begin, end = block
    room = end - begin
    shown = b""
    for name, value in sorted(environment.items(), key=lambda item: not item[0].startswith("E2B_SANDBOX")):
        entry = os.fsencode(f"{name}={value}") + b"\0"
        if len(shown) + len(entry) <= room:
            shown += entry
    ctypes.memmove(begin, shown.ljust(room, b"\0"), room)


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def load(module: str) -> tuple[Program, str]:
    """Import a module's program and freeze what it made, so that the collector does not copy shared pages."""
    program = importlib.import_module(f"{module}.__main__")
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        sys.exit(f"the module {module} started {threads - 1} threads when imported: it cannot be kept warm")
    gc.collect()
    gc.freeze()
    return program.main, str(program.__file__)


def main() -> None:
    module, control, reports = sys.argv[1:]
    connections = [socket.socket(fileno=int(number)) for number in (control, reports)]
    for connection in connections:
        connection.set_inheritable(False)
    bind_death_signal()()  # a server that died before this line is missed when its sockets are read
    program, path = load(module)
    job = Zygote(*connections).serve()
    if job is not None:
        sys.argv = [path, *job.arguments]
        sys.exit(program(job.arguments))


if __name__ == "__main__":
    main()
