"""The server against several versions of E2B's SDK, as they are: Python of one year, and JavaScript.

Versions up to 2.50 create by `/sandboxes`, later ones by `/v2/sandboxes`. Each old version is installed alone into a
directory that goes before the environment's own packages: its dependencies have the same ranges as the newest one's,
but for `dockerfile-parse`. Directories live in pytest's cache, so that only a first run installs; without a network
such a test is skipped, and says so.
"""

import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from tests.contract.conftest import API_KEY

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

SCRIPTS = Path(__file__).parent / "sdk_scripts"
OLD_VERSIONS = ["2.46.4", "2.50.0", "2.51.0", "2.55.1"]
OLD_DEPENDENCY = "dockerfile-parse==2.0.1"
NODE_PACKAGES = ["e2b@2.51.0", "@e2b/code-interpreter@2.8.0"]
INSTALL_DEADLINE_S = 120
SCRIPT_DEADLINE_S = 30


class InstallError(Exception):
    """A package manager could not do it, and why."""


def run_installer(command, directory):
    """Run a package manager in a directory of its own. Raises `InstallError`."""
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S)
    except FileNotFoundError:
        raise InstallError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"{command[0]} took over {INSTALL_DEADLINE_S} s") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no reason given").splitlines()[-1]
        raise InstallError(f"{command[0]} failed: {last}") from None


def install_once(directory, command):
    """Fill a directory by a package manager, unless that was done before; another test run may do the same now."""
    if directory.exists():
        return
    made = directory.with_name(f"{directory.name}-{secrets.token_hex(4)}")
    made.mkdir(parents=True)
    try:
        run_installer(command, made)
        made.rename(directory)
    except OSError:  # the other run was faster
        assert directory.exists()
    finally:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def old_versions(request):
    """Install all old versions at once, and return for each its directory or why there is none."""
    cache = request.config.cache.mkdir("e2b-sdk")

    def install(version):
        directory = cache / f"python-{version}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target", "."]
        try:
            install_once(directory, [*pip, f"e2b=={version}", OLD_DEPENDENCY])
        except InstallError as error:
            return str(error)
        return directory

    with ThreadPoolExecutor() as threads:
        return dict(zip(OLD_VERSIONS, threads.map(install, OLD_VERSIONS), strict=True))


@pytest.fixture(scope="session")
def node_modules(request):
    """Install the JavaScript SDK, and return its directory."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    directory = request.config.cache.mkdir("e2b-sdk") / "-".join(["node", *NODE_PACKAGES]).replace("/", "-")
    options = ["--prefix", ".", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        install_once(directory, ["npm", "install", *options, *NODE_PACKAGES])
    except InstallError as error:
        pytest.skip(f"the JavaScript SDK is not here: {error}")
    return directory


@pytest.fixture
def run_script(emulator):
    """Return a function that runs a script against the server and returns what it printed."""
    variables = {"E2B_API_KEY": API_KEY, "E2B_API_URL": emulator.url, "E2B_SANDBOX_URL": emulator.url}

    async def run(*command, **environment):
        with anyio.fail_after(SCRIPT_DEADLINE_S):
            result = await anyio.run_process(
                command, check=False, env={**os.environ, **variables, **environment}, stderr=subprocess.STDOUT
            )
        output = result.stdout.decode()
        assert result.returncode == 0, output
        return output

    return run


@pytest.mark.parametrize("version", OLD_VERSIONS)
async def test_old_python_sdk(old_versions, run_script, version):
    directory = old_versions[version]
    if isinstance(directory, str):
        pytest.skip(f"SDK {version} is not here: {directory}")
    output = await run_script(sys.executable, str(SCRIPTS / "basics.py"), PYTHONPATH=str(directory))
    assert output == f"done with {version}\n"


async def test_python_sdk_of_this_environment(run_script):
    assert (await run_script(sys.executable, str(SCRIPTS / "basics.py"))).startswith("done with 2.")


async def test_javascript_sdk(node_modules, run_script):
    assert await run_script("node", str(install_script(node_modules, "basics.mjs"))) == "done\n"


@pytest.mark.skipif(importlib.util.find_spec("ipykernel") is None, reason="run_code needs ipykernel")
async def test_javascript_code_interpreter(node_modules, run_script):
    assert await run_script("node", str(install_script(node_modules, "run_code.mjs"))) == "done\n"


def install_script(directory, name):
    """Put a script beside its modules, which is where node looks for them."""
    return shutil.copy(SCRIPTS / name, directory / name)
