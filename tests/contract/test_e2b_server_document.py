"""The examples of docs/E2B_SERVER.md run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.plugin_arguments import PLUGIN_ARGUMENTS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/E2B_SERVER.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("code", [code for code in EXAMPLES if "def test_" not in code])
def test_program_runs(code, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(code)
    result = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("hi\n", "")


@pytest.mark.parametrize("code", [code for code in EXAMPLES if "def test_" in code])
def test_tests_pass(code, tmp_path):
    (tmp_path / "test_example.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *PLUGIN_ARGUMENTS, "test_example.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in result.stdout, result.stdout + result.stderr


def test_there_are_examples_of_both_kinds():
    assert [("def test_" in code) for code in EXAMPLES] == [False, True, True]
