"""The conformance runner: what it counts, what it says of a file it cannot use, how it exits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
VECTORS = TESTS / "vectors"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TESTS / "conformance.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def report(directory: Path) -> tuple[int, dict]:
    done = run(directory, "--json")
    return done.returncode, {file["file"]: file for file in json.loads(done.stdout)["files"]}


def test_our_own_vectors_all_pass():
    code, files = report(VECTORS)
    assert code == 0
    assert files.keys() == {path.name for path in VECTORS.glob("*.json")}
    assert all(file["passed"] > 0 and not file["failed"] and not file["unknown_sections"] for file in files.values())


def test_a_wrong_expectation_fails_with_what_was_got(tmp_path):
    case = {"replicas": 4, "weight": 50, "max_weight": 100, "max_surge": 0, "expected_canary": 3, "expected_stable": 1}
    (tmp_path / "wrong.json").write_text(json.dumps({"weight_approximation": [case]}))
    code, files = report(tmp_path)
    assert code == 1
    assert files["wrong.json"]["failed"] == [
        {
            "section": "weight_approximation",
            "case": "1",
            "message": "canary: expected 3, got 2; stable: expected 1, got 2",
        }
    ]


def test_a_case_that_lacks_a_field_has_failed(tmp_path):
    (tmp_path / "short.json").write_text('{"abort_weight": [{"name": "nothing in it"}]}')
    code, files = report(tmp_path)
    assert code == 1
    assert "KeyError" in files["short.json"]["failed"][0]["message"]


def test_an_unknown_file_is_listed_and_harms_nothing(tmp_path):
    shutil.copy(VECTORS / "own_argo.json", tmp_path)
    (tmp_path / "other.json").write_text('{"steps": [1]}')
    (tmp_path / "list.json").write_text("[1]")
    code, files = report(tmp_path)
    assert code == 0
    assert (files["other.json"]["status"], files["list.json"]["status"]) == ("unknown", "unknown")


def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    code, files = report(tmp_path)
    assert code == 1
    assert files["broken.json"]["status"] == "unreadable"
    assert "JSONDecodeError" in files["broken.json"]["message"]


def test_text_names_each_file_and_each_failure(tmp_path):
    (tmp_path / "short.json").write_text('{"abort_weight": [{"name": "nothing in it"}], "novel": []}')
    done = run(tmp_path)
    assert "short.json: 0 passed, 1 failed" in done.stdout
    assert "FAILED abort_weight 1: nothing in it" in done.stdout
    assert "unknown sections: novel" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["nowhere"]], ids=["no directory", "not a directory"])
def test_called_wrongly_it_exits_with_2(arguments):
    assert run(*arguments).returncode == 2


def test_a_directory_without_vectors_exits_with_2(tmp_path):
    assert run(tmp_path).returncode == 2
