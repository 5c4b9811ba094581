"""`e2b-swarm doctor` from outside: what it says, what it never says, and its exit code."""

import json

import pytest

from tests.system.conftest import run_command

pytestmark = pytest.mark.processes


def test_doctor_says_that_local_mode_can_run_here():
    result = run_command("doctor")
    assert result.returncode == 0, result.stderr
    assert "local mode can run" in result.stdout
    assert "E2B_API_KEY" in result.stdout


def test_doctor_never_prints_the_key():
    result = run_command("doctor", "--json", E2B_API_KEY="e2b_very_secret")
    assert "very_secret" not in result.stdout + result.stderr
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert findings["E2B_API_KEY"]["ok"]
    assert not findings["enforced: egressProxy"]["ok"]


def test_doctor_says_of_each_part_of_isolation_whether_it_is_there_and_why():
    findings = {f["name"]: f for f in json.loads(run_command("doctor", "--json").stdout)["findings"]}
    parts = ("user namespaces", "mount namespaces", "process namespaces", "network namespaces")
    for name in (*parts, "connection filter (seccomp)", "process limits (rlimits)", "loopback 127.64.x.y"):
        assert findings[name]["detail"], name
    assert findings["enforced: allowInternetAccess"]["ok"] == findings["network namespaces"]["ok"]
    for name in ("enforced: allowOut", "enforced: denyOut"):
        assert findings[name]["ok"] == findings["connection filter (seccomp)"]["ok"]
