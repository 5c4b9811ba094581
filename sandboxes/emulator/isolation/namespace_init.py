"""The process that is number 1 in a sandbox's namespaces, and the one that makes such processes.

The server runs this file as a program (see `enclosures.py`). It uses only the standard library, one thread and no event
loop, because only such a process can be forked safely. It serves two kinds of requests, each on a socket of its own:

- The maker forks a process 1 for each sandbox.
- That one takes namespaces, mounts the sandbox's own `/home` and `/tmp`, starts commands with the streams it is sent,
  tells the server each one's number and handle, and reports their ends. With it everything in the sandbox dies, by the
  kernel's rule; and it dies with the server, whose sockets it watches, and with the maker (PR_SET_PDEATHSIG), also
  while it stands still.
"""

import array
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

HOME_PARENT = "/home"
SHARED_MEMORY = "/dev/shm"
ROOT_SEEN = "/home/.sandbox"
"""Where commands find the whole tree of their sandbox; `links.py` knows it too."""
MESSAGE_BYTES_MAX = 64 * 1024
REPORTED_AT_ONCE_MAX = 64
READY = b"[]"
WITH_NETWORK, WITHOUT_NETWORK = b"with network", b"without network"
"""What the maker is asked for."""
FURNISH, START, SOCKET, SOCKET6, WATCH = b"furnish", b"start", b"socket", b"socket6", b"watch"
"""What a process 1 is asked for."""

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
PR_SET_PDEATHSIG = 1
SECCOMP_SET_FILTER, SECCOMP_NEW_LISTENER, SECCOMP_ASK, SECCOMP_ALLOW = 1, 8, 0x7FC00000, 0x7FFF0000
BPF_LOAD, BPF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
CALLS = {"x86_64": (0xC000003E, 42, 317), "aarch64": (0xC00000B7, 203, 277)}
"""For each kind of machine, what the kernel calls it, and the numbers of connect and seccomp."""
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Furnishing(NamedTuple):
    """What a sandbox is to find in its namespaces."""

    root: str
    """The directory with its tree."""
    kept: Sequence[str]
    """Directories that stay visible though they lie below `/tmp` or `/home`: where the server's Python is."""
    hidden: str
    """The directory of all sandboxes' trees, which none of them is to see; empty if `/tmp` or `/home` hides it."""


class Job(NamedTuple):
    """A command to start."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    has_terminal: bool


def main() -> None:
    """Serve the server's requests for enclosures until it is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        take_rights()
        die_with_parent()
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps for us
        control.send(b"{}")
    except OSError as error:
        control.send(json.dumps({"error": str(error)}).encode())
        return
    while True:
        data, sockets = receive(control, 2)
        if not data:
            return
        connections = [socket.socket(fileno=number) for number in sockets]
        try:
            handle = fork_enclosure(connections, has_network=data == WITH_NETWORK, strangers=(control.fileno(), own))
            give(connections[0], handle)
        except OSError as error:
            with suppress(OSError):  # the server has given up waiting
                connections[0].send(json.dumps({"error": str(error)}).encode())
        for connection in connections:
            connection.close()


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; who comes too late for it sees its sockets closed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def take_rights() -> None:
    """Become able to make namespaces: as root by right, as anybody else in a user namespace. Raises `OSError`.

    A process may return to its own process namespace, as the maker does after each fork, only with rights over it: a
    user who is not root needs one that is made in his user namespace.
    """
    if os.geteuid() == 0:
        return
    user, group = os.geteuid(), os.getegid()
    check(LIBC.unshare(CLONE_NEWUSER), "a user namespace")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWPID), "namespaces")
    pid = os.fork()
    if pid != 0:
        die_with_parent()
        os.waitpid(pid, 0)
        os._exit(0)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", kind="proc", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)


def fork_enclosure(connections: Sequence[socket.socket], *, has_network: bool, strangers: tuple[int, int]) -> int:
    """Fork a process that is number 1 in a new process namespace, and return its handle. Raises `OSError`.

    `strangers` are the maker's connection, which it is not to hold, and the maker's own process namespace.
    """
    control, own = strangers
    check(LIBC.unshare(CLONE_NEWPID), "a process namespace")
    try:
        pid = os.fork()
        if pid == 0:
            os.close(control)
            os.close(own)
            serve_enclosure(*connections, has_network=has_network)
    finally:
        check(LIBC.setns(own, CLONE_NEWPID), "going back to the process namespace")
    return os.pidfd_open(pid)


def furnish(plan: Furnishing) -> None:
    """Put the sandbox's directories in the place of the machine's, for this namespace alone. Raises `OSError`."""
    root = os.open(plan.root, os.O_PATH | os.O_CLOEXEC)
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in plan.kept]
    mount("tmpfs", HOME_PARENT, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="mode=755,size=64k")
    if os.path.isdir(SHARED_MEMORY):  # noqa: PTH112 - pathlib's takes longer, and this is done for each sandbox
        mount("tmpfs", SHARED_MEMORY, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="mode=1777")
    for place, inner in ((ROOT_SEEN, ""), ("/home/user", "/home/user"), ("/tmp", "/tmp")):
        bind(f"/proc/self/fd/{root}{inner}", place)
    for path, handle in kept:
        bind(f"/proc/self/fd/{handle}", path)
        if path.startswith(("/tmp/", "/home/user/")):  # commands empty what they take for theirs
            inherited = os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
            mount("none", path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | inherited)
    if plan.hidden:
        mount("tmpfs", plan.hidden, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="mode=755,size=4k")
    for handle in (root, *(handle for _path, handle in kept)):
        os.close(handle)


def bind(source: str, place: str) -> None:
    """Let a directory be seen in another place. Raises `OSError`."""
    os.makedirs(place, exist_ok=True)  # noqa: PTH103 - as above
    mount(source, place, flags=MS_BIND | MS_REC)


def serve_enclosure(control: socket.socket, reports: socket.socket, *, has_network: bool) -> NoReturn:
    """Be number 1: start commands, reap them and what they leave behind, until the server is gone.

    Without network, a loopback of its own is all that the sandbox has.
    """
    try:
        die_with_parent()
        os.setsid()
        os.chdir("/")
        check(LIBC.unshare(CLONE_NEWNS | (0 if has_network else CLONE_NEWNET)), "namespaces")
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("proc", "/proc", kind="proc", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)
        if not has_network:
            raise_loopback()
        wakeup, waker = socket.socketpair()
        for end in (wakeup, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        reports.send(READY)
        while True:
            ready, _, _ = select.select([control, reports, wakeup], (), ())
            if wakeup in ready:
                wakeup.recv(4096)
                while ends := reap():
                    reports.send(json.dumps(ends).encode())
            if reports in ready or (control in ready and not answer(control)):  # the server never writes reports
                break
    except OSError as error:
        with suppress(OSError):
            control.send(json.dumps({"error": str(error)}).encode())
    os._exit(0)


def answer(control: socket.socket) -> bool:
    """Answer one request; return False if there is nobody to answer."""
    word, handles = receive(control, 4)
    if not word:
        return False
    try:
        if word == FURNISH:
            furnish(Furnishing(**read_page(handles[0])))
            control.send(b"{}")
        elif word == START:
            pid = start(Job(**read_page(handles[0])), handles[1:])
            give(control, os.pidfd_open(pid), pid=pid)
            control.recv(1)  # only now may it be reaped: the server has read its number
        elif word == WATCH:
            give(control, watch_connections())
        else:
            family = socket.AF_INET6 if word == SOCKET6 else socket.AF_INET
            give(control, socket.socket(family, socket.SOCK_STREAM).detach())
    except OSError as error:
        control.send(json.dumps({"error": error.strerror, "number": error.errno, "file": error.filename}).encode())
    finally:
        for handle in handles:
            os.close(handle)
    return True


def watch_connections() -> int:
    """Let all that is started from now on ask before it connects, and return where it is asked. Raises `OSError`.

    See seccomp_unotify(2). Calls of another architecture pass: without network they reach nothing.
    """
    if os.uname().machine not in CALLS:
        raise OSError(errno.ENOSYS, f"connections cannot be watched on {os.uname().machine}")
    architecture, connect, seccomp = CALLS[os.uname().machine]
    program = (
        (BPF_LOAD, 0, 0, 4),
        (BPF_EQUAL, 0, 3, architecture),
        (BPF_LOAD, 0, 0, 0),
        (BPF_EQUAL, 0, 1, connect),
        (BPF_RETURN, 0, 0, SECCOMP_ASK),
        (BPF_RETURN, 0, 0, SECCOMP_ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    listener = LIBC.syscall(seccomp, SECCOMP_SET_FILTER, SECCOMP_NEW_LISTENER, head)
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(listener)


def read_page(page: int) -> dict[str, Any]:
    """Return what the server wrote into memory that it shares with us: a message would be too small for it."""
    content: dict[str, Any] = json.loads(os.pread(page, os.fstat(page).st_size, 0))
    return content


def give(control: socket.socket, handle: int, *, pid: int = 0) -> None:
    """Send a descriptor, which is closed here. Raises `OSError`."""
    socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [handle])
    os.close(handle)


def start(job: Job, streams: Sequence[int]) -> int:
    """Fork a command, and return its number here when it runs its program. Raises `OSError` if it cannot."""
    failed, failing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        become(job, streams, failing=failing)
    os.close(failing)
    failure = os.read(failed, 4096)
    os.close(failed)
    if failure:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        number, _, name = failure.decode(errors="replace").partition(" ")
        raise OSError(int(number), os.strerror(int(number)), name)
    return pid


def become(job: Job, streams: Sequence[int], *, failing: int) -> NoReturn:
    """Put off what is process 1's, and become the command."""
    try:
        signal.set_wakeup_fd(-1)
        for reset in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(reset, signal.SIG_DFL)
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        if job.has_terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(job.directory)
        os.execvpe(job.arguments[0], list(job.arguments), dict(job.environment))
    except OSError as error:
        os.write(failing, f"{error.errno} {job.arguments[0]}".encode(errors="replace"))
    except ValueError:  # a zero byte
        os.write(failing, b"22 ")
    os._exit(127)


def receive(connection: socket.socket, handles_max: int) -> tuple[bytes, list[int]]:
    """Return a message and the descriptors that came with it, which no program inherits. Raises `OSError`.

    `socket.recv_fds` ignores its flags in Python 3.11, so that every command would hold the pipes of those that run,
    and of itself: a background process that closed its own output would still keep its command from ending.
    """
    handles = array.array("i")
    room = socket.CMSG_SPACE(handles_max * handles.itemsize)
    data, ancillary, _, _ = connection.recvmsg(MESSAGE_BYTES_MAX, room, socket.MSG_CMSG_CLOEXEC)
    for _level, _kind, content in ancillary:
        handles.frombytes(content[: len(content) - len(content) % handles.itemsize])
    return data, list(handles)


def reap() -> list[tuple[int, int]]:
    """Return the numbers and return codes of processes that have ended."""
    ends: list[tuple[int, int]] = []
    while len(ends) < REPORTED_AT_ONCE_MAX:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        ends.append((pid, os.waitstatus_to_exitcode(status)))
    return ends


def raise_loopback() -> None:
    """Switch on the loopback interface of a new network namespace. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def mount(source: str, target: str, *, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """Mount something. Raises `OSError`."""
    kind_bytes = kind.encode() if kind else None
    result = LIBC.mount(source.encode(), target.encode(), kind_bytes, ctypes.c_ulong(flags), options.encode() or None)
    check(result, f"mounting {target}")


def check(result: int, what: str) -> None:
    """Raise `OSError` for a call of the C library that failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
