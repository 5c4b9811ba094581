"""Commands on a terminal against the unmodified SDK, and by hand what the SDK does not send."""

import signal
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from e2b import CommandExitException, NotFoundException, PtySize, SandboxException, TimeoutException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

SIZE = PtySize(rows=24, cols=80)
READY = "\x1b[?2004h"
"""What bash's line editor sends when it is ready for keys."""


class Screen:
    """Collects what a terminal shows."""

    def __init__(self):
        self.shown = b""

    def show(self, data):
        self.shown += data

    def has(self, text):
        return lambda: text.encode() in self.shown


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
async def terminal(sandbox, screen, eventually):
    """A shell on a terminal that waits for a line."""
    handle = await sandbox.pty.create(SIZE, screen.show, timeout=0)
    await eventually(screen.has(READY))
    return handle


async def type_in(sandbox, terminal, text):
    await sandbox.pty.send_stdin(terminal.pid, text.encode())


async def test_typed_commands_are_echoed_and_answered(sandbox, terminal, screen, eventually):
    await type_in(sandbox, terminal, "echo is $((6 * 7)).\n")
    await eventually(screen.has("is 42.\r\n"))
    assert b"echo is $((6 * 7))." in screen.shown


async def test_exit_code_of_the_shell_is_told(sandbox, terminal):
    await type_in(sandbox, terminal, "exit 7\n")
    with pytest.raises(CommandExitException) as end:
        await terminal.wait()
    assert (end.value.exit_code, end.value.error) == (7, "exit status 7")


async def test_end_of_input_ends_the_shell(sandbox, terminal):
    await type_in(sandbox, terminal, "\x04")
    assert (await terminal.wait()).exit_code == 0


async def test_shell_has_a_controlling_terminal_and_its_environment(sandbox, terminal, screen, eventually):
    await type_in(sandbox, terminal, "tty; echo T=$TERM L=$LANG; exec 3</dev/tty && echo o''pened\n")
    await eventually(screen.has("opened"))
    shown = screen.shown.decode()
    assert "/dev/pts/" in shown
    assert "T=xterm-256color L=C.UTF-8" in shown
    assert "job control" not in shown


async def test_interrupt_key_reaches_the_program_in_the_foreground(sandbox, terminal, screen, eventually, find_pid):
    await type_in(sandbox, terminal, "sleep 60; echo after $?\n")
    await eventually(screen.has("sleep 60; echo"))
    shell = find_pid(sandbox, terminal.pid)
    await eventually(lambda: bool(running(shell, "sleep")))
    await type_in(sandbox, terminal, "\x03")
    await eventually(screen.has("^C"))
    await type_in(sandbox, terminal, "echo st''ill here\n")
    await eventually(screen.has("still here"))


def running(pid, name):
    """Return the children of a shell that have become a program; before, they may not be in the foreground yet."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == f"{name}\n"]


async def test_size_is_as_asked_and_changes_are_signalled(sandbox, terminal, screen, eventually):
    await type_in(sandbox, terminal, "echo has $(stty size); trap 'echo changed to $(stty size)' WINCH\n")
    await eventually(screen.has("has 24 80\r\n"))
    await sandbox.pty.resize(terminal.pid, PtySize(rows=40, cols=132))
    await type_in(sandbox, terminal, "\n")
    await eventually(screen.has("changed to 40 132"))


async def test_impossible_size_is_refused(sandbox, terminal, screen):
    with pytest.raises(SandboxException, match="not possible"):
        await sandbox.pty.resize(terminal.pid, PtySize(rows=70_000, cols=1))
    with pytest.raises(SandboxException, match="not possible"):
        await sandbox.pty.create(PtySize(rows=1, cols=70_000), screen.show, timeout=0)


async def test_terminal_is_listed_and_followed_again(sandbox, terminal, eventually):
    await terminal.disconnect()
    assert [process.pid for process in await sandbox.commands.list()] == [terminal.pid]
    second = Screen()
    handle = await sandbox.pty.connect(terminal.pid, second.show, timeout=0)
    await type_in(sandbox, handle, "echo ag''ain\n")
    await eventually(second.has("again"))


async def test_kill_ends_the_shell_and_hangs_up_on_its_programs(sandbox, terminal, is_alive, eventually, find_pid):
    await type_in(sandbox, terminal, "sleep 61\n")
    shell = find_pid(sandbox, terminal.pid)
    await eventually(lambda: bool(running(shell, "sleep")))
    (child,) = running(shell, "sleep")
    assert await sandbox.pty.kill(terminal.pid)
    with pytest.raises(CommandExitException) as end:
        await terminal.wait()
    assert (end.value.exit_code, end.value.error) == (-1, "signal: killed")
    await eventually(lambda: not is_alive(child))
    assert not await sandbox.pty.kill(terminal.pid)


async def test_deadline_kills_the_shell(sandbox, screen, is_alive, eventually, find_pid):
    handles, pids = [], []

    async def start():  # in a task of its own: the SDK cancels the task that called it
        handles.append(await sandbox.pty.create(SIZE, screen.show, timeout=0.5))
        pids.append(find_pid(sandbox, handles[0].pid))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
    with pytest.raises(TimeoutException):
        await handles[0].wait()
    await eventually(lambda: not is_alive(pids[0]))


async def test_stream_of_input_keeps_its_order(sandbox, terminal, screen, eventually):
    stream = sandbox.pty.stream_input(terminal.pid, timeout=0)
    for number in range(50):
        await stream.send(f"echo n$(({number}))n\n".encode())
    await stream.close()
    await eventually(screen.has("n49n\r\n"))
    places = [screen.shown.index(f"n{number}n\r\n".encode()) for number in range(50)]
    assert places == sorted(places)


async def test_large_output_arrives_whole(sandbox, terminal, screen, eventually):
    await type_in(sandbox, terminal, "stty -echo; seq 1 100000; echo do''ne\n")
    await eventually(screen.has("done"))
    assert b"".join(b"%d\r\n" % n for n in range(1, 100_001)) in screen.shown


async def test_input_of_the_wrong_kind_is_refused(sandbox, terminal):
    with pytest.raises(SandboxException, match="has a terminal"):
        await sandbox.commands.send_stdin(terminal.pid, "x")
    with pytest.raises(SandboxException, match="has a terminal"):
        await sandbox.commands.close_stdin(terminal.pid)
    piped = await sandbox.commands.run("sleep 60", background=True, timeout=0)
    for refused in (sandbox.pty.send_stdin(piped.pid, b"x"), sandbox.pty.resize(piped.pid, SIZE)):
        with pytest.raises(SandboxException, match="has no terminal"):
            await refused


async def test_unknown_terminal_is_not_found(sandbox):
    for refused in (
        sandbox.pty.send_stdin(99_999_999, b"x"),
        sandbox.pty.resize(99_999_999, SIZE),
        sandbox.pty.connect(99_999_999, print),
    ):
        with pytest.raises(NotFoundException):
            await refused


async def test_directory_user_and_environment(sandbox, screen, eventually):
    await sandbox.files.make_dir("work")
    handle = await sandbox.pty.create(SIZE, screen.show, user="root", cwd="/home/user/work", envs={"A": "b"}, timeout=0)
    await type_in(sandbox, handle, 'echo "${PWD##*/home} ${HOME##*/} $USER $A" en""d\n')
    await eventually(screen.has("/user/work root root b end"))


async def test_slow_reader_holds_the_program_back(sandbox, eventually):
    gate = anyio.Event()

    async def read_slowly(_data):
        await gate.wait()

    handle = await sandbox.pty.create(SIZE, read_slowly, timeout=0)
    await type_in(sandbox, handle, "while :; do printf '%0100000d' 0; echo $((i += 1)) > new; mv new at; done\n")
    await eventually(lambda: sandbox.files.exists("at"))
    progress = []

    async def stands_still():
        progress.append(int(await sandbox.files.read("at")))
        return len(progress) > 20 and len(set(progress[-20:])) == 1

    async def goes_on():
        return int(await sandbox.files.read("at")) > progress[-1]

    await eventually(stands_still)
    gate.set()
    await eventually(goes_on)
    await handle.kill()


async def test_nothing_is_left_of_a_killed_sandboxs_terminals(sandbox, terminal, is_alive, find_pid):
    pid = find_pid(sandbox, terminal.pid)
    assert is_alive(pid)
    await sandbox.kill()
    assert not is_alive(pid)


async def test_sync_sdk_uses_terminals(client, sandbox):
    def use():
        box = client.Sandbox.connect(sandbox.sandbox_id)
        handle = box.pty.create(SIZE, timeout=30)
        box.pty.resize(handle.pid, PtySize(rows=10, cols=20))
        box.pty.send_stdin(handle.pid, b"echo has $(stty size); exit 3\n")
        shown = b""
        try:
            for _stdout, _stderr, data in handle:
                shown += data or b""
            handle.wait()
        except CommandExitException as end:
            return shown, end.exit_code
        return shown, 0

    shown, code = await to_thread.run_sync(use)
    assert b"has 10 20\r\n" in shown
    assert code == 3


async def test_ignored_hang_up_does_not_keep_the_server_waiting(
    sandbox, terminal, screen, eventually, is_alive, find_pid
):
    await type_in(sandbox, terminal, "(trap '' HUP; exec sleep 62) & echo pid=$! go''ne\n")
    await eventually(screen.has("gone"))
    child = int(screen.shown.decode().rsplit("pid=", 1)[1].split()[0])
    assert await sandbox.pty.kill(terminal.pid)
    with pytest.raises(CommandExitException):
        await terminal.wait()
    assert is_alive(find_pid(sandbox, child))
    await sandbox.commands.run(f"kill -{signal.SIGKILL} {child}")
