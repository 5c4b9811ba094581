"""Sandboxes in namespaces of their own, against the unmodified SDK; skipped where the machine has none."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import anyio
import msgspec
import pytest
from e2b import CommandExitException, SandboxException, TimeoutException

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.isolation.machine import inspect_machine

pytestmark = [pytest.mark.processes, pytest.mark.anyio]
API_KEY = "key-of-this-test-run"


@pytest.fixture
async def emulator(anyio_backend, tmp_path):
    report = await inspect_machine(tmp_path)
    if report.namespaces:
        pytest.skip(report.namespaces)
    mounts = Path("/proc/self/mountinfo").read_text()
    async with EmulatorServer(API_KEY, isolation="auto") as server:
        yield server
    assert Path("/proc/self/mountinfo").read_text() == mounts


def find_marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


async def test_files_and_commands_agree_on_paths(sandbox):
    for place in ("/home/user/x", "/tmp/x"):
        await sandbox.files.write(place, "from the SDK")
        assert (await sandbox.commands.run(f"cat {place}")).stdout == "from the SDK"
        await sandbox.commands.run(f"echo -n back > {place}")
        assert await sandbox.files.read(place) == "back"
    assert (await sandbox.commands.run("pwd; echo $HOME")).stdout == "/home/user\n/home/user\n"


async def test_sandboxes_see_neither_each_others_files_nor_the_hosts(client, sandbox, tmp_path):
    other = await client.AsyncSandbox.create(timeout=60)
    await sandbox.commands.run("touch /tmp/mine /home/user/mine")
    listed = (await other.commands.run("ls /tmp /home/user")).stdout
    assert "mine" not in listed
    assert "e2b-emulator" not in listed
    assert not Path("/tmp/mine").exists()


async def test_ps_shows_the_sandboxes_own_processes_only(sandbox):
    listed = (await sandbox.commands.run("ls /proc | grep -c '^[0-9]'")).stdout
    assert int(listed) < 8


async def test_clients_and_commands_agree_on_the_numbers_of_processes(sandbox, is_alive, find_pid):
    handle = await sandbox.commands.run("exec sleep 987654", background=True, timeout=0)
    assert find_pid(sandbox, handle.pid) != handle.pid
    assert "987654" in (await sandbox.commands.run(f"cat /proc/{handle.pid}/cmdline")).stdout
    assert [process.pid for process in await sandbox.commands.list()] == [handle.pid]
    await sandbox.commands.run(f"kill {handle.pid}")
    with pytest.raises(CommandExitException) as end:
        await handle.wait()
    assert end.value.error == "signal: terminated"


async def test_ends_are_told_and_signals_work(sandbox):
    handle = await sandbox.commands.run("exec sleep 60", background=True, timeout=0)
    assert await handle.kill()
    with pytest.raises(CommandExitException) as end:
        await handle.wait()
    assert (end.value.exit_code, end.value.error) == (-1, "signal: killed")
    with pytest.raises(CommandExitException) as end:
        await sandbox.commands.run("exit 7")
    assert end.value.exit_code == 7


async def test_background_process_does_not_keep_its_command_from_ending(sandbox):
    for command in ("env -i setsid sleep 543211 > /dev/null 2>&1 &", "(sleep 543212 > /dev/null 2>&1 &); echo told"):
        with anyio.fail_after(5):
            await sandbox.commands.run(command, timeout=0)


async def test_commands_inherit_their_streams_and_nothing_else(sandbox):
    waiting = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    opened = (await sandbox.commands.run("exec ls /proc/self/fd")).stdout.split()
    assert opened == ["0", "1", "2", "3"]  # ls has the directory open itself
    await waiting.kill()


async def test_commands_start_in_a_server_with_many_open_files(sandbox):
    with contextlib.ExitStack() as files:
        for _ in range(1100):
            files.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        other = await sandbox.fork(timeout=60)
        for box in (sandbox, *other):
            assert (await box.commands.run("echo hi")).stdout == "hi\n"


async def test_links_lead_where_commands_see_them_lead(sandbox):
    await sandbox.files.write("/tmp/target", "content")
    await sandbox.commands.run("ln -s /tmp/target one; ln -s /home/user/one two; ln -s /home/user/circle circle")
    await sandbox.commands.run("mkdir real; ln -s /home/user/real directory; ln -s /etc/hostname outside")
    for name in ("one", "two"):
        assert await sandbox.files.read(name) == "content"
        assert (await sandbox.files.get_info(name)).symlink_target == "/tmp/target"
    await sandbox.files.write("directory/file", "written")
    assert (await sandbox.commands.run("cat real/file")).stdout == "written"
    with pytest.raises(SandboxException, match="too many levels"):
        await sandbox.files.read("circle")
    with pytest.raises(SandboxException, match="leads out"):
        await sandbox.files.read("outside")
    assert {entry.name for entry in await sandbox.files.list("/home/user")} >= {"circle", "outside"}


async def test_shared_memory_is_the_sandboxes_own(client, sandbox):
    other = await client.AsyncSandbox.create(timeout=60)
    await sandbox.commands.run("echo mine > /dev/shm/e2b-swarm-test")
    assert (await other.commands.run("ls /dev/shm")).stdout == ""
    assert not Path("/dev/shm/e2b-swarm-test").exists()


async def test_root_has_a_home_of_its_own(sandbox):
    assert (await sandbox.commands.run("echo hi > ~/file; whoami; cat ~/file", user="root")).stdout.endswith("hi\n")
    assert await sandbox.files.read("file", user="root") == "hi\n"


async def test_deadline_kills_the_command(sandbox, eventually):
    with pytest.raises(TimeoutException):
        await sandbox.commands.run("exec sleep 876543", timeout=0.5)
    await eventually(lambda: not find_marked("876543"))


async def test_escape_without_environment_and_session_dies_with_its_sandbox(sandbox, eventually):
    await sandbox.commands.run("env -i setsid sleep 765432 > /dev/null 2>&1 &")
    await eventually(lambda: bool(find_marked("765432")))
    await sandbox.kill()
    assert not find_marked("765432")


async def test_sandbox_without_internet_has_loopback_only_and_is_reached_by_the_proxy(emulator, client, eventually):
    sandbox = await client.AsyncSandbox.create(timeout=60, allow_internet_access=False)
    links = (await sandbox.commands.run("tail -n +3 /proc/net/dev | cut -d: -f1")).stdout.split()
    assert links == ["lo"]
    await sandbox.files.write("page", "inside")
    await sandbox.commands.run("python -m http.server 8080 --bind $E2B_SANDBOX_IP", background=True, timeout=0)
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}

    async def answers() -> bool:
        async with aiohttp.ClientSession(emulator.url) as session, session.get("/page", headers=headers) as answer:
            return await answer.text() == "inside"

    await eventually(answers)
    assert emulator.report_unenforced_network() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_nothing_is_left_of_a_server_that_ends(emulator, connect_to, eventually, number):
    mark = f"65432{int(number)}"
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "sandboxes.emulator", "--isolation", "auto"],
        stdout=subprocess.PIPE,
        env={**os.environ, "E2B_API_KEY": API_KEY},
    )
    assert server.stdout is not None
    line = await anyio.to_thread.run_sync(server.stdout.readline)
    client = connect_to(msgspec.json.decode(line)["url"])
    sandbox = await client.AsyncSandbox.create(timeout=60)
    await sandbox.commands.run(f"env -i setsid sleep {mark} > /dev/null 2>&1 &")
    await sandbox.commands.run("while true; do echo more > $RANDOM; done", background=True, timeout=0)
    await eventually(lambda: bool(find_marked(mark)))
    server.send_signal(number)
    await anyio.to_thread.run_sync(server.wait)
    server.stdout.close()
    await eventually(lambda: not find_marked(mark))
    await eventually(lambda: not list(Path("/tmp").glob(f"e2b-emulator-{server.pid}-*")))
