"""Faults on purpose: those without an exception of their own, which requests a rule meets, and rules by HTTP."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import anyio
import e2b
import httpx
import msgspec
import pytest

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.faults.operations import NAMES, Operation
from sandboxes.emulator.faults.plan import (
    ClockSkew,
    FaultPlan,
    Latency,
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


async def count_sandboxes(client):
    return len(await client.AsyncSandbox.list().next_items())


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


async def test_clock_skew_shows_in_all_that_the_control_plane_tells(client, emulator, faults):
    faults.add("create", ClockSkew(api_s=-7200), times=1)
    sandbox = await client.AsyncSandbox.create()
    now = datetime.now(UTC)
    [metric] = await sandbox.get_metrics()
    await sandbox.set_timeout(60)
    async with httpx.AsyncClient(base_url=emulator.url, headers={"X-API-KEY": API_KEY}) as http:
        logs = (await http.get(f"/v2/sandboxes/{sandbox.sandbox_id}/logs")).json()["logs"]
        events = (await http.get(f"/events/sandboxes/{sandbox.sandbox_id}")).json()
    told = [metric.timestamp, *(datetime.fromisoformat(each[0]["timestamp"]) for each in (logs, events))]
    assert [round((moment - now).total_seconds() / 60) for moment in told] == [-120] * 3


async def test_clock_skew_shows_in_the_times_of_files_and_ends_signed_addresses(client, faults):
    faults.add("create", ClockSkew(envd_s=7200), times=1)
    sandbox = await client.AsyncSandbox.create()
    written = await sandbox.files.write("f", "x")
    entry = await sandbox.files.get_info(written.path)
    assert round((entry.modified_time - datetime.now(UTC)).total_seconds() / 60) == 120
    async with httpx.AsyncClient() as http:
        early, late = [
            await http.get(sandbox.download_url("f", use_signature_expiration=seconds)) for seconds in (600, 10_000)
        ]
    assert (early.status_code, late.status_code) == (401, 200)
    assert parsedate_to_datetime(late.headers["Last-Modified"]) > datetime.now(UTC) + timedelta(minutes=100)


async def test_clock_skew_shows_in_the_interpreters_output(open_interpreter, faults):
    faults.add("create", ClockSkew(envd_s=-7200), times=1)
    sandbox = await open_interpreter()
    told = []
    await sandbox.run_code("echo hi", language="bash", on_stdout=told.append)
    assert round((told[0].timestamp / 1e9 - datetime.now(UTC).timestamp()) / 60) == -120


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
