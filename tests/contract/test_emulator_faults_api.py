"""What the real SDK raises for each fault of the control plane, and how often it asks again.

Measured with SDK 2.63:

- A 504 with an HTML body raises `json.JSONDecodeError` as a 500 does, after three retries.
- A refused connection takes about 3 s.
- A true TCP reset raises `httpx.WriteError` (not `RemoteProtocolError`, which means a connection closed in mid-answer).
"""

import json

import anyio
import e2b
import httpx
import pytest
from e2b import E2B

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.faults.plan import (
    NoAnswer,
    Refusal,
    Reset,
)
from tests.contract.conftest import API_KEY

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

RETRIES = 3


async def count_sandboxes(client):
    return len(await client.AsyncSandbox.list().next_items())


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
