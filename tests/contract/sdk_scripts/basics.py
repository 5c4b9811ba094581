"""What every version of the Python SDK must be able to do, without and with asyncio; run by `test_sdk_versions.py`."""

import asyncio
import os
import sys
from importlib.metadata import version

import e2b


def check_synchronous():
    sandbox = e2b.Sandbox.create(timeout=60, metadata={"kind": "sync"}, envs={"COLOUR": "blue"})
    assert [found.sandbox_id for found in e2b.Sandbox.list().next_items()] == [sandbox.sandbox_id]
    assert sandbox.get_info().metadata == {"kind": "sync"}
    sandbox.set_timeout(120)
    sandbox.files.write("notes/a.txt", "hello")
    assert sandbox.files.read("notes/a.txt") == "hello"
    assert [entry.name for entry in sandbox.files.list("notes")] == ["a.txt"]
    result = sandbox.commands.run("echo $COLOUR; echo oops >&2", on_stdout=lambda _: None)
    assert (result.stdout, result.stderr, result.exit_code) == ("blue\n", "oops\n", 0)
    try:
        sandbox.commands.run("exit 3")
    except e2b.CommandExitException as failed:
        result = failed
    assert result.exit_code == 3
    handle = sandbox.commands.run("cat; sleep 600", background=True, timeout=0, stdin=True)
    sandbox.commands.send_stdin(handle.pid, "typed\n")
    assert next(out for out, _err, _pty in handle if out) == "typed\n"
    assert [process.pid for process in sandbox.commands.list()] == [handle.pid]
    assert handle.kill()
    assert sandbox.is_running()
    assert sandbox.kill()
    assert not sandbox.is_running()


async def check_async():
    sandbox = await e2b.AsyncSandbox.create(timeout=60, metadata={"kind": "async"})
    assert [found.sandbox_id for found in await e2b.AsyncSandbox.list().next_items()] == [sandbox.sandbox_id]
    await sandbox.set_timeout(120)
    await sandbox.files.write("a.bin", b"\x00\xff")
    assert await sandbox.files.read("a.bin", format="bytes") == b"\x00\xff"
    assert await sandbox.files.exists("a.bin")
    assert (await sandbox.commands.run("echo hi")).stdout == "hi\n"
    heard = asyncio.Event()
    handle = await sandbox.commands.run(
        "echo begun; sleep 600", background=True, timeout=0, on_stdout=lambda _: heard.set()
    )
    await asyncio.wait_for(heard.wait(), 10)
    again = await sandbox.commands.connect(handle.pid, timeout=0)
    assert await again.kill()
    again = await e2b.AsyncSandbox.connect(sandbox.sandbox_id)
    assert await again.is_running()
    assert await again.kill()
    assert await e2b.AsyncSandbox.list().next_items() == []


check_synchronous()
asyncio.run(check_async())
print("done with", version("e2b"))
sys.stdout.flush()
# The SDK's transport can abort the interpreter of Python 3.11 while it winds down; by then everything was shown.
os._exit(0)
