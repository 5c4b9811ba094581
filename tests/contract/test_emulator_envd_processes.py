"""envd's rules for commands that the SDK does not show, or only in a race: by plain calls, and by it where it can."""

import base64
import gc
import json
import struct
import weakref

import aiohttp
import anyio
import pytest
from anyio import to_thread
from e2b import AuthenticationException, CommandExitException, InvalidArgumentException, SandboxException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

HEADER = struct.Struct(">BI")


class Daemon:
    """envd's calls without the SDK."""

    def __init__(self, session):
        self._session = session

    async def call(self, method, message):
        async with self._session.post(f"/process.Process/{method}", json=message) as answer:
            return answer.status, await answer.json()

    async def stream(self, method, message, **headers):
        """Yield the events of a stream and, last, what its end says."""
        body = json.dumps(message).encode()
        headers = {"Content-Type": "application/connect+json", **headers}
        url = f"/process.Process/{method}"
        async with self._session.post(url, data=HEADER.pack(0, len(body)) + body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            while True:
                flags, length = HEADER.unpack(await answer.content.readexactly(HEADER.size))
                frame = json.loads(await answer.content.readexactly(length))
                yield frame if flags else frame["event"]
                if flags:
                    return

    async def read_all(self, method, message):
        return [event async for event in self.stream(method, message)]


@pytest.fixture
async def daemon(emulator, sandbox):
    async with aiohttp.ClientSession(emulator.url, headers=sandbox.connection_config.sandbox_headers) as session:
        yield Daemon(session)


def shell(command, **fields):
    return {"process": {"cmd": "/bin/bash", "args": ["-c", command]}, "stdin": False, **fields}


async def test_end_is_told_with_its_status(daemon):
    start, end, last = await daemon.read_all("Start", shell("exit 3"))
    assert isinstance(start["start"]["pid"], int)
    assert end == {"end": {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"}}
    assert last == {}


async def test_idle_stream_shows_that_it_lives_as_often_as_asked(daemon):
    kinds = []
    async for event in daemon.stream("Start", shell("sleep 60"), **{"Keepalive-Ping-Interval": "1"}):
        kinds += event
        if len(kinds) == 2:
            break
    assert kinds == ["start", "keepalive"]


async def test_tag_finds_the_command_while_it_runs_and_after(daemon):
    async with anyio.create_task_group() as tasks:
        first = daemon.stream("Start", shell("exec cat", tag="mine", stdin=True))
        pid = (await anext(first))["start"]["pid"]
        status, answer = await daemon.call("SendInput", {"process": {"tag": "mine"}, "input": {"stdin": "aGk="}})
        assert (status, answer) == (200, {})
        assert (await anext(first))["data"] == {"stdout": "aGk="}
        (listed,) = (await daemon.call("List", {}))[1]["processes"]
        assert (listed["pid"], listed["tag"]) == (pid, "mine")
        await daemon.call("CloseStdin", {"process": {"tag": "mine"}})
        assert "end" in await anext(first)
        await first.aclose()
        tasks.cancel_scope.cancel()
    again = await daemon.read_all("Connect", {"process": {"tag": "mine"}})
    assert (again[0]["start"]["pid"], again[1]["end"]["status"]) == (pid, "exit status 0")


async def test_tag_that_is_used_again_does_not_mean_the_old_command(daemon):
    old = await daemon.read_all("Start", shell("exit 1", tag="t"))
    new = await daemon.read_all("Start", shell("exit 2", tag="t"))
    found = await daemon.read_all("Connect", {"process": {"tag": "t"}})
    assert found == new != old


async def test_ended_command_is_forgotten_after_its_time(daemon, monkeypatch, eventually):
    monkeypatch.setattr("sandboxes.emulator.processes.process_table.ENDED_KEPT_S", 0.05)
    start, _end, _last = await daemon.read_all("Start", shell("true"))

    async def is_forgotten():
        body = b'{"process":{"pid":%d}}' % start["start"]["pid"]
        headers = {"Content-Type": "application/connect+json"}
        frame = HEADER.pack(0, len(body)) + body
        async with daemon._session.post("/process.Process/Connect", data=frame, headers=headers) as answer:
            return answer.status == 404

    await eventually(is_forgotten)


@pytest.mark.parametrize("signal", ["SIGNAL_SIGTERM", "SIGNAL_SIGKILL"])
async def test_signal_reaches_the_leader_only_and_its_end_waits_for_nobody(daemon, sandbox, signal, is_alive, find_pid):
    events = daemon.stream("Start", shell("sleep 60 & echo -n $!; wait"))
    number = (await anext(events))["start"]["pid"]
    child = int(base64.b64decode((await anext(events))["data"]["stdout"]))
    pid, child_pid = find_pid(sandbox, number), find_pid(sandbox, child)
    assert (await daemon.call("SendSignal", {"process": {"pid": number}, "signal": signal}))[0] == 200
    with anyio.fail_after(5):  # the child holds the pipe
        end = (await anext(events))["end"]
    word = "terminated" if signal == "SIGNAL_SIGTERM" else "killed"
    assert (end["exitCode"], end["status"]) == (-1, f"signal: {word}")
    assert not is_alive(pid)
    assert is_alive(child_pid)
    await events.aclose()


async def test_output_before_a_kill_is_not_lost(daemon):
    events = daemon.stream("Start", shell("trap 'echo -n bye; exit 5' TERM; echo -n hi; while :; do sleep 0.01; done"))
    pid = (await anext(events))["start"]["pid"]
    assert (await anext(events))["data"] == {"stdout": "aGk="}
    await daemon.call("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"})
    assert (await anext(events))["data"] == {"stdout": "Ynll"}
    assert (await anext(events))["end"]["exitCode"] == 5
    await events.aclose()


async def test_unknown_signal_is_refused(daemon):
    status, answer = await daemon.call("SendSignal", {"process": {"pid": 1}, "signal": "SIGNAL_SIGHUP"})
    assert (status, answer["code"]) == (400, "invalid_argument")


async def test_many_writers_to_one_full_pipe_take_turns(sandbox):
    handle = await sandbox.commands.run("sleep 0.3; wc -c", background=True, stdin=True, timeout=0)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(handle.send_stdin, "x" * 50_000)
    await handle.close_stdin()
    assert (await handle.wait()).stdout.strip() == "400000"


async def test_writer_to_a_full_pipe_hears_that_the_command_is_over(sandbox):
    handle = await sandbox.commands.run("exec sleep 60", background=True, stdin=True, timeout=0)
    refused = []

    async def write():
        try:
            await handle.send_stdin("x" * 1_000_000)
        except SandboxException as error:
            refused.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await sandbox.commands.list()
        await handle.kill()
    assert "has closed its input" in refused[0]


async def test_root_has_its_own_home_and_name(sandbox):
    result = await sandbox.commands.run("echo $USER ${HOME##*/} ${PWD##*/} $(command -v python)", user="root")
    assert result.stdout.split()[:3] == ["root", "root", "root"]
    plain = await sandbox.commands.run("command -v python")
    assert result.stdout.split()[3] == plain.stdout.strip()


async def test_missing_directory_is_named_as_the_user_knows_it(sandbox):
    with pytest.raises(InvalidArgumentException, match="cwd '/root/nowhere' does not exist"):
        await sandbox.commands.run("true", cwd="nowhere", user="root")
    await sandbox.files.write("file", "")
    with pytest.raises(InvalidArgumentException, match="is not a directory"):
        await sandbox.commands.run("true", cwd="file")


async def test_sync_sdk_runs_commands(client, sandbox):
    def run():
        box = client.Sandbox.connect(sandbox.sandbox_id)
        handle = box.commands.run("cat; exit 4", background=True, stdin=True, timeout=20)
        listed = [process.pid for process in box.commands.list()]
        box.commands.send_stdin(handle.pid, "typed")
        box.commands.close_stdin(handle.pid)
        with pytest.raises(CommandExitException) as end:
            handle.wait()
        with pytest.raises(AuthenticationException):
            box.commands.run("true", user="nobody")
        return listed == [handle.pid], end.value.stdout, end.value.exit_code, box.commands.kill(handle.pid)

    assert await to_thread.run_sync(run) == (True, "typed", 4, False)


async def test_nothing_of_a_killed_sandbox_stays_in_memory(emulator, sandbox, eventually):
    await sandbox.commands.run("true")
    [living] = emulator._parts.registry.list_living()
    commands = weakref.ref(living.processes)
    del living
    await sandbox.kill()

    def is_forgotten():
        gc.collect()
        return commands() is None

    await eventually(is_forgotten)
