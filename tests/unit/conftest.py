"""Virtual time for async tests: what sleeps costs nothing, and a test that waits for ever is told so."""

from functools import partial

import anyio
import pytest
from worker_yard import a_yard

from sandboxes.virtual_time import VirtualTimeLoop

PATIENCE_S = 3600.0  # virtual


@pytest.fixture(scope="session")
def run_virtual():
    """Return a way to run an async function in virtual time; it fails after an hour of it."""

    async def patiently(main):
        with anyio.fail_after(PATIENCE_S):
            return await main()

    def run(main, *arguments):
        backend_options = {"loop_factory": VirtualTimeLoop}
        return anyio.run(patiently, partial(main, *arguments), backend_options=backend_options)

    return run


@pytest.fixture
def run_worker(run_virtual, tmp_path):
    """Run an async function with one anonymous worker, a control connection to it, and its endpoint."""

    def run(use):
        async def main():
            async with a_yard(tmp_path) as yard:
                worker, endpoint, _ = yard.start("hub")
                return await use(worker, await yard.control(endpoint), endpoint, yard)

        return run_virtual(main)

    return run
