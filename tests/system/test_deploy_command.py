"""`e2b-swarm deploy` from outside: what it prints, what it answers to bad input, and that nothing stays."""

import json

import pytest

from orchestrator.cli import run
from tests.system.conftest import run_command

pytestmark = pytest.mark.processes

SHORT = ("deploy", "--topology", "mesh", "--ticks", "5", "--json")


def test_json_is_one_object_on_stdout_and_logs_are_on_stderr(no_leftovers):
    done = run_command(*SHORT)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert "starting 5 agents" in done.stderr
    wanted = "swarm mode topology agents seed ready_s wall_s ticks rounds decisions trades pnl latency_ms throughput "
    wanted += "success_rate edges tasks per_agent sandboxes cost_usd"
    assert set(wanted.split()) <= set(summary)
    assert set(summary["edges"][0]) >= {"from", "to", "messages", "bytes", "rtt_ms_p50"}
    assert set(summary["latency_ms"]) == {"p50", "p95", "p99", "max"}


def test_every_agent_is_a_process_of_its_own(no_leftovers):
    agents = json.loads(run_command(*SHORT).stdout)["per_agent"]
    assert len({agent["pid"] for agent in agents}) == 5
    assert all(agent["rss_mb"] > 0 for agent in agents)


def test_people_read_a_summary_that_says_it_was_a_replay(no_leftovers):
    done = run_command("deploy", "--topology", "ring", "--ticks", "5")
    assert done.returncode == 0, done.stderr
    assert "replay of AAPL, GOOG, IBM, MSFT daily bars" in done.stdout
    assert "0 lost, 0 duplicated" in done.stdout
    assert "5 created, 5 killed, 0 left" in done.stdout


def test_user_strategy_runs_in_every_sandbox_and_its_hash_is_recorded(tmp_path, no_leftovers):
    path = tmp_path / "always_long.py"
    path.write_text(
        "from strategies import Signal, Strategy\n\n"
        "class AlwaysLong(Strategy):\n    lookback = 1\n\n"
        "    def signal(self, bars):\n        return Signal(1.0, 1.0)\n"
    )
    done = run_command(*SHORT, "--strategy", str(path))
    summary = json.loads(done.stdout)
    assert summary["trades"] == 4  # each symbol is bought once, and held
    assert [strategy["name"] for strategy in summary["strategies"]] == ["always_long"]
    assert len(summary["strategies"][0]["sha256"]) == 64


def test_strategy_that_fails_costs_its_tasks_and_not_the_swarm(tmp_path, no_leftovers):
    path = tmp_path / "broken.py"
    path.write_text(
        "from strategies import Signal, Strategy\n\n"
        "class Broken(Strategy):\n    lookback = 1\n\n"
        "    def signal(self, bars):\n        raise Exception('out of ideas')\n"
    )
    summary = json.loads(run_command(*SHORT, "--strategy", str(path)).stdout)
    assert summary["tasks"]["failed"] == summary["tasks"]["assigned"]
    assert (summary["tasks"]["lost"], summary["trades"], summary["success_rate"]) == (0, 0, 1.0)


def test_strategy_that_cannot_be_loaded_stops_the_swarm_with_its_reason(tmp_path, no_leftovers):
    path = tmp_path / "imports.py"
    path.write_text(
        "import no_such_module\nfrom strategies import Signal, Strategy\n\n"
        "class Imports(Strategy):\n    lookback = 1\n\n"
        "    def signal(self, bars):\n        return Signal(0.0, 0.0)\n"
    )
    done = run_command(*SHORT, "--strategy", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "No module named 'no_such_module'" in done.stderr


def test_spec_file_and_flags_join_and_a_flag_wins(tmp_path, no_leftovers):
    spec = tmp_path / "swarm.toml"
    spec.write_text('topology = "star"\nagents = 3\nticks = 4\nmode = "mock"\nstrategy = "mean_reversion"\n')
    summary = json.loads(run_command("deploy", "--spec", str(spec), "--agents", "4", "--json").stdout)
    assert (summary["topology"], summary["agents"], summary["ticks"], summary["mode"]) == ("star", 4, 4, "mock")


def test_pace_sets_the_time_from_tick_to_tick(no_leftovers):
    summary = json.loads(run_command(*SHORT, "--mode", "mock", "--pace", "60").stdout)
    assert summary["wall_s"] > 4 * 60


BAD = [
    pytest.param(["--topology", "torus"], "unknown topology 'torus'", id="unknown topology"),
    pytest.param([], "no topology was given", id="no topology"),
    pytest.param(["--topology", "mesh", "--strategy", "astrology"], "unknown strategy 'astrology'", id="strategy"),
    pytest.param(["--topology", "mesh", "--strategy", "gone.py"], "there is no such file", id="strategy file"),
    pytest.param(["--topology", "mesh", "--agents", "1"], "from 2 to 200", id="too few agents"),
    pytest.param(["--topology", "mesh", "--agents", "100000"], "from 2 to 200", id="too many agents"),
    pytest.param(["--topology", "mesh", "--agents", "few"], "agents is 'few'", id="agents no number"),
    pytest.param(["--topology", "mesh", "--symbols", "AAPL,NOPE"], "no prices of 'NOPE'", id="symbol"),
    pytest.param(["--topology", "mesh", "--ticks", "100000"], "ask for at most", id="too many ticks"),
    pytest.param(["--topology", "mesh", "--data", "gone.csv"], "there is no such file", id="data file"),
    pytest.param(["--topology", "mesh", "--mode", "live"], "E2B_API_KEY is not set", id="live without a key"),
    pytest.param(["--topology", "mesh", "--mode", "dead"], "unknown mode 'dead'", id="unknown mode"),
    pytest.param(["--topology", "mesh", "--colour"], "No such option: --colour", id="unknown flag"),
    pytest.param(["--spec", "gone.toml"], "does not exist", id="spec file"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_one_line_exit_code_2_and_nothing_started(arguments, said, capsys, monkeypatch, no_leftovers):
    monkeypatch.delenv("E2B_API_KEY", raising=False)
    assert run(["deploy", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert err.startswith("e2b-swarm: ")


def test_spec_with_an_unknown_key_is_refused_by_its_name(tmp_path, capsys):
    spec = tmp_path / "swarm.toml"
    spec.write_text('topology = "ring"\nagentz = 4\n')
    assert run(["deploy", "--spec", str(spec)]) == 2
    assert "unknown key 'agentz'" in capsys.readouterr().err


def test_help_teaches_with_examples(capsys):
    assert run(["deploy", "--help"]) == 0
    out = capsys.readouterr().out
    assert "e2b-swarm deploy --topology mesh" in out
    assert all(flag in out for flag in ("--topology", "--agents", "--strategy", "--spec", "--json", "--pace"))
