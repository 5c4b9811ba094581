"""What the real SDK raises for each fault of commands and files, and when it asks whether the sandbox is well.

Measured with SDK 2.63:

- A connection that closes in mid-answer is judged by a probe. A true TCP reset raises other errors: `httpx.ReadError`
  for a file that is read, and for a command the bare `connectrpc.errors.ConnectError`, which is no
  `SandboxException` and is not preceded by a probe's verdict when the sandbox is well. A connection that closes while a
  part of the request is unread ends by a reset, so this happens on live E2B too.
- Of a probe's 502 only the words "was not found" mean that the sandbox is gone; any other 502 means "unreachable".
"""

import connectrpc.errors
import e2b
import httpx
import msgspec
import pytest

from sandboxes.emulator.faults.plan import (
    DiskFull,
    NoEndEvent,
    Refusal,
    Reset,
    StreamCut,
)

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

GONE = msgspec.json.encode({"sandboxId": "i0", "message": "The sandbox was not found", "code": 502}).decode()
TALK = "echo begun; sleep 0.3; echo over"


@pytest.mark.parametrize("after_s", [0.0, 0.1])
async def test_command_stream_cut_with_a_healthy_sandbox_is_unreachable(sandbox, faults, after_s):
    faults.add("run", StreamCut(after_s=after_s))
    with pytest.raises(e2b.SandboxUnreachableException) as caught:
        await sandbox.commands.run(TALK)
    assert isinstance(caught.value, e2b.TimeoutException)
    assert faults.injected == {"stream_cut": 1}
    assert await sandbox.is_running()


async def test_command_stream_reset_with_a_healthy_sandbox_escapes_as_a_connect_error(sandbox, faults):
    faults.add("run", StreamCut(is_hard=True))
    with pytest.raises(connectrpc.errors.ConnectError):
        await sandbox.commands.run(TALK)


@pytest.mark.parametrize(
    ("is_hard", "error"),
    [
        pytest.param(False, e2b.SandboxUnreachableException, id="closed"),
        pytest.param(True, connectrpc.errors.ConnectError, id="reset"),
    ],
)
async def test_command_that_loses_its_connection_before_its_first_byte(sandbox, faults, is_hard, error):
    faults.add("run", Reset(is_hard=is_hard))
    with pytest.raises(error):
        await sandbox.commands.run(TALK)


@pytest.mark.parametrize("is_hard", [False, True], ids=["closed", "reset"])
async def test_command_stream_cut_is_not_running_when_the_probe_finds_the_sandbox_gone(sandbox, faults, is_hard):
    faults.add("run", StreamCut(is_gone=True, is_hard=is_hard))
    with pytest.raises(e2b.SandboxNotRunningException) as caught:
        await sandbox.commands.run(TALK)
    assert isinstance(caught.value, e2b.TimeoutException)
    assert faults.injected == {"stream_cut": 1, "status": 1}
    assert not await sandbox.is_running()


@pytest.mark.parametrize("is_hard", [False, True], ids=["closed", "reset"])
async def test_file_read_cut_is_not_running_when_the_probe_finds_the_sandbox_gone(sandbox, faults, is_hard):
    await sandbox.files.write("a", "x" * 1000)
    faults.add("download", StreamCut(is_gone=True, is_hard=is_hard))
    with pytest.raises(e2b.SandboxNotRunningException):
        await sandbox.files.read("a")


@pytest.mark.parametrize(
    ("is_hard", "error"),
    [pytest.param(False, httpx.RemoteProtocolError, id="closed"), pytest.param(True, httpx.ReadError, id="reset")],
)
async def test_file_read_cut_with_a_healthy_sandbox_is_an_error_of_the_transport(sandbox, faults, is_hard, error):
    await sandbox.files.write("a", "x" * 1000)
    faults.add("download", StreamCut(is_hard=is_hard))
    with pytest.raises(httpx.TransportError) as caught:
        await sandbox.files.read("a")
    assert type(caught.value) is error
    assert faults.injected == {"stream_cut": 1}


async def test_command_stream_without_an_end_event_is_a_bare_exception(sandbox, faults):
    faults.add("run", NoEndEvent())
    with pytest.raises(Exception, match=r"^Command ended without an end event$") as caught:
        await sandbox.commands.run(TALK)
    assert type(caught.value) is Exception
    assert faults.injected == {"no_end_event": 1}


@pytest.mark.parametrize("status", [502, 503])
@pytest.mark.parametrize(
    ("health", "error"),
    [
        pytest.param(None, e2b.SandboxUnreachableException, id="healthy"),
        pytest.param(Refusal(status=502), e2b.SandboxUnreachableException, id="some-502"),
        pytest.param(Refusal(status=502, body=GONE), e2b.SandboxNotRunningException, id="gone"),
    ],
)
async def test_command_refused_on_the_way_is_judged_by_a_probe(sandbox, faults, status, health, error):
    faults.add("run", Refusal(status=status, is_html=True))
    if health is not None:
        faults.add("health", health)
    with pytest.raises(e2b.TimeoutException) as caught:
        await sandbox.commands.run(TALK)
    assert type(caught.value) is error


async def test_command_refused_by_a_rate_limit_on_the_way_is_not_retried(sandbox, faults):
    faults.add("run", Refusal(status=429))
    with pytest.raises(e2b.RateLimitException) as caught:
        await sandbox.commands.run(TALK)
    assert caught.value.status_code == 429
    assert faults.injected == {"status": 1}


async def test_command_over_its_deadline_is_a_timeout(sandbox):
    with pytest.raises(e2b.TimeoutException) as caught:
        await sandbox.commands.run("sleep 10", timeout=0.2)
    assert type(caught.value) is e2b.TimeoutException


async def test_full_disk_is_not_enough_space(sandbox, faults):
    faults.add("files", DiskFull())
    with pytest.raises(e2b.NotEnoughSpaceException):
        await sandbox.files.write("a", "x")
    assert faults.injected == {"disk_full": 1}
    assert not await sandbox.files.exists("a")


@pytest.mark.parametrize("call", ["get_info", "set_timeout", "pause", "connect"])
async def test_control_plane_says_of_a_gone_sandbox_that_it_is_not_found(sandbox, call):
    await sandbox.kill()
    arguments = [60] if call == "set_timeout" else []
    with pytest.raises(e2b.SandboxNotFoundException) as caught:
        await getattr(sandbox, call)(*arguments)
    assert isinstance(caught.value, e2b.NotFoundException)


@pytest.mark.parametrize("call", ["run", "read", "write", "list", "processes"])
async def test_daemon_of_a_gone_sandbox_is_not_running(sandbox, call):
    await sandbox.kill()
    calls = {
        "run": lambda: sandbox.commands.run("true"),
        "read": lambda: sandbox.files.read("a"),
        "write": lambda: sandbox.files.write("a", ""),
        "list": lambda: sandbox.files.list("/"),
        "processes": sandbox.commands.list,
    }
    with pytest.raises(e2b.SandboxNotRunningException):
        await calls[call]()


async def test_kill_of_a_gone_sandbox_returns_false(sandbox):
    await sandbox.kill()
    assert await sandbox.kill() is False
