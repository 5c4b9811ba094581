"""`e2b-swarm template` from outside, against a server of ours: building, listing, deleting, and deploying from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import msgspec
import pytest

from orchestrator.cli import run
from sandboxes.e2b import E2BAccount, open_e2b
from sandboxes.provider import SandboxSpec
from sandboxes.worker_template import worker_requirements
from tests.system.conftest import run_command
from workers.http_network import open_http_network

pytestmark = pytest.mark.processes

KEY = "e2b_0123456789abcdef"
NO_INDEX = ("No matching distribution", "Temporary failure in name resolution", "Could not fetch URL")


class Listening(msgspec.Struct):
    url: str
    pid: int


@pytest.fixture(scope="module")
def account():
    """Start a server, and return what leads the SDK to it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandboxes.emulator", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "E2B_API_KEY": KEY},
    )
    url = msgspec.json.decode(process.stdout.readline(), type=Listening).url
    yield {"E2B_API_KEY": KEY, "E2B_API_URL": url, "E2B_SANDBOX_URL": url}
    process.communicate(timeout=20)


@pytest.fixture(scope="module")
def built(account):
    """Build the template once; without a package index this cannot be shown."""
    done = run_command("template", "build", "--json", **account)
    if done.returncode != 0 and any(mark in done.stderr for mark in NO_INDEX):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return done


def find_in(stdout, name):
    return [found for found in json.loads(stdout)["templates"] if name in found["names"]]


def test_build_is_one_json_object_on_stdout_and_its_log_on_stderr(built):
    result = json.loads(built.stdout)
    assert built.stdout.count("\n") == 1
    assert (result["name"], result["tags"]) == ("e2b-swarm-worker", ["default"])
    assert set(result) == {"template_id", "build_id", "name", "tags", "took_s"}
    assert "no image was pulled" in built.stderr
    assert "e2b-swarm worker listening on port 8080" in built.stderr


def test_built_template_is_listed_with_its_size(account, built):
    (found,) = find_in(run_command("template", "list", "--json", **account).stdout, "e2b-swarm-worker")
    assert found["template_id"] == json.loads(built.stdout)["template_id"]
    assert (found["cpu_count"], found["memory_mb"], found["build_status"]) == (2, 512, "ready")
    assert found["template_id"] in run_command("template", "list", **account).stdout


def find_environments(command, sandbox_id):
    """Return the environments of the processes of a sandbox that run a command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_text().split("\0")[:-1] == command:
                found.append((process / "environ").read_bytes())
        except OSError:
            continue
    return [environment for environment in found if f"E2B_SANDBOX_ID={sandbox_id}\0".encode() in environment]


def test_sandbox_of_the_template_has_the_worker_listening_before_anybody_starts_it(account, built):
    async def look():
        url = account["E2B_API_URL"]
        server = E2BAccount(api_key=KEY, api_url=url, sandbox_url=url)
        async with open_http_network() as network, open_e2b(server, network) as provider:
            asked = SandboxSpec(swarm="s", agent="a", generation=1, lease_s=60, files={})
            sandbox = await provider.create(asked)
            environments = find_environments(["python", "-P", "-m", "workers", "--port", "8080"], sandbox.id)
            health = await network.probe(sandbox.endpoint)
            started_by_us = list(provider._commands)
            await provider.kill(sandbox.id)
            return environments, health, started_by_us

    [environment], health, started_by_us = anyio.run(look)
    assert b"python-packages" in environment  # what the template has installed, not the server's own
    assert health["state"] == "anonymous"
    assert started_by_us == []


def test_deployment_finds_the_workers_running_and_reports_their_pids(account, built, tmp_path):
    spec = tmp_path / "account.toml"
    spec.write_text("account_creates_per_s = 100\n")
    arguments = ("--topology", "ring", "--mode", "live", "--agents", "3", "--ticks", "5", "--json", "--spec", str(spec))
    done = run_command("deploy", *arguments, **account)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    pids = [agent["pid"] for agent in summary["per_agent"]]  # each as its own sandbox counts
    assert (summary["success_rate"], len(pids), None in pids) == (1.0, 3, False)
    assert summary["sandboxes"] == {"created": 3, "killed": 3, "left": 0}


def test_deleted_template_is_gone_and_a_second_deletion_says_so(account):
    from e2b import E2B

    client = E2B(api_key=KEY, api_url=account["E2B_API_URL"], sandbox_url=account["E2B_API_URL"])
    client.Template.build(client.Template().from_base_image().run_cmd("true"), "short-lived")
    first = run_command("template", "delete", "short-lived", "--json", **account)
    assert (first.returncode, json.loads(first.stdout)["name"]) == (0, "short-lived")
    assert find_in(run_command("template", "list", "--json", **account).stdout, "short-lived") == []
    second = run_command("template", "delete", "short-lived", **account)
    assert (second.returncode, second.stdout) == (1, "")
    assert "there is no template short-lived" in second.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["build"], ["list"], ["delete"]], ids=lambda found: found[0])
def test_without_a_key_it_is_one_line_and_exit_code_2(arguments, capsys, monkeypatch):
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    assert run(["template", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "E2B_API_KEY is not set" in err


def test_wrong_key_is_one_line_and_exit_code_2(account):
    done = run_command("template", "list", **{**account, "E2B_API_KEY": "e2b_wrong"})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "E2B refused the API key" in done.stderr


def test_server_that_does_not_answer_is_one_line_and_exit_code_1(account):
    done = run_command("template", "list", **{**account, "E2B_API_URL": "http://127.0.0.1:1"})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [["build", "--memory-mb", "12"], ["build", "--colour"], ["cherish"]],
    ids=["too small", "unknown flag", "unknown command"],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, capsys):
    assert run(["template", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_template_alone_and_help_teach(capsys):
    assert run(["template", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("build", "list", "delete"))


def test_worker_is_given_what_it_imports_and_no_more():
    assert [name.split(">")[0] for name in worker_requirements()] == [
        "aiohttp",
        "anyio",
        "msgspec",
        "networkx",
        "uvloop",
    ]
