"""The documents that the server serves of itself say of every call what the server does."""

import re

import aiohttp
import msgspec
import pytest

from sandboxes.emulator.control.control_plane import ControlPlane
from sandboxes.emulator.envd.envd import PLAIN_ROUTES
from sandboxes.emulator.server import EmulatorServer

pytestmark = [pytest.mark.anyio, pytest.mark.processes]


@pytest.fixture
async def http(emulator):
    async with aiohttp.ClientSession(emulator.url) as session:
        yield session


@pytest.fixture
async def document(http):
    return await (await http.get("/openapi.json")).json()


@pytest.fixture
def planes(monkeypatch):
    """All control planes that the test makes."""
    made = []
    make = ControlPlane.__init__

    def remember(plane, *arguments, **options):
        make(plane, *arguments, **options)
        made.append(plane)

    monkeypatch.setattr(ControlPlane, "__init__", remember)
    return made


async def test_every_route_of_the_control_plane_is_in_its_document(planes):
    async with EmulatorServer("k") as server, aiohttp.ClientSession(server.url) as http:
        document = await (await http.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert described == {(route.method, route.path) for route in planes[0].routes}
    assert len(described) > 50


async def test_every_plain_call_of_the_daemon_is_in_its_document(http, sandbox):
    document = await (await http.get("/openapi.json", headers={"E2b-Sandbox-Id": sandbox.sandbox_id})).json()
    described = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert described == set(PLAIN_ROUTES)


async def test_key_is_asked_for_exactly_where_the_document_says_so(document, http):
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            async with http.request(method, re.sub(r"\{\w+\}", "x", path)) as answer:
                assert (answer.status == 401) is (call.get("security") != []), (method, path)
                assert str(answer.status) in call["responses"], (method, path)


async def test_limits_of_bodies_and_parameters_are_those_that_hold(document):
    schemas = document["components"]["schemas"]
    assert schemas["NewSandbox"]["required"] == ["templateID"]
    assert schemas["NewSandbox"]["properties"]["timeout"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 365 * 24 * 3600,
        "default": 300,
    }
    assert schemas["SandboxState"]["enum"] == ["paused", "running"]
    listing = document["paths"]["/v2/sandboxes"]["get"]
    parameters = {parameter["name"]: parameter["schema"] for parameter in listing["parameters"]}
    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}
    assert parameters["state"]["items"]["enum"] == ["running", "paused"]
    assert "X-Next-Token" in listing["responses"]["200"]["headers"]
    create = document["paths"]["/v2/sandboxes"]["post"]
    assert create["requestBody"]["required"] is True
    assert set(create["responses"]) == {"201", "400", "401", "404", "409", "429", "501", "503"}


async def test_references_lead_somewhere_and_names_of_calls_differ(document):
    named = set(re.findall(r'"#/components/schemas/(\w+)"', msgspec.json.encode(document).decode()))
    assert named <= set(document["components"]["schemas"])
    ids = [call["operationId"] for calls in document["paths"].values() for call in calls.values()]
    assert len(ids) == len(set(ids))
    assert all(call["summary"] for calls in document["paths"].values() for call in calls.values())


@pytest.mark.parametrize("digits", ["9" * 5000, "-1", "1.5", "１"])
async def test_number_that_is_none_is_refused_by_its_name(http, emulator, digits):
    async with http.get("/events/sandboxes", params={"offset": digits}, headers={"X-API-KEY": "key"}) as answer:
        assert answer.status == 401
    async with http.get("/events/sandboxes", params={"offset": digits}, headers=key_of(emulator)) as answer:
        assert answer.status == 400
        assert "offset" in (await answer.json())["message"]


async def test_conformance_check_notices_what_is_not_declared(conformance, monkeypatch, emulator):
    monkeypatch.setattr(ControlPlane, "document", b'{"paths": {"/health": {"get": {"responses": {}}}}}')
    async with aiohttp.ClientSession(emulator.url, headers=key_of(emulator)) as http:
        assert (await http.get("/health")).status == 200
    assert conformance.deviations == ["GET /health 200: the status is not declared"]
    conformance.deviations.clear()


def key_of(server):
    return {"X-API-KEY": server.api_key}
