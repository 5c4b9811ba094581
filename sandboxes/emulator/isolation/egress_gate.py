"""The way out of a sandbox whose network is cut off: the server makes the connections that its rules allow.

The sandbox has a network namespace with nothing but a loopback interface, so that nothing leaves it by itself. Its
processes have a seccomp filter that tells the server of each `connect` and lets the caller wait. The server reads the
address, connects a socket of its own, and puts that in the place of the caller's (seccomp_unotify(2)); or it answers
that the network cannot be reached. It acts on its own copy of the address, which nobody can change after the decision.

Rules may change while the sandbox runs; connections that exist stay. UDP leaves for name servers alone (port 53): a
datagram socket that is out could send anywhere. A system call that the filter does not see finds no network.
"""

import ctypes
import errno
import fcntl
import ipaddress
import os
import select
import socket
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio

from sandboxes.emulator.fleet.egress_rules import NAME_SERVER_PORT, Address, EgressRules, Verdict

NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags, then the call: number, architecture, instruction, arguments."""
RECEIVE, SEND, IS_VALID, ADD_DESCRIPTOR = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
GO_ON, REPLACE = 1, 1
"""SECCOMP_USER_NOTIF_FLAG_CONTINUE and SECCOMP_ADDFD_FLAG_SETFD."""
PIDFD_GETFD = 438
ADDRESS_BYTES_MAX = 28
ADDRESS_PARTS = {socket.AF_INET: 2, socket.AF_INET6: 4}
POINTER_MAX = 2**63 - 1
TCP_CLOSED = 7
OURS_REMEMBERED_MAX = 10_000
KEPT_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
)
"""What programs set before they connect."""
LIBC = ctypes.CDLL(None, use_errno=True)


class Attempt(NamedTuple):
    """A `connect` that waits for an answer."""

    id: int
    pid: int
    descriptor: int
    pointer: int
    size: int


class Destination(NamedTuple):
    """Where to."""

    address: Address
    port: int
    raw: tuple[str | int, ...]
    """As Python's sockets take it."""


class EgressGate:
    """Answers the attempts of one sandbox's processes."""

    def __init__(self, listener: int, get_rules: Callable[[], EgressRules]) -> None:
        """`listener` is the filter's descriptor, which is closed at the end; the rules are asked for each time."""
        self._listener = listener
        self._get_rules = get_rules
        self._ours: dict[int, None] = {}
        """Sockets that were put in others' places, by their cookies."""

    async def serve(self) -> None:
        """Answer until no process of the sandbox is left. Called once, as a task."""
        try:
            async with anyio.create_task_group() as tasks:
                while not self._is_over():
                    await anyio.wait_readable(self._listener)
                    attempt = self._receive()
                    if attempt is not None:
                        tasks.start_soon(self._answer, attempt)
                tasks.cancel_scope.cancel()
        finally:
            anyio.notify_closing(self._listener)
            os.close(self._listener)

    def _is_over(self) -> bool:
        watched = select.poll()
        watched.register(self._listener, select.POLLIN)
        return any(event & select.POLLHUP for _file, event in watched.poll(0))

    def _receive(self) -> Attempt | None:
        buffer = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, RECEIVE, buffer)
        except OSError:  # the caller was killed meanwhile
            return None
        identifier, pid, _flags, _number, _architecture, _instruction, *arguments = NOTIFICATION.unpack(buffer)
        return Attempt(identifier, pid, arguments[0] & 0xFFFFFFFF, arguments[1], arguments[2] & 0xFFFFFFFF)

    async def _answer(self, attempt: Attempt) -> None:
        try:
            goes_on = await self._decide(attempt)
            code = 0
        except OSError as error:
            goes_on, code = False, error.errno or errno.ENETUNREACH
        with suppress(OSError):  # the caller was killed meanwhile
            fcntl.ioctl(self._listener, SEND, struct.pack("=QqiI", attempt.id, 0, -code, GO_ON if goes_on else 0))

    async def _decide(self, attempt: Attempt) -> bool:
        """Put a connected socket in the caller's place, or return whether the kernel is to go on with the call.

        Raises `OSError` for what the caller is to be told.
        """
        destination = read_destination(attempt)
        if destination is None:
            return True
        with take_socket(attempt) as theirs:
            fcntl.ioctl(self._listener, IS_VALID, struct.pack("=Q", attempt.id))  # the number may be another's by now
            is_ours = read_cookie(theirs) in self._ours
            if is_ours and is_connecting(theirs):
                return True  # it asks how far it is
            verdict = await self._judge(destination)
            if verdict is Verdict.INSIDE and not is_ours:
                return True
            is_question = theirs.type == socket.SOCK_DGRAM and destination.port == NAME_SERVER_PORT
            if verdict is not Verdict.OUT or not (theirs.type == socket.SOCK_STREAM or is_question):
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
            if len(destination.raw) != ADDRESS_PARTS.get(theirs.family):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            await self._replace(attempt, theirs, destination=destination)
            return False

    async def _judge(self, destination: Destination) -> Verdict:
        rules = self._get_rules()
        verdict = rules.judge(destination.address, destination.port)
        if verdict is not Verdict.NAMED:
            return verdict
        for host in rules.hosts:
            with suppress(socket.gaierror):
                found = await anyio.getaddrinfo(host, destination.port)
                if any(ipaddress.ip_address(entry[4][0]) == destination.address for entry in found):
                    return Verdict.OUT
        return Verdict.DENIED

    async def _replace(self, attempt: Attempt, theirs: socket.socket, *, destination: Destination) -> None:
        """Connect a socket and put it in the place of theirs. Raises `OSError`, also for one that is on its way."""
        flags = read_descriptor_flags(attempt)
        with socket.socket(theirs.family, theirs.type, theirs.proto) as out:
            copy_options(theirs, out)
            out.setblocking(False)
            code = out.connect_ex(destination.raw)
            if code == errno.EINPROGRESS and not flags & os.O_NONBLOCK:
                await anyio.wait_writable(out)
                code = out.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code in (0, errno.EINPROGRESS):
                out.setblocking(not flags & os.O_NONBLOCK)
                self._remember(read_cookie(out))
                place = (out.fileno(), attempt.descriptor, flags & os.O_CLOEXEC)
                fcntl.ioctl(self._listener, ADD_DESCRIPTOR, struct.pack("=QIIII", attempt.id, REPLACE, *place))
        if code != 0:
            raise OSError(code, os.strerror(code))

    def _remember(self, cookie: int) -> None:
        self._ours[cookie] = None
        if len(self._ours) > OURS_REMEMBERED_MAX:
            del self._ours[next(iter(self._ours))]


def require_replacing(listener: int) -> None:
    """Try whether the kernel puts descriptors in others' places, as Linux does since 5.9. Raises `OSError`."""
    try:
        fcntl.ioctl(listener, ADD_DESCRIPTOR, struct.pack("=QIIII", 0, 0, listener, 0, 0))
    except OSError as error:
        if error.errno != errno.ENOENT:  # nobody waits under this number: it was looked for
            raise OSError(error.errno, "needs Linux 5.9") from error


def read_destination(attempt: Attempt) -> Destination | None:
    """Return the address in the caller's memory, `None` for what is no internet address. Raises `OSError`."""
    if attempt.pointer > POINTER_MAX:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    memory = os.open(f"/proc/{attempt.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(memory, min(attempt.size, ADDRESS_BYTES_MAX), attempt.pointer)
    except OSError as error:  # nothing is there
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT)) from error
    finally:
        os.close(memory)
    family = int.from_bytes(data[:2], "little") if len(data) >= 2 else socket.AF_UNSPEC
    port = int.from_bytes(data[2:4], "big")
    if family == socket.AF_INET and len(data) >= 16:
        v4 = ipaddress.IPv4Address(data[4:8])
        return Destination(v4, port, (str(v4), port))
    if family == socket.AF_INET6 and len(data) >= ADDRESS_BYTES_MAX:
        v6 = ipaddress.IPv6Address(data[8:24])
        return Destination(v6.ipv4_mapped or v6, port, (str(v6), port, 0, int.from_bytes(data[24:28], "little")))
    return None


def take_socket(attempt: Attempt) -> socket.socket:
    """Return a copy of the descriptor that the caller wants to connect. Raises `OSError`, if it is no socket too."""
    status = Path(f"/proc/{attempt.pid}/status").read_text()
    leader = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Tgid:"))
    handle = os.pidfd_open(leader)
    try:
        copy = LIBC.syscall(PIDFD_GETFD, handle, attempt.descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(handle)
    if not stat.S_ISSOCK(os.fstat(copy).st_mode):
        os.close(copy)
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    return socket.socket(fileno=copy)


def read_descriptor_flags(attempt: Attempt) -> int:
    """Return the flags of the caller's descriptor. Raises `OSError`."""
    text = Path(f"/proc/{attempt.pid}/fdinfo/{attempt.descriptor}").read_text()
    return next(int(line.split()[1], 8) for line in text.splitlines() if line.startswith("flags:"))


def copy_options(source: socket.socket, target: socket.socket) -> None:
    """Give a socket what a program has set on another one."""
    for level, option in KEPT_OPTIONS:
        with suppress(OSError):  # datagram sockets have none of TCP's
            target.setsockopt(level, option, source.getsockopt(level, option))


def read_cookie(any_socket: socket.socket) -> int:
    """Return the number that the kernel gives to this socket alone."""
    return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, 57, 8), "little")


def is_connecting(any_socket: socket.socket) -> bool:
    """Whether a stream is connected, or on its way."""
    if any_socket.type != socket.SOCK_STREAM:
        return False
    return any_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSED
