"""How faults are asked for: each form once, and each way to get it wrong answered in one line."""

import re
from pathlib import Path

import pytest

from orchestrator.chaos.grammar import ChaosError, FaultKind, WantedFault, parse_faults
from orchestrator.chaos.source import read_chaos
from orchestrator.simulation.faults import PRESETS, FaultPlan

FORMS = [
    pytest.param(
        "kill:agent-003@round=5", WantedFault(kind=FaultKind.KILL, targets=("agent-003",), round=5), id="round"
    ),
    pytest.param(
        "stop:leader@2s/1.5s",
        WantedFault(kind=FaultKind.STOP, targets=("leader",), after_ms=2000, lasts_ms=1500),
        id="stop",
    ),
    pytest.param(
        "stop:hub@0s", WantedFault(kind=FaultKind.STOP, targets=("hub",), after_ms=0), id="stop for good, at once"
    ),
    pytest.param(
        "cpu:random@3s/2min",
        WantedFault(kind=FaultKind.CPU, targets=("random",), after_ms=3000, lasts_ms=120_000),
        id="cpu",
    ),
    pytest.param(
        " memory : agent-002 @ 1s / 2GB / 3s ",
        WantedFault(kind=FaultKind.MEMORY, targets=("agent-002",), after_ms=1000, lasts_ms=3000, amount=2000),
        id="memory, with spaces",
    ),
    pytest.param(
        "drop:agent-001,agent-002@2s/1s",
        WantedFault(kind=FaultKind.DROP, targets=("agent-001", "agent-002"), after_ms=2000, lasts_ms=1000, amount=10),
        id="drop",
    ),
    pytest.param(
        "delay:hub>random@2s/1s/250ms",
        WantedFault(
            kind=FaultKind.DELAY,
            targets=("hub", "random"),
            is_one_way=True,
            after_ms=2000,
            lasts_ms=1000,
            amount=250,
        ),
        id="delay, one way",
    ),
    pytest.param(
        "partition:agent-001@500ms/1s",
        WantedFault(kind=FaultKind.PARTITION, targets=("agent-001",), after_ms=500, lasts_ms=1000),
        id="partition of all links",
    ),
]


@pytest.mark.parametrize(("text", "fault"), FORMS)
def test_fault_in_words_is_read(text, fault):
    assert parse_faults(text) == (fault,)


def test_several_faults_are_separated_by_semicolons():
    assert [fault.kind for fault in parse_faults("kill:hub@1s; vanish:random@2s;\nstop:spoke@3s;")] == [
        FaultKind.KILL,
        FaultKind.VANISH,
        FaultKind.STOP,
    ]


def test_every_fault_that_the_document_shows_is_one():
    document = (Path(__file__).resolve().parents[2] / "docs" / "CHAOS.md").read_text()
    shown = re.findall(r"^\| `([^`]+)`", document, re.MULTILINE)
    assert {fault.kind for text in shown for fault in parse_faults(text)} == set(FaultKind)


WRONG = [
    pytest.param("", "the chaos plan is empty", id="nothing"),
    pytest.param("kill the hub", "is not KIND:WHO@WHEN", id="prose"),
    pytest.param("maim:hub@1s", "there is no 'maim'; choose kill, stop", id="kind"),
    pytest.param("kill:@1s", "kill takes one agent or role", id="nobody"),
    pytest.param("kill:hub,spoke@1s", "kill takes one agent or role", id="two to kill"),
    pytest.param("drop:a,b,c@1s/1s", "drop takes one or two agents or roles", id="three ends of a link"),
    pytest.param("kill:hub@", "give round=N, or a time", id="never"),
    pytest.param("kill:hub@soon", "give round=N, or a time", id="soon"),
    pytest.param("kill:hub@2", "give round=N, or a time", id="no unit"),
    pytest.param("kill:hub@0.0001s", "give round=N, or a time", id="finer than a millisecond"),
    pytest.param("kill:hub@2h", "give round=N, or a time", id="unknown unit"),
    pytest.param("kill:hub@61min", "give round=N, or a time", id="too late"),
    pytest.param("kill:hub@round=0", "rounds are counted from 1", id="round 0"),
    pytest.param("kill:hub@round=x", "rounds are counted from 1", id="round x"),
    pytest.param("kill:hub@1s/1s", "for example kill:agent-003@round=5", id="killed for a second"),
    pytest.param("cpu:hub@1s", "amounts 'missing'; for example cpu:random@3s/2s", id="cpu for how long"),
    pytest.param("partition:hub@1s/0s", "for example partition:", id="no time at all"),
    pytest.param("memory:hub@1s/200", "for example memory:agent-002@1s/200MB", id="200 what"),
    pytest.param("drop:hub@1s/1s/150%", "for example drop:", id="more than all"),
    pytest.param("stop:hub@1s/1s/1s", "for example stop:", id="one amount too many"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_wrong_fault_is_answered_in_one_line(text, said):
    with pytest.raises(ChaosError) as failure:
        parse_faults(text)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)


def test_file_lists_faults(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('faults = [\n  "kill:hub@1s",  # the hub\n  "stop:spoke@2s; vanish:random@3s",\n]\n')
    assert len(read_chaos(str(path)).faults) == 3


def test_file_of_rates_and_presets_are_chance(tmp_path):
    path = tmp_path / "rates.toml"
    path.write_text("crashes_per_min = 2.5\n")
    assert read_chaos(str(path)).chance == FaultPlan(crashes_per_min=2.5)
    assert read_chaos("harsh").chance == PRESETS["harsh"]


WRONG_FILES = [
    pytest.param("faults = 1", "Expected `array`", id="no list"),
    pytest.param('faults = ["kill:hub"]', "is not KIND:WHO@WHEN", id="a wrong fault"),
    pytest.param('faults = []\ncolour = "red"', "unknown field `colour`", id="a key beside"),
    pytest.param("crashes = 1", "unknown field `crashes`", id="an unknown rate"),
    pytest.param("drop = 1.5", "between 0 and 1", id="a rate out of bounds"),
    pytest.param("faults = [", "is not TOML", id="no TOML"),
]


@pytest.mark.parametrize(("text", "said"), WRONG_FILES)
def test_wrong_file_is_answered_in_one_line_with_its_name(tmp_path, text, said):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ChaosError) as failure:
        read_chaos(str(path))
    assert said in str(failure.value)
    assert str(path) in str(failure.value)


def test_plan_may_be_longer_than_any_file_name():
    assert len(read_chaos("; ".join(["kill:random@1s"] * 500)).faults) == 500


def test_what_is_neither_file_nor_preset_nor_fault_is_told_so():
    with pytest.raises(ChaosError, match=r"'gone.toml' is no file, none of none, default, harsh, and no KIND:WHO@WHEN"):
        read_chaos("gone.toml")
