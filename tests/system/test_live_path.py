"""Live mode without an account: the same code against an E2B-compatible server given by its URL and key.

No E2B key exists where this project is built; that live and local differ in the account alone is what this shows.
"""

import json
import os
import subprocess
import sys

import msgspec
import pytest

from tests.system.conftest import run_command

pytestmark = pytest.mark.processes

KEY = "e2b_0123456789abcdef"


class Listening(msgspec.Struct):
    url: str
    pid: int


@pytest.fixture(scope="module")
def server_url():
    process = subprocess.Popen(
        [sys.executable, "-m", "sandboxes.emulator", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "E2B_API_KEY": KEY},
    )
    yield msgspec.json.decode(process.stdout.readline(), type=Listening).url
    process.communicate(timeout=10)


def live(server_url, *arguments, key=KEY):
    return run_command(
        "deploy", "--topology", "ring", "--mode", "live", "--agents", "3", "--ticks", "5", "--json", *arguments,
        E2B_API_KEY=key, E2B_API_URL=server_url, E2B_SANDBOX_URL=server_url,
    )  # fmt: skip


@pytest.fixture
def fast_account(tmp_path):
    spec = tmp_path / "account.toml"
    spec.write_text("account_creates_per_s = 100\n")
    return ("--spec", str(spec))


def test_live_mode_runs_over_the_sdk_against_any_server_that_speaks_e2b(server_url, fast_account):
    done = live(server_url, *fast_account)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["mode"], summary["success_rate"], summary["cost_is_estimate"]) == ("live", 1.0, False)
    assert summary["sandboxes"] == {"created": 3, "killed": 3, "left": 0}


def test_live_decides_what_mock_decides(server_url, fast_account):
    in_mock = run_command("deploy", "--topology", "ring", "--mode", "mock", "--agents", "3", "--ticks", "5", "--json")
    decided = json.loads(live(server_url, *fast_account).stdout)["decisions_hash"]
    assert decided == json.loads(in_mock.stdout)["decisions_hash"]


def test_wrong_key_is_one_line_and_nothing_is_started(server_url):
    done = live(server_url, key="e2b_wrong")
    assert (done.returncode, done.stdout) == (2, "")
    assert "E2B refused the API key" in done.stderr.splitlines()[-1]


def test_more_agents_than_the_account_gives_are_refused_before_anything_starts(server_url):
    done = live(server_url, "--agents", "21")
    assert (done.returncode, done.stdout) == (2, "")
    assert "asked for 21 sandboxes, this account gives 20" in done.stderr.splitlines()[-1]


def test_creations_keep_to_the_account_s_rate(server_url):
    summary = json.loads(live(server_url).stdout)
    assert summary["ready_s"] > 2.0  # three sandboxes at one a second: the third is asked for after two seconds
