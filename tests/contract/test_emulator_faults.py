"""Faults on purpose, against the real SDK: what it raises for each, and how often it asks again.

The first part is table A7 of our notes on E2B (`e2b.md`), row by row. What was found with SDK 2.63 beyond it:

- The rows "connection reset" and "stream reset" hold for a connection that is closed in mid-answer. A true TCP reset
  raises other errors: `httpx.WriteError` for calls (not `RemoteProtocolError`), `httpx.ReadError` for a file that is
  being read, and for a command the bare `connectrpc.errors.ConnectError`, which is no `SandboxException` and is not
  preceded by a probe's verdict when the sandbox is well. A connection that closes while a part of the request is
  unread ends by a reset, so this happens on live E2B too.
- A 504 with an HTML body raises `json.JSONDecodeError` too, after three retries.
- A refused connection takes about 3 s (2.5 s in the table).
- Of a probe's 502 only the words "was not found" mean that the sandbox is gone; any other 502 means "unreachable".
"""

import json

import anyio
import connectrpc.errors
import e2b
import httpx
import msgspec
import pytest
from e2b import E2B

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.faults.operations import NAMES, Operation
from sandboxes.emulator.faults.plan import (
    ClockSkew,
    DiskFull,
    FaultPlan,
    Latency,
    NoAnswer,
    NoEndEvent,
    Refusal,
    Reset,
    StreamCut,
    Vanish,
)
from tests.contract.conftest import API_KEY

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

RETRIES = 3
GONE = msgspec.json.encode({"sandboxId": "i0", "message": "The sandbox was not found", "code": 502}).decode()
TALK = "echo begun; sleep 0.3; echo over"


@pytest.fixture
def faults(emulator):
    return emulator.faults


@pytest.fixture
def retrying(emulator):
    """The SDK with its own retries, as it comes."""
    return E2B(api_key=API_KEY, api_url=emulator.url, sandbox_url=emulator.url)


async def count_sandboxes(client):
    return len(await client.AsyncSandbox.list().next_items())


# Table A7, the control plane.


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500])
async def test_refusal_in_json_is_a_sandbox_exception_and_not_retried(retrying, faults, status):
    faults.add("create", Refusal(status=status, message="no"))
    with pytest.raises(e2b.SandboxException, match="no") as caught:
        await retrying.AsyncSandbox.create()
    assert type(caught.value) is e2b.SandboxException
    assert caught.value.status_code == status
    assert faults.injected == {"status": 1}


@pytest.mark.parametrize(
    ("refusal", "error", "has_status"),
    [
        pytest.param(Refusal(status=504), e2b.SandboxException, True, id="504"),
        pytest.param(Refusal(status=500, should_retry=True), e2b.SandboxException, True, id="500-should-retry"),
        pytest.param(Refusal(status=429), e2b.RateLimitException, True, id="429"),
        pytest.param(Refusal(status=503), e2b.ServiceBusyException, True, id="503"),
        pytest.param(Refusal(status=503, is_html=True), json.JSONDecodeError, False, id="503-html"),
        pytest.param(Refusal(status=504, is_html=True), json.JSONDecodeError, False, id="504-html"),
        pytest.param(Refusal(status=502, is_html=True), e2b.SandboxException, True, id="502-html"),
    ],
)
async def test_refusal_that_may_pass_is_retried_three_times(retrying, faults, refusal, error, has_status):
    faults.add("create", refusal)
    with pytest.raises(error) as caught:
        await retrying.AsyncSandbox.create()
    assert type(caught.value) is error
    if has_status:
        assert caught.value.status_code == refusal.status
    assert faults.injected == {"status": 1 + RETRIES}
    assert await count_sandboxes(retrying) == 0


async def test_502_in_html_is_quoted_in_the_message(retrying, faults):
    faults.add("create", Refusal(status=502, is_html=True, should_retry=False))
    with pytest.raises(e2b.SandboxException, match=r"^502: b'<html"):
        await retrying.AsyncSandbox.create()
    assert faults.injected == {"status": 1}


async def test_500_in_html_is_a_json_decode_error_and_not_retried(retrying, faults):
    faults.add("create", Refusal(status=500, is_html=True))
    with pytest.raises(json.JSONDecodeError):
        await retrying.AsyncSandbox.create()
    assert faults.injected == {"status": 1}


async def test_401_is_an_authentication_exception_which_is_no_sandbox_exception(retrying, faults):
    faults.add("create", Refusal(status=401))
    with pytest.raises(e2b.AuthenticationException) as caught:
        await retrying.AsyncSandbox.create()
    assert not isinstance(caught.value, e2b.SandboxException)
    assert faults.injected == {"status": 1}


async def test_missing_key_is_an_authentication_exception_without_a_request(emulator, faults, monkeypatch):
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    faults.add("*", Refusal(status=500))
    with pytest.raises(e2b.AuthenticationException):
        await E2B(api_url=emulator.url, sandbox_url=emulator.url).AsyncSandbox.create()
    assert faults.injected == {}


async def test_retry_after_is_obeyed_and_the_retry_succeeds(retrying, faults):
    faults.add("create", Refusal(status=429, retry_after_s=1), times=1)
    started = anyio.current_time()
    await retrying.AsyncSandbox.create()
    assert anyio.current_time() - started >= 1.0
    assert await count_sandboxes(retrying) == 1


@pytest.mark.parametrize("is_made", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("is_hard", "error"),
    [
        pytest.param(False, httpx.RemoteProtocolError, id="closed"),
        pytest.param(True, httpx.WriteError, id="reset"),
    ],
)
async def test_create_that_loses_its_connection_may_have_happened(retrying, faults, is_made, is_hard, error):
    faults.add("create", Reset(after_work=is_made, is_hard=is_hard))
    with pytest.raises(httpx.TransportError) as caught:
        await retrying.AsyncSandbox.create()
    assert type(caught.value) is error
    assert faults.injected == {"reset": 1}
    assert await count_sandboxes(retrying) == is_made


@pytest.mark.parametrize("is_made", [False, True], ids=["before", "after"])
async def test_create_without_an_answer_may_have_happened(retrying, faults, is_made):
    faults.add("create", NoAnswer(after_work=is_made))
    with pytest.raises(httpx.ReadTimeout):
        await retrying.AsyncSandbox.create(request_timeout=0.3)
    assert faults.injected == {"no_answer": 1}
    assert await count_sandboxes(retrying) == is_made


async def test_lost_create_is_found_again_by_its_idempotency_key(client, faults):
    faults.add("create", Reset(after_work=True), times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.AsyncSandbox.create(idempotency_key="once")
    await client.AsyncSandbox.create(idempotency_key="once")
    assert await count_sandboxes(client) == 1


async def test_refused_connection_is_a_connect_error_after_retries(unused_port):
    url = f"http://127.0.0.1:{unused_port}"
    started = anyio.current_time()
    with pytest.raises(httpx.ConnectError):
        await E2B(api_key=API_KEY, api_url=url, sandbox_url=url).AsyncSandbox.create()
    assert anyio.current_time() - started > 1.0


@pytest.fixture
async def unused_port(anyio_backend):
    async with EmulatorServer("k") as server:
        return server.url.rpartition(":")[2]


# Table A7, commands and files.


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


# Faults without a row of their own.


async def test_latency_delays_an_answer(client, faults):
    faults.add("create", Latency(seconds=0.2))
    started = anyio.current_time()
    await client.AsyncSandbox.create()
    assert anyio.current_time() - started >= 0.2


async def test_latency_and_a_refusal_add_up_to_a_slow_refusal(client, faults):
    faults.add("create", Latency(seconds=0.2))
    faults.add("create", Refusal(status=503))
    started = anyio.current_time()
    with pytest.raises(e2b.ServiceBusyException):
        await client.AsyncSandbox.create()
    assert anyio.current_time() - started >= 0.2
    assert faults.injected == {"latency": 1, "status": 1}


async def test_sandbox_vanishes_under_a_command(client, sandbox, faults):
    faults.add("run", Vanish(after_s=0.1))
    with pytest.raises(e2b.SandboxNotRunningException):
        await sandbox.commands.run("sleep 10")
    assert await count_sandboxes(client) == 0


async def test_created_sandbox_vanishes_at_once_although_create_succeeds(client, faults):
    faults.add("create", Vanish(), times=1)
    sandbox = await client.AsyncSandbox.create()
    assert not await sandbox.is_running()


async def test_clock_skew_shifts_the_times_of_one_sandbox(client, faults):
    faults.add("create", ClockSkew(api_s=3600, envd_s=-60), times=1)
    skewed, right = [await (await client.AsyncSandbox.create(timeout=60)).get_info() for _ in range(2)]
    assert 3590 < (skewed.started_at - right.started_at).total_seconds() < 3610
    assert 3590 < (skewed.end_at - right.end_at).total_seconds() < 3610


async def test_clock_skew_shifts_the_daemons_time(client, emulator, faults):
    faults.add("create", ClockSkew(envd_s=-3600), times=1)
    times = []
    async with httpx.AsyncClient(base_url=emulator.url, headers={"X-API-KEY": API_KEY}) as http:
        for _ in range(2):
            sandbox_id = (await client.AsyncSandbox.create()).sandbox_id
            token = (await http.get(f"/sandboxes/{sandbox_id}")).json()["envdAccessToken"]
            answer = await http.get("/metrics", headers={"E2b-Sandbox-Id": sandbox_id, "X-Access-Token": token})
            times.append(answer.json()["ts"])
    assert times[0] - times[1] == pytest.approx(-3600, abs=10)


async def test_upload_that_loses_its_answer_is_written(sandbox, faults):
    faults.add("upload", Reset(after_work=True))
    with pytest.raises(httpx.RemoteProtocolError):
        await sandbox.files.write("a", "there")
    assert await sandbox.files.read("a") == "there"


async def test_command_whose_answer_gets_lost_has_run(sandbox, faults):
    faults.add("run", Reset(after_work=True), times=1)
    with pytest.raises(e2b.SandboxUnreachableException):
        await sandbox.commands.run("touch a")
    assert await sandbox.files.exists("a")


async def test_stream_that_ends_before_the_cut_is_whole(sandbox, faults):
    faults.add("run", StreamCut(after_s=5))
    assert (await sandbox.commands.run("echo whole")).stdout == "whole\n"


# Which requests a rule meets.


async def test_next_n_requests_are_met_and_no_more(client, faults):
    faults.add("create", Refusal(status=500), times=2)
    for _ in range(2):
        with pytest.raises(e2b.SandboxException):
            await client.AsyncSandbox.create()
    await client.AsyncSandbox.create()
    assert faults.injected == {"status": 2}


async def test_pattern_of_paths_names_requests(sandbox, faults):
    faults.add("/sandboxes/*/timeout", Refusal(status=500))
    with pytest.raises(e2b.SandboxException):
        await sandbox.set_timeout(60)
    assert (await sandbox.get_info()).sandbox_id == sandbox.sandbox_id


async def test_rule_for_one_sandbox_spares_the_others(client, sandbox, faults):
    faults.add("run", Refusal(status=429), sandbox_id=sandbox.sandbox_id)
    other = await client.AsyncSandbox.create()
    with pytest.raises(e2b.RateLimitException):
        await sandbox.commands.run("true")
    assert (await other.commands.run("true")).exit_code == 0


async def test_port_of_a_sandbox_is_cut(sandbox, emulator, faults):
    faults.add("proxy", Refusal(status=503, is_html=True))
    async with httpx.AsyncClient() as http:
        headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}
        answer = await http.get(emulator.url, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")


def decide(plan, count=200):
    operation = Operation(names=frozenset({"*", "api", "create"}), path="/sandboxes", sandbox_id=None)
    return [bool(plan.choose(operation)) for _ in range(count)]


def plan_with(seed):
    plan = FaultPlan(seed)
    plan.add("create", Latency(seconds=0), probability=0.3)
    return plan


def test_equal_seeds_give_equal_faults_and_different_ones_different():
    assert decide(plan_with(1)) == decide(plan_with(1))
    assert decide(plan_with(1)) != decide(plan_with(2))
    assert 30 < sum(decide(plan_with(1))) < 90


def test_cleared_plan_begins_anew():
    plan = plan_with(1)
    first = decide(plan)
    plan.clear()
    assert plan.injected == {}
    assert decide(plan) == [False] * 200
    plan.add("create", Latency(seconds=0), probability=0.3)
    assert decide(plan) == first


@pytest.mark.parametrize(
    ("where", "fault", "options"),
    [
        pytest.param("creation", Latency(seconds=1), {}, id="unknown-name"),
        pytest.param("create", Latency(seconds=-1), {}, id="negative"),
        pytest.param("create", Refusal(status=200), {}, id="success"),
        pytest.param("create", Latency(seconds=1), {"probability": 1.5}, id="probability"),
        pytest.param("create", Latency(seconds=1), {"times": 0}, id="times"),
    ],
)
def test_rule_that_could_never_strike_is_refused(where, fault, options):
    with pytest.raises(ApiError):
        FaultPlan().add(where, fault, **options)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_aimed_at(name):
    FaultPlan().add(name, Latency(seconds=0))


# The same by HTTP.


@pytest.fixture
async def controls(emulator):
    async with httpx.AsyncClient(base_url=emulator.url, headers={"X-API-KEY": API_KEY}) as http:
        yield http


async def test_faults_are_added_shown_and_cleared_by_http(controls, client):
    wish = {"where": "create", "fault": {"kind": "status", "status": 503}, "times": 1}
    answer = await controls.post("/_emulator/faults", json=wish)
    assert answer.status_code == 201
    with pytest.raises(e2b.ServiceBusyException):
        await client.AsyncSandbox.create()
    shown = (await controls.get("/_emulator/faults")).json()
    assert shown["injected"] == {"status": 1}
    assert [rule["injected"] for rule in shown["rules"]] == [1]
    assert (await controls.delete(f"/_emulator/faults/{answer.json()['id']}")).status_code == 204
    assert (await controls.delete("/_emulator/faults/7")).status_code == 404
    assert (await controls.delete("/_emulator/faults")).status_code == 204
    assert (await controls.get("/_emulator/faults")).json() == {"seed": 0, "rules": [], "injected": {}}


async def test_controls_are_behind_the_key_and_no_fault_reaches_them(controls, emulator):
    await controls.post("/_emulator/faults", json={"fault": {"kind": "status", "status": 500}})
    assert (await controls.get("/_emulator/faults")).status_code == 200
    assert (await controls.get("/_emulator/faults", headers={"X-API-KEY": "other"})).status_code == 401


@pytest.mark.parametrize(
    "wish", [{"fault": {"kind": "flood"}}, {"where": "create"}, {"fault": {"kind": "reset", "x": 1}}]
)
async def test_rule_that_is_none_is_refused_with_its_reason(controls, wish):
    answer = await controls.post("/_emulator/faults", json=wish)
    assert answer.status_code == 400
    assert "FaultWish" in answer.json()["message"]


async def test_no_rules_leave_no_trace(client, faults):
    sandbox = await client.AsyncSandbox.create()
    assert (await sandbox.commands.run("echo hi")).stdout == "hi\n"
    assert faults.injected == {}
