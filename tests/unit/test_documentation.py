"""What the documents show is tried: strategies in them load and run."""

import re
from pathlib import Path

import pytest

from strategies import Bar, Signal, run_strategy
from strategies.file import inspect_source, load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    pytest.param(document, code, id=f"{document} {number}")
    for document in ("README.md", "docs/STRATEGIES.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL), 1)
    if "(Strategy)" in code
]


@pytest.mark.parametrize(("document", "code"), EXAMPLES)
def test_strategy_in_a_document_loads_and_gives_signals(document, code, tmp_path):
    path = tmp_path / "example.py"
    path.write_text(code)
    assert inspect_source(code, document).lookback is not None
    bars = [Bar(f"2020-01-{day:02}", 10.0 + day, 11.0 + day, 9.0 + day, 10.9 + day, 1.0) for day in range(1, 31)] * 2
    assert isinstance(run_strategy(load(path), bars), Signal)


def test_both_documents_show_a_strategy():
    assert len(EXAMPLES) >= 2
