"""The formats of conformance vectors: for each section of a file, how to check one of its cases.

A check returns what is wrong with a case, or None. The expectations are the rules of Kubernetes' autoscaler, of
Argo Rollouts and of Kayenta; what is checked against them is `scaling`.
"""

from collections.abc import Callable
from typing import Any

Case = dict[str, Any]
Check = Callable[[Case, Case], str | None]
"""From a case and the whole file to what is wrong, or None."""


def differing(expected: Case, found: Case) -> str | None:
    """Name the fields that differ; fields expected to be None are not looked at."""
    wrong = [
        f"{name}: expected {value!r}, got {found[name]!r}"
        for name, value in expected.items()
        if value is not None and value != found[name]
    ]
    return "; ".join(wrong) or None
