"""One suite, three modes: `--mode` says where the swarms of `tests/patterns` run. No test asks which mode it is in."""

import os

import pytest

MODES = ("mock", "local", "live")


def pytest_addoption(parser):
    parser.addoption("--mode", choices=MODES, default="mock", help="where swarms run: mock (default), local or live")


def pytest_report_header(config):
    return f"swarm mode: {config.getoption('--mode')}"


def pytest_collection_modifyitems(config, items):
    """Leave out real processes in mock mode, and in live mode everything but the patterns (they cost money)."""
    mode = config.getoption("--mode")
    kept, left_out = [], []
    for item in items:
        is_pattern = item.path.parent.name == "patterns"
        wants_processes = item.get_closest_marker("processes") is not None
        is_wanted = is_pattern or (not wants_processes if mode == "mock" else mode == "local")
        (kept if is_wanted else left_out).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
    if mode == "live" and not os.environ.get("E2B_API_KEY"):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="live mode needs E2B_API_KEY"))


@pytest.fixture(scope="session")
def mode(request):
    return request.config.getoption("--mode")
