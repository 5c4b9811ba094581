"""Nothing is left behind: by a killed sandbox, by a stopped server, by a server that was killed itself."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import pytest

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

# A command in its own session that ignores SIGTERM, and whose child has left the session and lost its parent.
STUBBORN = """
trap '' TERM HUP
setsid sleep 600 > /dev/null 2>&1 &
(setsid bash -c 'setsid sleep 601 & echo $! > orphan' > /dev/null 2>&1 &)
echo $! > child
while true; do sleep 600; done
"""


async def start_stubborn(sandbox, eventually, find_pid):
    """Start a command that does not want to die; return its process and its descendants."""
    handle = await sandbox.commands.run(STUBBORN, background=True, timeout=0, retain_output=False)
    numbers = [handle.pid, *[await read_pid(sandbox, name, eventually) for name in ("child", "orphan")]]
    return [find_pid(sandbox, number) for number in numbers]


async def read_pid(sandbox, path, eventually):
    """Wait until a command has written a process number and its line end, and return the number."""

    async def is_written():
        return await sandbox.files.exists(path) and (await sandbox.files.read(path)).endswith("\n")

    await eventually(is_written)
    return int(await sandbox.files.read(path))


def find_root(sandbox):
    """Return the directory of a sandbox's files."""
    [root] = Path(tempfile.gettempdir()).glob(f"e2b-emulator-*/{sandbox.sandbox_id}")
    return root


async def test_kill_takes_grandchildren_in_other_sessions(sandbox, eventually, is_alive, find_pid):
    pids = await start_stubborn(sandbox, eventually, find_pid)
    assert all(is_alive(pid) for pid in pids)
    await sandbox.kill()
    assert not any(is_alive(pid) for pid in pids)


async def test_kill_spares_other_sandboxes(client, sandbox, eventually, is_alive, find_pid):
    other = await client.AsyncSandbox.create()
    pids = await start_stubborn(other, eventually, find_pid)
    await sandbox.kill()
    assert all(is_alive(pid) for pid in pids)
    assert await other.is_running()


async def test_kill_takes_descendants_that_wiped_their_environment(sandbox, eventually, is_alive, find_pid):
    command = "env -i setsid sleep 600 & echo $! > pid; wait"
    await sandbox.commands.run(command, background=True, timeout=0)
    pid = find_pid(sandbox, await read_pid(sandbox, "pid", eventually))
    assert is_alive(pid)
    await sandbox.kill()
    assert not is_alive(pid)


async def test_kill_removes_the_files(sandbox):
    root = find_root(sandbox)
    await sandbox.commands.run("touch file")
    assert (root / "home/user/file").exists()
    await sandbox.kill()
    assert not root.exists()


async def test_expiry_takes_processes_and_files(sandbox, eventually, is_alive, find_pid):
    pids = await start_stubborn(sandbox, eventually, find_pid)
    await sandbox.set_timeout(0)
    await eventually(lambda: not any(is_alive(pid) for pid in pids))


async def test_stopped_server_leaves_no_process_and_no_directory(connect_to, eventually, is_alive, find_pid):
    async with EmulatorServer("k") as server:
        client = connect_to(server.url, "k")
        sandboxes = [await client.AsyncSandbox.create() for _ in range(3)]
        pids = [pid for sandbox in sandboxes for pid in await start_stubborn(sandbox, eventually, find_pid)]
        data_dir = find_root(sandboxes[0]).parent
        started = anyio.current_time()
    assert anyio.current_time() - started < 1
    assert not any(is_alive(pid) for pid in pids)
    assert not data_dir.exists()
    assert not children()


async def test_stopped_server_keeps_a_directory_that_it_was_given(connect_to, tmp_path):
    async with EmulatorServer("k", data_dir=tmp_path / "data") as server:
        sandbox = await connect_to(server.url, "k").AsyncSandbox.create()
        assert (tmp_path / "data" / sandbox.sandbox_id).is_dir()
    assert list((tmp_path / "data").iterdir()) == []


async def test_cancelled_server_cleans_up_too(connect_to, eventually, is_alive, find_pid):
    pids = []
    async with anyio.create_task_group() as tasks:

        async def serve():
            async with EmulatorServer("k") as server:
                sandbox = await connect_to(server.url, "k").AsyncSandbox.create()
                pids.extend(await start_stubborn(sandbox, eventually, find_pid))
                await anyio.sleep_forever()

        tasks.start_soon(serve)
        await eventually(lambda: len(pids) == 3)
        tasks.cancel_scope.cancel()
    assert not any(is_alive(pid) for pid in pids)


def start_program(*arguments, **variables):
    environment = {**os.environ, "E2B_API_KEY": "k", **variables}
    program = subprocess.Popen(
        [sys.executable, "-m", "sandboxes.emulator", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    return program, json.loads(program.stdout.readline())


def finish(program):
    program.stdin.close()
    program.stdout.close()
    return program.wait(timeout=5)


async def test_program_prints_its_address_and_stops_on_sigterm(connect_to, eventually, is_alive, find_pid):
    program, ready = start_program()
    assert ready["pid"] == program.pid
    sandbox = await connect_to(ready["url"], "k").AsyncSandbox.create()
    pids = await start_stubborn(sandbox, eventually, find_pid)
    program.send_signal(signal.SIGTERM)
    assert program.wait(timeout=5) == 0
    assert finish(program) == 0
    assert not any(is_alive(pid) for pid in pids)


async def test_program_stops_when_its_standard_input_closes(connect_to, eventually, is_alive, find_pid):
    program, ready = start_program("--until-stdin-closes")
    sandbox = await connect_to(ready["url"], "k").AsyncSandbox.create()
    pids = await start_stubborn(sandbox, eventually, find_pid)
    assert finish(program) == 0
    assert not any(is_alive(pid) for pid in pids)


async def test_killed_program_leaves_no_process_and_no_directory(connect_to, eventually, is_alive, find_pid):
    program, ready = start_program()
    sandbox = await connect_to(ready["url"], "k").AsyncSandbox.create()
    pids = await start_stubborn(sandbox, eventually, find_pid)
    data_dir = find_root(sandbox).parent
    program.kill()
    finish(program)
    await eventually(lambda: not any(is_alive(pid) for pid in pids))
    await eventually(lambda: not data_dir.exists())


async def test_directory_of_a_dead_server_is_removed_by_the_next(anyio_backend):
    dead = subprocess.Popen(["true"])
    dead.wait()
    orphan = Path(tempfile.gettempdir()) / f"e2b-emulator-{dead.pid}-orphan"
    orphan.mkdir()
    (orphan / "file").write_text("")
    async with EmulatorServer("k"):
        assert not orphan.exists()


async def test_program_without_a_key_says_which_variable_is_missing():
    command = [sys.executable, "-m", "sandboxes.emulator", "--api-key-env", "MY_KEY"]
    result = await anyio.run_process(command, check=False)
    assert result.returncode == 1
    assert b"MY_KEY, which is empty or not set" in result.stderr


async def test_program_says_when_its_port_is_taken(emulator):
    port = emulator.url.rpartition(":")[2]
    command = [sys.executable, "-m", "sandboxes.emulator", "--port", port]
    result = await anyio.run_process(command, check=False, env={**os.environ, "E2B_API_KEY": "k"})
    assert result.returncode == 1
    assert result.stderr.decode().splitlines()[-1].startswith("the server did not start: cannot listen on 127.0.0.1")


def children():
    """Return this process's living children, but for the helpers of the test run itself."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return path.read_text().split()


def test_server_starts_without_the_packages_that_only_run_code_needs():
    blocked = ("IPython", "ipykernel", "jupyter_client", "traitlets", "zmq")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); "
        "from sandboxes.emulator.__main__ import main; sys.argv = ['emulator', '--until-stdin-closes']; main()"
    )
    environment = {**os.environ, "E2B_API_KEY": "k"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, input=b"", capture_output=True, timeout=30, check=False
    )
    assert b'"url"' in done.stdout, done.stderr.decode()
