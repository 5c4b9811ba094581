"""`e2b-swarm e2b-server` from outside: three lines, a server behind them, and an end in order."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import e2b
import httpx
import pytest
from e2b import E2B

from tests.system.conftest import run_command, started, swarm_processes

pytestmark = pytest.mark.processes

GONE_WITHIN_S = 2.0


@contextmanager
def serving(*arguments, **environment):
    """Start the server, and give its process and the variables that it printed."""
    with started("e2b-server", *arguments, **environment) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        matches = [re.fullmatch(r"export (E2B_[A-Z_]+)=(\S+)\n", line) for line in lines]
        assert all(matches), lines
        yield process, dict(match.groups() for match in matches)


def client_of(variables):
    url = variables["E2B_API_URL"]
    return E2B(api_key=variables["E2B_API_KEY"], api_url=url, sandbox_url=variables["E2B_SANDBOX_URL"], retries=0)


def wait_gone(before):
    deadline = time.monotonic() + GONE_WITHIN_S
    while (left := swarm_processes() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_in_order_with_exit_code_0(number):
    before = swarm_processes()
    with serving() as (process, variables):
        sandbox = client_of(variables).Sandbox.create()
        handle = sandbox.commands.run("echo $HOME; sleep 600", background=True, timeout=0)
        home = next(out for out, _err, _pty in handle if out).strip()
        process.send_signal(number)
        out, _err = process.communicate(timeout=GONE_WITHIN_S)
        assert process.returncode == 0
        assert out == ""
    assert wait_gone(before) == set()
    assert not Path(home).exists()


def test_printed_lines_are_all_that_a_client_needs(tmp_path):
    with serving(E2B_SERVER_KEY="e2b_mine") as (_process, variables):
        assert variables == {
            "E2B_API_KEY": "e2b_mine",
            "E2B_API_URL": variables["E2B_API_URL"],
            "E2B_SANDBOX_URL": variables["E2B_API_URL"],
        }
        script = "from e2b import Sandbox; print(Sandbox.create().commands.run('echo hi').stdout)"
        result = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **variables}, text=True, capture_output=True, check=False
        )
    assert (result.stdout.strip(), result.stderr) == ("hi", "")


def test_key_is_a_new_one_each_time():
    keys = set()
    for _ in range(2):
        with serving() as (_process, variables):
            keys.add(variables["E2B_API_KEY"])
    assert len(keys) == 2


def test_tier_limits_the_sandboxes():
    with serving("--tier", "hobby") as (_process, variables):
        client = client_of(variables)
        client.Sandbox.create()
        with pytest.raises(e2b.RateLimitException):
            client.Sandbox.create()


def test_data_directory_is_used_and_emptied(tmp_path):
    with serving("--data-dir", str(tmp_path / "data")) as (process, variables):
        client_of(variables).Sandbox.create()
        assert list((tmp_path / "data").iterdir())
        process.terminate()
        assert process.wait(GONE_WITHIN_S) == 0
    assert list((tmp_path / "data").iterdir()) == []


def test_faults_are_reached_by_http():
    with serving() as (_process, variables):
        headers = {"X-API-KEY": variables["E2B_API_KEY"]}
        wish = {"where": "create", "fault": {"kind": "status", "status": 503}}
        assert httpx.post(f"{variables['E2B_API_URL']}/_emulator/faults", headers=headers, json=wish).status_code == 201
        with pytest.raises(e2b.ServiceBusyException):
            client_of(variables).Sandbox.create()


def test_port_that_is_taken_is_one_line_and_exit_code_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_command("e2b-server", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("e2b-swarm: the server did not start: cannot listen on 127.0.0.1")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--port", "70000"), ("--tier", "gold"), ("--port", "x")])
def test_impossible_request_is_exit_code_2(arguments):
    result = run_command("e2b-server", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""


def test_other_commands_do_not_pay_for_the_server():
    script = "import sys, orchestrator.cli; print([n for n in sys.modules if n.startswith('sandboxes.emulator')])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"
