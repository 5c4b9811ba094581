"""Commands in a sandbox against the unmodified SDK: output, input, signals, deadlines and coming back."""

import sys

import aiohttp
import anyio
import pytest
from e2b import (
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
def collected():
    return []


async def test_run_returns_output_and_exit_code(sandbox):
    result = await sandbox.commands.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


async def test_failing_command_raises_with_its_exit_code(sandbox):
    with pytest.raises(CommandExitException) as failure:
        await sandbox.commands.run("echo why >&2; exit 7")
    assert failure.value.exit_code == 7
    assert failure.value.stderr == "why\n"
    assert failure.value.error == "exit status 7"


async def test_large_output_arrives_whole_and_in_order(sandbox):
    result = await sandbox.commands.run("seq 1 200000")
    assert result.stdout == "".join(f"{n}\n" for n in range(1, 200_001))


async def test_environment_is_built_from_nothing(client, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "do not leak")
    sandbox = await client.AsyncSandbox.create(envs={"A": "sandbox", "B": "sandbox"})
    result = await sandbox.commands.run("env", envs={"B": "call"})
    found = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert "SECRET_OF_THE_SERVER" not in found
    assert (found["A"], found["B"]) == ("sandbox", "call")
    assert (found["E2B_SANDBOX"], found["E2B_SANDBOX_ID"]) == ("true", sandbox.sandbox_id)
    assert (found["E2B_TEMPLATE_ID"], found["USER"]) == ("base", "user")


async def test_python_is_the_servers_own_also_in_a_login_shell(sandbox):
    result = await sandbox.commands.run("python -c 'import e2b, sys; print(sys.prefix)'")
    assert result.stdout.strip() == sys.prefix


async def test_path_given_by_the_caller_survives_the_login_shell(sandbox):
    result = await sandbox.commands.run("echo $PATH", envs={"PATH": "/usr/bin:/mine"})
    assert result.stdout == "/usr/bin:/mine\n"


async def test_each_sandbox_has_its_own_loopback_address(client):
    addresses = set()
    for _ in range(3):
        sandbox = await client.AsyncSandbox.create()
        addresses.add((await sandbox.commands.run("echo $E2B_SANDBOX_IP")).stdout)
    assert len(addresses) == 3
    assert all(address.startswith("127.") for address in addresses)


async def test_command_starts_at_home_or_where_it_is_told(sandbox):
    await sandbox.files.make_dir("work")
    await sandbox.commands.run("echo here > place", cwd="/home/user/work")
    await sandbox.commands.run("echo home > place")
    assert await sandbox.files.read("/home/user/work/place") == "here\n"
    assert await sandbox.files.read("/home/user/place") == "home\n"


async def test_missing_working_directory_is_named(sandbox):
    with pytest.raises(InvalidArgumentException, match="cwd '/home/user/nowhere' does not exist"):
        await sandbox.commands.run("true", cwd="nowhere")


async def test_background_command_streams_while_it_runs(sandbox, collected, eventually):
    handle = await sandbox.commands.run(
        "echo one; read line; echo got $line",
        background=True,
        stdin=True,
        timeout=0,
        retain_output=False,
        on_stdout=collected.append,
    )
    await eventually(lambda: "".join(collected) == "one\n")
    await handle.send_stdin("hello\n")
    assert (await handle.wait()).exit_code == 0
    assert "".join(collected) == "one\ngot hello\n"
    assert handle.stdout is None


async def test_closed_input_ends_a_reader(sandbox):
    handle = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0)
    await sandbox.commands.send_stdin(handle.pid, "a" * 200_000)
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "a" * 200_000


async def test_stream_of_input_keeps_its_order(sandbox):
    handle = await sandbox.commands.run("cat", background=True, stdin=True, timeout=0)
    stream = sandbox.commands.stream_input(handle.pid, timeout=0)
    for number in range(100):
        await stream.send(f"{number}\n")
    await stream.close()
    await sandbox.commands.close_stdin(handle.pid)
    assert (await handle.wait()).stdout == "".join(f"{number}\n" for number in range(100))


async def test_input_for_a_command_without_input_is_refused(sandbox):
    handle = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    with pytest.raises(SandboxException, match="has no input"):
        await handle.send_stdin("lost")
    await handle.kill()


async def test_list_shows_running_commands_only(sandbox):
    handle = await sandbox.commands.run("sleep 60", background=True, timeout=0, envs={"A": "1"})
    await sandbox.commands.run("true")
    (running,) = await sandbox.commands.list()
    assert running.pid == handle.pid
    assert (running.cmd, running.args, running.envs) == ("/bin/bash", ["-l", "-c", "sleep 60"], {"A": "1"})
    await handle.kill()


async def test_killed_command_ends_as_signalled(sandbox, is_alive, find_pid):
    handle = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    pid = find_pid(sandbox, handle.pid)
    assert is_alive(pid)
    assert await handle.kill()
    with pytest.raises(CommandExitException) as end:
        await handle.wait()
    assert (end.value.exit_code, end.value.error) == (-1, "signal: killed")
    assert not is_alive(pid)
    assert not await handle.kill()


async def test_kill_reaches_the_leader_only(sandbox, is_alive, eventually, find_pid):
    command = "sleep 60 > /dev/null 2>&1 & echo $! > child; wait"
    handle = await sandbox.commands.run(command, background=True, timeout=0)
    await eventually(lambda: has_content(sandbox, "child"))
    child = find_pid(sandbox, int(await sandbox.files.read("child")))
    await handle.kill()
    with pytest.raises(CommandExitException):
        await handle.wait()
    assert is_alive(child)


async def test_deadline_kills_the_command(sandbox, is_alive, eventually, find_pid):
    pids = []
    with pytest.raises(TimeoutException):
        await sandbox.commands.run(
            "echo $$; exec sleep 60", timeout=0.5, on_stdout=lambda line: pids.append(find_pid(sandbox, int(line)))
        )
    await eventually(lambda: not is_alive(pids[0]))


async def test_deadline_kills_also_when_the_client_has_left(sandbox, is_alive, eventually, find_pid):
    # Told by plain HTTP: the SDK's own deadline on a background stream misbehaves (see E2B's issue 1031).
    headers = {
        "E2b-Sandbox-Id": sandbox.sandbox_id,
        "X-Access-Token": sandbox.connection_config.sandbox_headers["X-Access-Token"],
        "Connect-Timeout-Ms": "400",
        "Content-Type": "application/connect+json",
    }
    body = b'{"process":{"cmd":"/bin/bash","args":["-l","-c","echo $$ > pid; exec sleep 60"]}}'
    frame = b"\0" + len(body).to_bytes(4, "big") + body
    async with aiohttp.ClientSession() as session:
        url = f"{sandbox.envd_api_url}/process.Process/Start"
        async with session.post(url, headers=headers, data=frame):
            await eventually(lambda: has_content(sandbox, "pid"))
    pid = find_pid(sandbox, int(await sandbox.files.read("pid")))
    await eventually(lambda: not is_alive(pid))


async def test_leaving_client_does_not_end_the_command_and_output_meanwhile_is_dropped(sandbox, collected, eventually):
    command = "echo early; while ! [ -e go ]; do sleep 0.02; done; echo late"
    handle = await sandbox.commands.run(command, background=True, timeout=0, on_stdout=collected.append)
    await eventually(lambda: collected == ["early\n"])
    await handle.disconnect()
    again = await sandbox.commands.connect(handle.pid, timeout=0)
    await sandbox.files.write("go", "")
    assert (await again.wait()).stdout == "late\n"
    assert collected == ["early\n"]


async def test_exit_code_is_kept_for_a_client_that_comes_late(sandbox, eventually):
    handle = await sandbox.commands.run("exit 3", background=True, timeout=0)
    with pytest.raises(CommandExitException):
        await handle.wait()
    late = await sandbox.commands.connect(handle.pid, timeout=0)
    with pytest.raises(CommandExitException) as end:
        await late.wait()
    assert end.value.exit_code == 3


async def test_two_clients_follow_one_command(sandbox):
    first = await sandbox.commands.run("read line; echo $line", background=True, stdin=True, timeout=0)
    second = await sandbox.commands.connect(first.pid, timeout=0)
    await first.send_stdin("both\n")
    assert (await first.wait()).stdout == (await second.wait()).stdout == "both\n"


async def test_unknown_process_is_not_found(sandbox):
    with pytest.raises(NotFoundException):
        await sandbox.commands.connect(999_999_999, timeout=0)
    assert not await sandbox.commands.kill(999_999_999)


async def test_end_waits_for_a_grandchild_that_holds_the_output(sandbox):
    result = await sandbox.commands.run("(sleep 0.3; echo last) & echo first")
    assert result.stdout == "first\nlast\n"


async def test_wrong_access_token_is_refused(emulator, sandbox):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "X-Access-Token": "wrong"}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session:
        async with session.post("/process.Process/List", json={}) as answer:
            assert answer.status == 401
        async with session.get("/health") as answer:
            assert answer.status == 204


async def test_command_of_a_killed_sandbox_raises_not_running(sandbox):
    handle = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    await sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        await handle.wait()
    with pytest.raises(SandboxNotRunningException):
        await sandbox.commands.run("true")


async def test_fifty_background_streams_run_side_by_side(client, anyio_backend):
    sandboxes = [await client.AsyncSandbox.create() for _ in range(10)]
    handles = [
        await sandboxes[n % 10].commands.run(f"read line; echo {n} $line", background=True, stdin=True, timeout=0)
        for n in range(50)
    ]
    for handle in handles:
        await handle.send_stdin("go\n")
    with anyio.fail_after(10):
        outputs = [(await handle.wait()).stdout for handle in handles]
    assert outputs == [f"{n} go\n" for n in range(50)]


async def has_content(sandbox, path):
    return await sandbox.files.exists(path) and (await sandbox.files.read(path)).endswith("\n")
