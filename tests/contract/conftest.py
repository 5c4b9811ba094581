"""A fresh embedded server for each test, the real SDK bound to it, and a way to wait for facts instead of sleeping."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import E2B, AsyncSandbox
from e2b_code_interpreter import AsyncSandbox as InterpreterSandbox

from sandboxes.emulator import EmulatorServer
from tests.contract.document_conformance import ConformanceCheck

API_KEY = "key-of-this-test-run"
PATIENCE_S = 5.0
ISOLATION = "off" if os.environ.get("E2B_TEST_ISOLATION") == "off" else "auto"
"""The whole suite holds without isolation too: `E2B_TEST_ISOLATION=off`."""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def conformance(monkeypatch):
    """Whatever a control plane answers in these tests is what its OpenAPI document says."""
    check = ConformanceCheck(monkeypatch)
    yield check
    assert check.deviations == []


@pytest.fixture
async def emulator(anyio_backend):
    async with EmulatorServer(API_KEY, isolation=ISOLATION) as server:
        yield server


@pytest.fixture
def connect_to():
    """Return the SDK bound to a server, with no answer retried behind the test's back."""

    def bind(url: str, api_key: str = API_KEY) -> E2B:
        return E2B(api_key=api_key, api_url=url, sandbox_url=url, retries=0)

    return bind


@pytest.fixture
def client(emulator, connect_to):
    return connect_to(emulator.url)


@pytest.fixture
async def sandbox(client):
    return await client.AsyncSandbox.create(timeout=60)


async def wait_until(is_true: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            found = is_true()
            if found if isinstance(found, bool) else await found:
                return
            await anyio.sleep(0.01)


@pytest.fixture
def eventually():
    """Return a function that waits until a condition holds, and fails after 5 s."""
    return wait_until


@pytest.fixture
def is_alive():
    """Return a function that tells whether a process runs; one that is dead but not reaped does not."""

    def look(pid: int) -> bool:
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return status.rpartition(")")[2].split()[0] not in {"Z", "X"}

    return look


def find_machine_pid(sandbox: AsyncSandbox, number: int) -> int:
    """Find a living process whose number a command wrote: in namespaces of their own, the machine has another one."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            numbers = next(line.split()[1:] for line in status.read_text().splitlines() if line.startswith("NSpid:"))
            is_inside = sandbox.sandbox_id in status.with_name("mountinfo").read_text()
        except OSError:
            continue
        if is_inside and len(numbers) > 1 and numbers[-1] == str(number):
            return int(numbers[0])
    return number


@pytest.fixture
def find_pid():
    """Return a function that finds the machine's number of a sandbox's process."""
    return find_machine_pid


@pytest.fixture
def open_interpreter(emulator):
    """Return a function that makes a sandbox with a code interpreter."""

    async def make(**wishes) -> InterpreterSandbox:
        server = {"api_key": API_KEY, "api_url": emulator.url, "sandbox_url": emulator.url}
        return await InterpreterSandbox.create(timeout=60, retries=0, **server, **wishes)

    return make


@pytest.fixture
async def interpreter(open_interpreter):
    return await open_interpreter()


@pytest.fixture
def faults(emulator):
    return emulator.faults


@pytest.fixture
def retrying(emulator):
    """The SDK with its own retries, as it comes."""
    return E2B(api_key=API_KEY, api_url=emulator.url, sandbox_url=emulator.url)


@pytest.fixture
def context(tmp_path):
    directory = tmp_path / "context"
    (directory / "app" / "sub").mkdir(parents=True)
    (directory / "app" / "main.py").write_text("print('main runs')\n")
    (directory / "app" / "sub" / "data.txt").write_text("data\n")
    (directory / "start.sh").write_text("echo started\n")
    return directory


@pytest.fixture
def new(client, context):
    """Begin a template from an image, as most do."""
    return lambda: client.AsyncTemplate(file_context_path=context).from_python_image("3")


@pytest.fixture
def build(client):
    """Return a function that builds and gives back what the log said."""

    async def run(template, name="built", **options):
        entries = []
        info = await client.AsyncTemplate.build(template, name, on_build_logs=entries.append, **options)
        return info, "\n".join(f"{entry.level}: {entry.message}" for entry in entries)

    return run


@pytest.fixture
def say(client):
    """Return a function that runs a command in a new sandbox of a template."""

    async def run(command, template="built"):
        sandbox = await client.AsyncSandbox.create(template=template)
        return (await sandbox.commands.run(command)).stdout.strip()

    return run


@pytest.fixture
async def rest(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session
