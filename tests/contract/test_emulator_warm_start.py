"""Workers that start from a warm process: as the SDK sees them, they are commands like all others."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import CommandExitException, TimeoutException

from sandboxes.emulator import EmulatorError, EmulatorServer
from sandboxes.emulator.processes.process_tree import read_process

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

TEMPLATE = "e2b-swarm-worker"
WORKER = "exec python -P -m workers --port 8080"
PLACES = {"HOME", "TMPDIR", "E2B_SANDBOX_ROOT"}
# The module that tests keep warm: its first argument says what the child does.
PROGRAM = """
import json, os, random, signal, subprocess, sys, time


def main(arguments):
    todo = arguments[0]
    if todo == "tell":
        told = {"environment": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv, "random": random.random(),
                "session": os.getsid(0), "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))}
        told["environ"] = open("/proc/self/environ").read()
        told["signals"] = [str(signal.getsignal(n)) for n in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)]
        print(json.dumps(told))
    elif todo == "code":
        return int(arguments[1])
    elif todo == "exit":
        sys.exit(int(arguments[1]))
    elif todo == "raise":
        raise LookupError("what went wrong")
    elif todo == "echo":
        print(input(), input(), flush=True)
    elif todo == "family":
        program = subprocess.Popen(["setsid", "sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fork = os.fork()
        if fork == 0:
            os.setsid()
            os.close(1), os.close(2)
            time.sleep(600)
        print(os.getpid(), program.pid, fork, flush=True)
        time.sleep(600)
    return 0
"""


@pytest.fixture
async def emulator(anyio_backend):
    async with EmulatorServer("key-of-this-test-run", warm_modules={TEMPLATE: "workers"}) as server:
        yield server


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Make the module `told` importable for the warm process."""
    package = tmp_path / "modules" / "told"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=os.pathsep)
    return "told"


@pytest.fixture
async def probe(told, connect_to, monkeypatch):
    """Return the SDK bound to a server that keeps `told` warm; the server's own environment holds a secret."""
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "do not leak")
    async with EmulatorServer("k", warm_modules={TEMPLATE: told}) as server:
        yield connect_to(server.url, "k")


class Follower:
    """One worker's output, as it comes."""

    def __init__(self):
        self.text = ""

    def __call__(self, text):
        self.text += text


async def start(sandbox, command, eventually, **options):
    """Start a command in the background and wait for its first line."""
    follower = Follower()
    handle = await sandbox.commands.run(command, background=True, timeout=0, on_stdout=follower, **options)
    await eventually(lambda: follower.text.endswith("\n"))
    return handle, follower.text


async def start_worker(client, eventually):
    sandbox = await client.AsyncSandbox.create(template=TEMPLATE, timeout=60)
    handle, line = await start(sandbox, WORKER, eventually, retain_output=False)
    return sandbox, handle, line


async def tell(client, **options):
    """Return what a child of the warm process finds about itself."""
    sandbox = await client.AsyncSandbox.create(template=TEMPLATE, **options)
    result = await sandbox.commands.run("exec python -P -m told tell", envs={"B": "call"})
    return sandbox, json.loads(result.stdout)


def parent(pid):
    return read_process(pid).parent


def command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def is_forked(pid):
    """Whether a process is a child of a warm process: it shows that one's command line, and so does its parent."""
    return command_line(pid) == command_line(parent(pid)) and command_line(pid)[2].endswith(
        "emulator/processes/zygote.py"
    )


async def health(sandbox):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8080"}
    async with (
        aiohttp.ClientSession(sandbox.envd_api_url, headers=headers) as session,
        session.get("/health") as answer,
    ):
        return answer.status, await answer.json()


async def test_worker_is_forked_and_serves_through_the_proxy(client, eventually):
    sandbox, handle, line = await start_worker(client, eventually)
    assert line == "e2b-swarm worker listening on port 8080\n"
    assert is_forked(handle.pid)
    assert parent(parent(handle.pid)) == os.getpid()
    status, body = await health(sandbox)
    assert status == 200
    assert "protocol" in body


async def test_listed_command_is_the_one_that_was_asked_for(client, eventually):
    sandbox, handle, _ = await start_worker(client, eventually)
    (running,) = await sandbox.commands.list()
    assert (running.pid, running.cmd, running.args) == (handle.pid, "/bin/bash", ["-l", "-c", WORKER])


async def test_workers_of_two_sandboxes_listen_on_the_same_port(client, eventually):
    first, _, _ = await start_worker(client, eventually)
    second, handle, _ = await start_worker(client, eventually)
    assert (await health(first))[0] == (await health(second))[0] == 200
    assert is_forked(handle.pid)


async def test_killed_worker_ends_as_signalled(client, eventually, is_alive):
    sandbox, handle, _ = await start_worker(client, eventually)
    zygote = parent(handle.pid)
    assert await handle.kill()
    with pytest.raises(CommandExitException) as end:
        await handle.wait()
    assert (end.value.exit_code, end.value.error) == (-1, "signal: killed")
    assert not is_alive(handle.pid)
    assert is_alive(zygote)
    assert await sandbox.commands.list() == []
    assert not await handle.kill()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param("code 0", 0, id="return-zero"),
        pytest.param("code 7", 7, id="return"),
        pytest.param("exit 3", 3, id="sys-exit"),
        pytest.param("raise", 1, id="exception"),
    ],
)
async def test_exit_code_is_the_programs(probe, arguments, code):
    sandbox = await probe.AsyncSandbox.create(template=TEMPLATE)
    handle = await sandbox.commands.run(f"python -P -m told {arguments}", background=True, timeout=0)
    try:
        result = await handle.wait()
    except CommandExitException as end:
        result = end
    assert result.exit_code == code
    assert ("LookupError: what went wrong" in result.stderr) is (arguments == "raise")


async def test_environment_is_the_commands_and_nobody_elses(probe):
    first, _ = await tell(probe, envs={"ONLY_FIRST": "1"})
    sandbox, told = await tell(probe, envs={"A": "sandbox", "B": "sandbox"})
    spawned = (await sandbox.commands.run("env -0", envs={"B": "call"})).stdout
    shell_made = {"PWD", "OLDPWD", "SHLVL", "_", "LS_COLORS"}
    wanted = {k: v for k, v in (entry.split("=", 1) for entry in spawned.split("\0") if entry) if k not in shell_made}
    # A worker runs outside of the namespaces, and sees the same places by their names on the machine.
    assert {name for name in wanted if told["environment"].get(name) != wanted[name]} <= PLACES
    assert told["environment"].keys() == wanted.keys()
    assert (wanted["A"], wanted["B"], wanted["E2B_SANDBOX_ID"]) == ("sandbox", "call", sandbox.sandbox_id)
    assert sandbox.sandbox_id != first.sandbox_id


async def test_process_table_of_the_system_shows_the_environment_too(probe):
    _, told = await tell(probe)
    shown = dict(entry.split("=", 1) for entry in told["environ"].split("\0") if entry)
    assert shown == told["environment"]


async def test_child_is_set_up_like_a_new_program(probe):
    _, told = await tell(probe)
    assert told["cwd"] == told["environment"]["HOME"]
    assert told["argv"][0].endswith("told/__main__.py")
    assert told["argv"][1:] == ["tell"]
    assert told["descriptors"][:-1] == [0, 1, 2]  # the last one is that of the directory being read
    assert told["signals"][:2] == [str(signal.SIG_DFL)] * 2
    assert "default_int_handler" in told["signals"][2]


async def test_chance_differs_between_two_children(probe):
    _, first = await tell(probe)
    _, second = await tell(probe)
    assert first["random"] != second["random"]


async def test_input_reaches_the_child(probe):
    sandbox = await probe.AsyncSandbox.create(template=TEMPLATE)
    handle = await sandbox.commands.run("python -P -m told echo", background=True, stdin=True, timeout=0)
    await handle.send_stdin("one\n")
    await handle.send_stdin("two\n")
    assert (await handle.wait()).stdout == "one two\n"


async def test_deadline_kills_the_child(probe, eventually, is_alive):
    sandbox = await probe.AsyncSandbox.create(template=TEMPLATE)
    follower = Follower()
    with pytest.raises(TimeoutException):
        await sandbox.commands.run("python -P -m told family", timeout=0.5, on_stdout=follower)
    await eventually(lambda: not is_alive(int(follower.text.split()[0])))


async def test_command_with_shell_syntax_is_spawned(client, eventually, find_pid):
    sandbox = await client.AsyncSandbox.create(template=TEMPLATE)
    handle, line = await start(sandbox, "exec python -P -m workers --port $((8000+80))", eventually)
    assert line == "e2b-swarm worker listening on port 8080\n"
    assert not is_forked(find_pid(sandbox, handle.pid))


@pytest.mark.parametrize(
    "envs",
    [
        pytest.param({"PYTHONUNBUFFERED": "1"}, id="setting-of-the-interpreter"),
        pytest.param({"PATH": f"{Path(sys.executable).parent}:/mine:/usr/bin:/bin"}, id="other-path"),
    ],
)
async def test_command_that_wants_another_interpreter_is_spawned(client, envs, find_pid):
    sandbox = await client.AsyncSandbox.create(template=TEMPLATE)
    handle = await sandbox.commands.run(WORKER, background=True, timeout=0, envs=envs)
    assert not is_forked(find_pid(sandbox, handle.pid))


async def test_other_template_is_spawned(client, find_pid):
    sandbox = await client.AsyncSandbox.create()
    handle = await sandbox.commands.run(WORKER, background=True, timeout=0)
    assert not is_forked(find_pid(sandbox, handle.pid))


async def start_family(client, eventually):
    """Start a child, its program in another session and its fork in a third one; return all three and the zygote."""
    sandbox = await client.AsyncSandbox.create(template=TEMPLATE, timeout=60)
    handle, line = await start(sandbox, "exec python -P -m told family", eventually)
    assert is_forked(handle.pid)
    return sandbox, [int(pid) for pid in line.split()], parent(handle.pid)


async def test_sandbox_kill_takes_the_worker_and_spares_the_warm_process(probe, eventually, is_alive):
    sandbox, pids, zygote = await start_family(probe, eventually)
    _, others, _ = await start_family(probe, eventually)
    assert all(is_alive(pid) for pid in pids)
    await sandbox.kill()
    assert not any(is_alive(pid) for pid in pids)
    assert all(is_alive(pid) for pid in [zygote, *others])


async def test_warm_process_belongs_to_no_sandbox(probe, eventually):
    sandbox, pids, zygote = await start_family(probe, eventually)
    roots = {read_process(pid).root for pid in pids}
    assert [root.rpartition("/")[2] for root in roots] == [sandbox.sandbox_id]
    assert read_process(zygote).root == ""
    assert read_process(zygote).session == zygote


async def test_stopped_server_leaves_nothing(told, connect_to, eventually, is_alive):
    async with EmulatorServer("k", warm_modules={TEMPLATE: told}) as server:
        _, pids, zygote = await start_family(connect_to(server.url, "k"), eventually)
        started = anyio.current_time()
    assert anyio.current_time() - started < 1
    assert not any(is_alive(pid) for pid in [zygote, *pids])
    assert not Path(f"/proc/{zygote}").exists()


async def test_cancelled_server_leaves_nothing(told, connect_to, eventually, is_alive):
    found = []
    async with anyio.create_task_group() as tasks:

        async def serve():
            async with EmulatorServer("k", warm_modules={TEMPLATE: told}) as server:
                _, pids, zygote = await start_family(connect_to(server.url, "k"), eventually)
                found.extend([zygote, *pids])
                await anyio.sleep_forever()

        tasks.start_soon(serve)
        await eventually(lambda: len(found) == 4)
        tasks.cancel_scope.cancel()
    assert not any(is_alive(pid) for pid in found)


async def test_killed_server_leaves_nothing(told, connect_to, eventually, is_alive):
    program = subprocess.Popen(
        [sys.executable, "-m", "sandboxes.emulator", "--warm", f"{TEMPLATE}={told}"],
        stdout=subprocess.PIPE,
        env={**os.environ, "E2B_API_KEY": "k"},
        text=True,
    )
    with program:
        client = connect_to(json.loads(program.stdout.readline())["url"], "k")
        _, pids, zygote = await start_family(client, eventually)
        program.kill()
    await eventually(lambda: not any(is_alive(pid) for pid in [zygote, *pids]))


async def test_workers_of_a_dead_warm_process_go_and_new_ones_are_spawned(
    client, eventually, is_alive, find_pid, caplog
):
    sandbox, handle, _ = await start_worker(client, eventually)
    zygote = parent(handle.pid)
    os.kill(zygote, signal.SIGKILL)
    with pytest.raises(CommandExitException) as end:
        await handle.wait()
    assert (end.value.exit_code, end.value.error) == (-1, "signal: killed")
    assert not is_alive(handle.pid)
    handle, _ = await start(sandbox, WORKER, eventually)
    assert not is_forked(find_pid(sandbox, handle.pid))
    assert (await health(sandbox))[0] == 200
    other, handle, _ = await start_worker(client, eventually)
    assert not is_forked(find_pid(other, handle.pid))
    assert len([record for record in caplog.records if "cannot be used" in record.message]) == 1
    assert not Path(f"/proc/{zygote}").exists()


async def test_descendants_of_a_dead_warm_process_go_with_their_sandbox(probe, eventually, is_alive):
    sandbox, (leader, *others), zygote = await start_family(probe, eventually)
    os.kill(zygote, signal.SIGKILL)
    await eventually(lambda: not is_alive(leader))
    await sandbox.kill()
    assert not any(is_alive(pid) for pid in others)


async def test_warm_process_that_does_not_answer_is_given_up_and_its_worker_lives_on(client, eventually, find_pid):
    sandbox, handle, _ = await start_worker(client, eventually)
    zygote = parent(handle.pid)
    os.kill(zygote, signal.SIGSTOP)
    other, spawned, _ = await start_worker(client, eventually)
    assert not is_forked(find_pid(other, spawned.pid))
    os.kill(zygote, signal.SIGCONT)
    await anyio.sleep(0.1)
    children = Path(f"/proc/{zygote}/task/{zygote}/children")
    await eventually(lambda: children.read_text().split() == [str(handle.pid)])
    assert (await health(sandbox))[0] == (await health(other))[0] == 200
    await handle.kill()
    with pytest.raises(CommandExitException):
        await handle.wait()


async def test_module_that_cannot_be_imported_is_spawned_and_says_so_itself(connect_to):
    async with EmulatorServer("k", warm_modules={TEMPLATE: "missing"}) as server:
        sandbox = await connect_to(server.url, "k").AsyncSandbox.create(template=TEMPLATE)
        with pytest.raises(CommandExitException, match="No module named missing"):
            await sandbox.commands.run("python -P -m missing")


def test_unknown_template_is_refused():
    with pytest.raises(EmulatorError, match="'nothing'"):
        EmulatorServer("k", warm_modules={"nothing": "workers"})
