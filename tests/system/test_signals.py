"""Ctrl-C and SIGTERM at any moment: all workers and sandboxes gone within 2 s, and the exit code says why."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.system.conftest import started, swarm_processes

pytestmark = pytest.mark.processes

GONE_WITHIN_S = 2.0
ARGUMENTS = ("deploy", "--agents", "8", "--pace", "0.05", "--json", "--topology")
# From the first moment a signal handler can exist until well into trading.
MOMENTS_S = [0.15, 0.4, 0.7, 1.0, 1.3, 1.8, 2.5]
TOPOLOGIES = ["mesh", "hierarchical", "ring", "star"]


def wait_gone(before: set[int], deadline: float) -> set[int]:
    left = swarm_processes() - before
    while left and time.monotonic() < deadline:
        os.sched_yield()
        left = swarm_processes() - before
    return left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment_s", MOMENTS_S)
def test_signal_ends_everything_in_order(number, moment_s):
    topology = random.Random(f"{number}/{moment_s}").choice(TOPOLOGIES)
    before = swarm_processes()
    with started(*ARGUMENTS, topology) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(moment_s)  # the moment is the point: no condition to wait for
        process.send_signal(number)
        deadline = time.monotonic() + GONE_WITHIN_S
        assert process.wait(GONE_WITHIN_S) == 128 + number
        assert wait_gone(before, deadline) == set()


def test_two_signals_are_one():
    before = swarm_processes()
    with started(*ARGUMENTS, "mesh") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
        assert process.wait(GONE_WITHIN_S) == 130
        assert wait_gone(before, time.monotonic() + GONE_WITHIN_S) == set()


def test_command_that_is_killed_outright_leaves_nothing():
    before = swarm_processes()
    with started(*ARGUMENTS, "mesh") as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.0)
        assert swarm_processes() - before
        process.kill()
        assert wait_gone(before, time.monotonic() + GONE_WITHIN_S) == set()
