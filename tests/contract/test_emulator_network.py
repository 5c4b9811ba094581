"""Network settings: stored, shown, and honest about what is not enforced."""

import logging

import aiohttp
import pytest
from e2b import SandboxException, SandboxNotFoundException

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.fleet.network_settings import network_enforcement

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

EVERYTHING = {
    "allow_out": ["api.example.com", "10.0.0.0/8"],
    "deny_out": ["0.0.0.0/0"],
    "dns_servers": ["1.1.1.1"],
    "egress_proxy": {"address": "proxy.example.com:1080", "username": "me", "password": "hidden", "tls": True},
    "rules": {"api.example.com": [{"transform": {"headers": {"X-Key": "value"}}}]},
    "allow_public_traffic": False,
    "mask_request_host": "${PORT}-mine.example.com",
    "https_ports": [8443],
}
PROGRAM = """
import http.server, os, ssl, sys
class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())
server = http.server.HTTPServer((os.environ["E2B_SANDBOX_IP"], int(sys.argv[1])), Show)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


@pytest.fixture
async def unguarded(anyio_backend, connect_to):
    """Return the SDK and a server without namespaces, which enforces nothing of what concerns traffic out."""
    async with EmulatorServer("k", isolation="off") as server:
        yield connect_to(server.url, "k"), server


@pytest.fixture
def get_until_open(emulator, eventually):
    """Ask a sandbox's port until it is open, and return the answer's text."""

    async def ask(sandbox, port):
        headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": str(port)}
        texts = []

        async def is_open():
            async with aiohttp.ClientSession(emulator.url) as session, session.get("/", headers=headers) as answer:
                texts.append(await answer.text())
                return answer.status == 200

        await eventually(is_open)
        return texts[-1]

    return ask


async def test_settings_are_shown_without_secrets(client):
    sandbox = await client.AsyncSandbox.create(network=EVERYTHING, allow_internet_access=False)
    info = await sandbox.get_info()
    assert info.allow_internet_access is False
    shown = {**EVERYTHING, "egress_proxy": {"address": "proxy.example.com:1080", "username": "me", "tls": {}}}
    assert info.network == shown


async def test_sandbox_without_settings_shows_none(sandbox):
    info = await sandbox.get_info()
    assert info.network == {}
    assert info.allow_internet_access is None


async def test_update_replaces_what_concerns_traffic_out(client):
    sandbox = await client.AsyncSandbox.create(network=EVERYTHING)
    await sandbox.update_network({"deny_out": ["10.0.0.0/8"], "allow_internet_access": False})
    info = await sandbox.get_info()
    assert info.allow_internet_access is False
    assert info.network == {
        "deny_out": ["10.0.0.0/8"],
        "allow_public_traffic": False,
        "mask_request_host": "${PORT}-mine.example.com",
        "https_ports": [8443],
    }


async def test_what_is_stored_only_is_warned_about_once(unguarded, caplog):
    client, _server = unguarded
    with caplog.at_level(logging.WARNING):
        sandbox = await client.AsyncSandbox.create(network={"deny_out": ["0.0.0.0/0"]}, allow_internet_access=False)
        await sandbox.update_network({"deny_out": ["0.0.0.0/0"]})
        await client.AsyncSandbox.create(network={"allow_public_traffic": False})
    [record] = [record for record in caplog.records if "not enforced" in record.message]
    assert sandbox.sandbox_id in record.message
    assert "denyOut" in record.message


async def test_server_reports_what_is_stored_only(unguarded):
    client, server = unguarded
    assert server.report_unenforced_network() == {}
    sandbox = await client.AsyncSandbox.create(network={"deny_out": ["10.0.0.0/8"], "https_ports": [8443]})
    assert server.report_unenforced_network() == {sandbox.sandbox_id: ["denyOut"]}


async def test_strict_server_refuses_what_it_does_not_enforce(connect_to):
    async with EmulatorServer("k", strict_network=True, isolation="off") as server:
        client = connect_to(server.url, "k")
        with pytest.raises(SandboxException, match=r"allowInternetAccess.* cannot be enforced") as refusal:
            await client.AsyncSandbox.create(network=EVERYTHING, allow_internet_access=False)
        assert refusal.value.status_code == 501
        sandbox = await client.AsyncSandbox.create(network={"allow_public_traffic": False})
        with pytest.raises(SandboxException, match="denyOut cannot be enforced"):
            await sandbox.update_network({"deny_out": ["0.0.0.0/0"]})


async def test_program_sees_the_masked_host(client, get_until_open):
    masked = await client.AsyncSandbox.create(network={"mask_request_host": "${PORT}-mine.example.com"})
    plain = await client.AsyncSandbox.create()
    for sandbox in (masked, plain):
        await sandbox.files.write("program.py", PROGRAM)
        await sandbox.commands.run("exec python program.py 8080", background=True, timeout=0)
    assert await get_until_open(masked, 8080) == "8080-mine.example.com"
    assert (await get_until_open(plain, 8080)).startswith("127.0.0.1:")


async def test_port_that_serves_tls_is_reached(client, get_until_open):
    sandbox = await client.AsyncSandbox.create(network={"https_ports": [8443]})
    await sandbox.files.write("program.py", PROGRAM)
    made = await sandbox.commands.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 1 -subj /CN=sandbox 2>&1"
        " && cat key cert > both || echo none"
    )
    if "none" in made.stdout.split():
        pytest.skip("there is no openssl on this machine")
    await sandbox.commands.run("exec python program.py 8443 both", background=True, timeout=0)
    assert (await get_until_open(sandbox, 8443)).startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        pytest.param({"denyOut": ["example.com"]}, "invalid denied CIDR", id="denied domain"),
        pytest.param({"allowOut": ["example.com"]}, "denyOut lacks 0.0.0.0/0", id="domain without denial"),
        pytest.param({"allowOut": ["300.1.1.1"], "denyOut": ["0.0.0.0/0"]}, "invalid allowed", id="no address"),
        pytest.param({"allowOut": "1.1.1.1"}, "`$.network.allowOut`", id="no list"),
        pytest.param({"dnsServers": ["dns.example"]}, "IPv4", id="dns name"),
        pytest.param({"dnsServers": ["1.1.1.1"] * 11}, "10 at most", id="many dns servers"),
        pytest.param({"egressProxy": {"address": "nowhere"}}, "use host:port", id="proxy without port"),
        pytest.param({"maskRequestHost": "a b"}, "is not valid", id="host mask"),
        pytest.param({"httpsPorts": [49983]}, "envd", id="envd's port"),
        pytest.param({"httpsPorts": [0]}, "1 to 65535", id="no port"),
        pytest.param({"rules": {"a": [{"transform": {"headers": 1}}]}}, "headers", id="rules"),
    ],
)
async def test_malformed_settings_are_refused_with_their_reason(api, network, reason):
    async with api.post("/v2/sandboxes", json={"templateID": "base", "network": network}) as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["message"]


async def test_malformed_update_is_refused_and_changes_nothing(api, sandbox):
    where = f"/sandboxes/{sandbox.sandbox_id}/network"
    for body in ({"denyOut": ["example.com"]}, {"allow_internet_access": "no"}):
        async with api.put(where, json=body) as answer:
            assert answer.status == 400
    assert (await sandbox.get_info()).network == {}


async def test_update_of_an_unknown_sandbox_is_not_found(client):
    with pytest.raises(SandboxNotFoundException):
        await client.AsyncSandbox.update_network("inobody", {})


def test_every_setting_is_accounted_for():
    assert {field.name for field in network_enforcement()} == {
        "allowInternetAccess",
        "allowOut",
        "allowPublicTraffic",
        "denyOut",
        "dnsServers",
        "egressProxy",
        "httpsPorts",
        "maskRequestHost",
        "rules",
    }
