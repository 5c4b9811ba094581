"""The pytest plugin in test runs of their own: both kinds of tests, clean-up between them, nothing at import."""

import subprocess
import sys

import pytest

from tests.contract.plugin_arguments import PLUGIN_ARGUMENTS, PLUGIN_MODULE

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

HEAVY = ("aiohttp", "anyio", "e2b", "msgspec", "sandboxes.emulator", "uvloop")


@pytest.fixture
def run(pytester):
    """Return a function that runs tests in a process of its own, as a user of the plugin would."""

    def run_tests(source):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-q", "-W", "error", *PLUGIN_ARGUMENTS)

    return run_tests


def test_synchronous_and_async_tests_share_a_server(run):
    result = run(
        """
        import anyio
        import pytest

        def test_synchronous(e2b_client):
            sandbox = e2b_client.Sandbox.create()
            assert sandbox.commands.run("echo hi").stdout == "hi\\n"

        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        @pytest.mark.anyio
        async def test_async(e2b_client):
            sandbox = await e2b_client.AsyncSandbox.create()
            assert (await sandbox.commands.run("echo hi")).stdout == "hi\\n"

        def test_loop_of_its_own(e2b_client):
            async def use():
                sandbox = await e2b_client.AsyncSandbox.create()
                return (await sandbox.commands.run("echo hi")).stdout
            assert anyio.run(use) == "hi\\n"
        """
    )
    result.assert_outcomes(passed=3)


def test_each_test_begins_with_nothing(run):
    result = run(
        """
        import pytest
        from sandboxes.emulator.faults.plan import Refusal

        URLS = set()
        PATHS = set()

        @pytest.mark.parametrize("turn", range(3))
        def test_turn(e2b_client, e2b_server, turn):
            assert e2b_client.Sandbox.list().next_items() == []
            sandbox = e2b_client.Sandbox.create(idempotency_key="the-same")
            handle = sandbox.commands.run("echo $HOME; sleep 600", background=True, timeout=0)
            e2b_server.faults.add("create", Refusal(status=500))
            with pytest.raises(Exception):
                e2b_client.Sandbox.create()
            assert e2b_server.faults.injected == {"status": 1}
            URLS.add(e2b_server.url)
            assert len(URLS) == 1
        """
    )
    result.assert_outcomes(passed=3)


def test_command_outlives_other_threads_of_the_test(run):
    result = run(
        """
        import threading
        import time

        def test_command(e2b_client):
            started = []
            def start():
                sandbox = e2b_client.Sandbox.create()
                started.append((sandbox, sandbox.commands.run("sleep 600", background=True, timeout=0)))
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
            [(sandbox, handle)] = started
            time.sleep(0.3)
            assert [process.pid for process in sandbox.commands.list()] == [handle.pid]
            sandbox.kill()
        """
    )
    result.assert_outcomes(passed=1)


def test_program_of_its_own_finds_the_server_by_its_environment(run):
    result = run(
        """
        import os
        import subprocess
        import sys

        PROGRAM = "from e2b import Sandbox; print(Sandbox.create().commands.run('echo hi').stdout)"

        def test_program(e2b_server):
            environment = {**os.environ, **e2b_server.env()}
            assert set(e2b_server.env()) == {"E2B_API_KEY", "E2B_API_URL", "E2B_SANDBOX_URL"}
            assert subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True).strip() == "hi"
        """
    )
    result.assert_outcomes(passed=1)


def test_options_of_the_server_are_overridden_by_a_fixture(run):
    result = run(
        """
        import pytest
        from e2b import RateLimitException
        from sandboxes.emulator.control.limits import Tier

        @pytest.fixture(scope="session")
        def e2b_server_options():
            return {"tier": Tier(sandboxes_max=1)}

        def test_limit(e2b_client):
            e2b_client.Sandbox.create()
            with pytest.raises(RateLimitException):
                e2b_client.Sandbox.create(retries=0)
        """
    )
    result.assert_outcomes(passed=1)


def test_loading_the_plugin_imports_nothing_heavy():
    program = f"import sys, {PLUGIN_MODULE}; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
