"""What sandboxes reach and what not: rules for traffic out, enforced; skipped where the machine cannot."""

import logging
import re
import socket
import threading

import pytest
from e2b import SandboxException

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.isolation.machine import inspect_machine

pytestmark = [pytest.mark.processes, pytest.mark.anyio]
API_KEY = "key-of-this-test-run"
EVERYTHING = "0.0.0.0/0"
OTHER = "198.51.100.1"
LOOPBACK, OTHER_LOOPBACK = "127.0.0.1", "127.0.0.2"
WAITING = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), None).recv(5).decode())"
NOT_WAITING = """
import asyncio, sys
async def main():
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    print((await reader.read(5)).decode())
    writer.close()
asyncio.run(main())
"""


@pytest.fixture
async def emulator(anyio_backend, tmp_path):
    report = await inspect_machine(tmp_path)
    if report.filter:
        pytest.skip(report.filter)
    async with EmulatorServer(API_KEY, isolation="auto") as server:
        yield server


class Greeter(threading.Thread):
    """A server of this machine that says hello to everybody, until it is closed."""

    def __init__(self, address, port):
        super().__init__(daemon=True)
        self.address = address
        self._listener = socket.create_server((address, port))
        self.port = self._listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hello")

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join()


@pytest.fixture
def greet():
    """Return a function that starts such a server on an address."""
    greeters = []

    def start(address, port=0):
        greeters.append(Greeter(address, port))
        return greeters[-1]

    yield start
    for greeter in greeters:
        greeter.close()


@pytest.fixture
def host_address():
    """An address of this machine that is no loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # sends nothing: the kernel only chooses a source
        except OSError:
            pytest.skip("this machine has loopback addresses only")
        return asking.getsockname()[0]


async def reaches(sandbox, greeter, program=WAITING):
    await sandbox.files.write("connect.py", program)
    command = f"python connect.py {greeter.address} {greeter.port} 2>&1 || true"
    last = (await sandbox.commands.run(command)).stdout.splitlines()[-1]
    refusal = re.search("Network is unreachable|Errno 101|Connection refused|Errno 111", last)
    assert (last == "hello") != bool(refusal), last
    return last == "hello"


@pytest.mark.parametrize("program", [WAITING, NOT_WAITING], ids=["waiting", "not waiting"])
async def test_allowed_block_is_reached_and_nothing_else(client, greet, program):
    allowed, other = greet(LOOPBACK), greet(OTHER_LOOPBACK)
    network = {"allow_out": [f"{LOOPBACK}/32"], "deny_out": [EVERYTHING]}
    sandbox = await client.AsyncSandbox.create(network=network)
    assert await reaches(sandbox, allowed, program)
    assert not await reaches(sandbox, other, program)


async def test_denied_block_is_not_reached(client, greet, host_address):
    greeter = greet(host_address)
    denying = await client.AsyncSandbox.create(network={"deny_out": [host_address]})
    assert not await reaches(denying, greeter)
    other = await client.AsyncSandbox.create(network={"deny_out": ["198.51.100.0/24"]})
    assert await reaches(other, greeter)


async def test_what_is_allowed_beats_what_is_denied(client, greet, host_address):
    greeter = greet(host_address)
    sandbox = await client.AsyncSandbox.create(network={"allow_out": [host_address]}, allow_internet_access=False)
    assert await reaches(sandbox, greeter)


async def test_sandbox_without_internet_reaches_nothing_but_itself(client, greet, host_address):
    sandbox = await client.AsyncSandbox.create(allow_internet_access=False)
    assert not await reaches(sandbox, greet(host_address))
    assert not await reaches(sandbox, greet(LOOPBACK))
    await sandbox.files.write("page", "own")
    await sandbox.commands.run("python -m http.server 8080 --bind 127.0.0.1", background=True, timeout=0)
    fetch = "curl -sS --retry 50 --retry-connrefused --retry-delay 0 --retry-max-time 5 127.0.0.1:8080/page"
    assert (await sandbox.commands.run(fetch)).stdout == "own"


async def test_update_holds_for_a_sandbox_that_runs(emulator, client, greet, host_address):
    greeter = greet(host_address)
    sandbox = await client.AsyncSandbox.create(allow_internet_access=False)
    assert not await reaches(sandbox, greeter)
    await sandbox.update_network({"allow_out": [host_address], "deny_out": [EVERYTHING]})
    assert await reaches(sandbox, greeter)
    await sandbox.update_network({"deny_out": [host_address]})
    assert not await reaches(sandbox, greeter)
    await sandbox.update_network({})
    assert await reaches(sandbox, greeter)
    assert emulator.report_unenforced_network() == {}


async def test_update_before_the_first_command_holds(emulator, client, greet, host_address):
    sandbox = await client.AsyncSandbox.create()
    await sandbox.update_network({"allow_internet_access": False})
    assert not await reaches(sandbox, greet(host_address))
    assert emulator.report_unenforced_network() == {}


async def test_update_that_comes_too_late_is_said_not_to_hold(emulator, client, caplog):
    sandbox = await client.AsyncSandbox.create()
    await sandbox.commands.run("true")
    with caplog.at_level(logging.WARNING):
        await sandbox.update_network({"allow_internet_access": False})
    assert emulator.report_unenforced_network() == {sandbox.sandbox_id: ["allowInternetAccess"]}
    assert any("not enforced" in record.message for record in caplog.records)


async def test_strict_server_refuses_an_update_that_comes_too_late(emulator, connect_to, greet, host_address):
    async with EmulatorServer("k", strict_network=True, isolation="auto") as server:
        sandbox = await connect_to(server.url, "k").AsyncSandbox.create()
        await sandbox.commands.run("true")
        with pytest.raises(SandboxException, match="denyOut cannot be enforced"):
            await sandbox.update_network({"deny_out": [EVERYTHING]})
        cut = await connect_to(server.url, "k").AsyncSandbox.create(network={"deny_out": [EVERYTHING]})
        assert not await reaches(cut, greet(host_address))


async def test_host_that_is_allowed_by_name_is_reached_on_the_ports_of_http(client, greet, host_address, monkeypatch):
    try:
        named, other = greet(host_address, 80), greet(host_address)
    except OSError as error:
        pytest.skip(f"port 80 cannot be had: {error.strerror}")
    look_up = socket.getaddrinfo
    known = {"allowed.example": host_address, "other.example": OTHER}

    def look_up_known(host, *rest, **options):
        return look_up(known[host.decode() if isinstance(host, bytes) else host], *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_known)
    allowing = await client.AsyncSandbox.create(network={"allow_out": ["allowed.example"], "deny_out": [EVERYTHING]})
    assert await reaches(allowing, named)
    assert not await reaches(allowing, other)
    denying = await client.AsyncSandbox.create(network={"allow_out": ["other.example"], "deny_out": [EVERYTHING]})
    assert not await reaches(denying, named)


async def test_patterns_of_names_are_said_not_to_hold(emulator, client):
    network = {"allow_out": ["*.example.com", "10.0.0.0/8"], "deny_out": [EVERYTHING]}
    sandbox = await client.AsyncSandbox.create(network=network)
    assert emulator.report_unenforced_network() == {sandbox.sandbox_id: ["allowOut"]}


async def test_cells_keep_to_the_rules_too(open_interpreter, greet, host_address):
    greeter = greet(host_address)
    interpreter = await open_interpreter(network={"deny_out": [host_address]})
    code = f"import socket; socket.create_connection(('{host_address}', {greeter.port}), 5).recv(5)"
    assert (await interpreter.run_code(code)).error.name == "OSError"
    await interpreter.update_network({"allow_out": [host_address]})
    assert (await interpreter.run_code(code)).text == "b'hello'"


async def test_malformed_attempts_are_refused_and_harm_nobody(client, greet):
    greeter = greet(LOOPBACK)
    sandbox = await client.AsyncSandbox.create(network={"allow_out": [LOOPBACK], "deny_out": [EVERYTHING]})
    code = f"""
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.connect.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", {greeter.port}) + socket.inet_aton("{LOOPBACK}")
good = ctypes.create_string_buffer(address + bytes(8))
four, six, unix = (socket.socket(family) for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX))
reader, _writer = os.pipe()
for number, pointer, size in [
    (four.fileno(), 2**64 - 1, 16), (four.fileno(), 1, 16), (four.fileno(), ctypes.addressof(good), 3),
    (-1, ctypes.addressof(good), 16), (reader, ctypes.addressof(good), 16),
    (six.fileno(), ctypes.addressof(good), 16), (unix.fileno(), ctypes.addressof(good), 16),
]:
    print(libc.connect(number, pointer, size), errno.errorcode[ctypes.get_errno()])
"""
    await sandbox.files.write("malformed.py", code)
    lines = (await sandbox.commands.run("python malformed.py")).stdout.splitlines()
    assert lines[:5] == ["-1 EFAULT", "-1 EFAULT", "-1 EINVAL", "-1 EBADF", "-1 ENOTSOCK"]
    assert lines[5:] == ["-1 EINVAL"] * 2
    assert await reaches(sandbox, greeter)


async def test_connections_survive_many_more(client, greet):
    greeter = greet(LOOPBACK)
    sandbox = await client.AsyncSandbox.create(network={"allow_out": [LOOPBACK], "deny_out": [EVERYTHING]})
    code = f"""
import socket
from concurrent.futures import ThreadPoolExecutor
def ask(_number):
    with socket.create_connection(("{LOOPBACK}", {greeter.port})) as connection:
        return connection.recv(5)
with ThreadPoolExecutor(8) as pool:
    print(list(pool.map(ask, range(200))).count(b"hello"))
"""
    await sandbox.files.write("many.py", code)
    assert (await sandbox.commands.run("python many.py")).stdout == "200\n"
