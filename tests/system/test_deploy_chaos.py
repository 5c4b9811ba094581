"""`e2b-swarm deploy --chaos` from outside: real processes die on purpose, and what is asked wrongly starts nothing."""

import json

import pytest

from orchestrator.cli import run
from tests.system.conftest import run_command

pytestmark = pytest.mark.processes

STAR = ("deploy", "--topology", "star", "--ticks", "50", "--pace", "0.05")


def test_killed_and_stopped_agents_are_replaced_and_told_of(no_leftovers):
    done = run_command(*STAR, "--chaos", "kill:hub@round=5; stop:spoke@1s", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["tasks"]["lost"], summary["tasks"]["duplicated"], summary["sandboxes"]["left"]) == (0, 0, 0)
    assert {failover["fault"] for failover in summary["failovers"]} >= {"kill:hub@round=5", "stop:spoke@1s"}
    assert set(summary["failovers"][0]) == {"agent", "fault", "detected_ms", "repaired_ms"}
    assert len(summary["chaos"]["injected"]) == 2


def test_people_read_who_died_and_how_soon_that_was_mended(no_leftovers):
    done = run_command(*STAR, "--chaos", "kill:agent-003@100ms; cpu:random@200ms/300ms; kill:hub@10min")
    assert done.returncode == 0, done.stderr
    assert "2 on purpose, 0 failed, 1 came too late" in done.stdout
    assert "agent-003 (kill:agent-003@100ms): found out in" in done.stdout


def test_plan_comes_from_a_file_and_from_a_spec(tmp_path, no_leftovers):
    plan = tmp_path / "plan.toml"
    plan.write_text('faults = ["kill:hub@100ms"]\n')
    spec = tmp_path / "swarm.toml"
    spec.write_text(f'topology = "star"\nmode = "mock"\npace = 0.05\nticks = 20\nchaos = "{plan}"\n')
    summary = json.loads(run_command("deploy", "--spec", str(spec), "--json").stdout)
    assert [failover["agent"] for failover in summary["failovers"]] == ["agent-001"]


WRONG = [
    pytest.param(["--chaos", "kill:hub"], "is not KIND:WHO@WHEN", id="no time"),
    pytest.param(["--chaos", "maim:hub@1s"], "there is no 'maim'", id="kind"),
    pytest.param(["--chaos", "kill:stage@1s"], "no stage in this star; choose hub, spoke, root, deputy", id="role"),
    pytest.param(["--chaos", "kill:hub@round=51"], "there are only 50 rounds", id="round"),
    pytest.param(["--chaos", "gone.toml"], "is no file", id="file"),
    pytest.param(["--chaos", ""], "the chaos plan is empty", id="empty"),
    pytest.param(["--chaos", "harsh"], "chaos by chance is for --mode mock", id="chance of real processes"),
    pytest.param(
        ["--mode", "mock", "--chaos", "memory:hub@1s/1MB"], "needs real processes", id="memory of simulated processes"
    ),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_wrong_plan_is_one_line_exit_code_2_and_nothing_started(arguments, said, capsys, no_leftovers):
    assert run([*STAR, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_help_teaches_the_words(capsys):
    assert run(["deploy", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--chaos" in out
    assert "KIND:WHO@WHEN" in out
    assert "kill:hub@round=50" in out
