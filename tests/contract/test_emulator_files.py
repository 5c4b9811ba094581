"""Files of a sandbox against the unmodified SDK, and that no path leads out of it."""

import os
import tempfile
from pathlib import Path

import aiohttp
import pytest
from e2b import FileNotFoundException, FileType, InvalidArgumentException, SandboxException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
async def real_home(sandbox):
    return Path((await sandbox.commands.run("pwd")).stdout.strip())


@pytest.fixture
def outside():
    """A directory that is in no sandbox, not even under another name."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


@pytest.mark.parametrize("path", ["note.txt", "/home/user/note.txt", "deep/er/note.txt", "/tmp/note.txt", "~/n.txt"])
async def test_what_is_written_is_read_back(sandbox, path):
    written = await sandbox.files.write(path, "text ä\n")
    assert await sandbox.files.read(path) == "text ä\n"
    assert await sandbox.files.read(written.path) == "text ä\n"
    assert written.path.startswith(("/home/user/", "/tmp/"))


async def test_files_and_commands_see_the_same_home(sandbox):
    await sandbox.files.write("from-client", "1")
    await sandbox.commands.run("cat from-client > from-command; echo -n 2 >> from-command")
    assert await sandbox.files.read("from-command") == "12"


async def test_bytes_come_back_as_they_were(sandbox):
    data = os.urandom(3_000_000)
    await sandbox.files.write("blob", data)
    assert await sandbox.files.read("blob", format="bytes") == data


async def test_streamed_upload_and_download(sandbox):
    async def chunks():
        for number in range(50):
            yield bytes([number]) * 10_000

    await sandbox.files.write("stream", chunks())
    parts = [part async for part in await sandbox.files.read("stream", format="stream")]
    assert b"".join(parts) == b"".join(bytes([number]) * 10_000 for number in range(50))


async def test_gzip_both_ways(sandbox):
    await sandbox.files.write("packed", "x" * 100_000, gzip=True)
    assert await sandbox.files.read("packed", gzip=True) == "x" * 100_000
    assert (await sandbox.commands.run("wc -c < packed")).stdout.strip() == "100000"


async def test_several_files_in_one_upload(sandbox):
    files = [{"path": "a/one", "data": "1"}, {"path": "/home/user/b/two", "data": b"2"}]
    written = await sandbox.files.write_files(files)
    assert [info.path for info in written] == ["/home/user/a/one", "/home/user/b/two"]
    assert await sandbox.files.read("b/two") == "2"


async def test_range_of_a_file(emulator, sandbox):
    await sandbox.files.write("digits", "0123456789")
    headers = {**sandbox.connection_config.sandbox_headers, "Range": "bytes=2-4"}
    async with (
        aiohttp.ClientSession(emulator.url, headers=headers) as session,
        session.get("/files?path=digits") as answer,
    ):
        assert (answer.status, await answer.text()) == (206, "234")
        assert answer.headers["Content-Range"] == "bytes 2-4/10"


async def test_list_goes_as_deep_as_it_is_told(sandbox):
    await sandbox.files.write("tree/branch/leaf", "")
    assert [entry.path for entry in await sandbox.files.list("tree")] == ["/home/user/tree/branch"]
    deep = await sandbox.files.list("tree", depth=2)
    assert [(entry.name, entry.type) for entry in deep] == [("branch", FileType.DIR), ("leaf", FileType.FILE)]


async def test_info_describes_a_file(sandbox):
    await sandbox.files.write("script", "12345")
    await sandbox.commands.run("chmod 750 script")
    info = await sandbox.files.get_info("script")
    assert (info.name, info.path, info.size) == ("script", "/home/user/script", 5)
    assert (info.mode, info.permissions) == (0o750, "-rwxr-x---")


async def test_link_inside_the_sandbox_is_followed_and_named(sandbox):
    await sandbox.files.write("target", "content")
    await sandbox.commands.run("ln -s target link")
    assert await sandbox.files.read("link") == "content"
    assert (await sandbox.files.get_info("link")).symlink_target == "/home/user/target"


async def test_make_dir_is_true_once(sandbox):
    assert await sandbox.files.make_dir("a/b/c")
    assert not await sandbox.files.make_dir("a/b/c")
    assert await sandbox.files.exists("/home/user/a/b")


async def test_rename_moves_a_file(sandbox):
    await sandbox.files.write("old", "kept")
    info = await sandbox.files.rename("old", "new/place")
    assert info.path == "/home/user/new/place"
    assert await sandbox.files.read("new/place") == "kept"
    assert not await sandbox.files.exists("old")


async def test_remove_takes_files_and_whole_directories(sandbox):
    await sandbox.files.write("dir/file", "")
    await sandbox.files.remove("dir")
    await sandbox.files.remove("never-there")
    assert not await sandbox.files.exists("dir")


async def test_missing_file_is_not_found(sandbox):
    with pytest.raises(FileNotFoundException):
        await sandbox.files.read("nothing")
    with pytest.raises(FileNotFoundException):
        await sandbox.files.list("nothing")
    with pytest.raises(FileNotFoundException):
        await sandbox.files.rename("nothing", "something")


async def test_file_where_a_directory_is_asked_for_is_an_invalid_argument(sandbox):
    await sandbox.files.write("file", "")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.list("file")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.write("file/below", "")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.read("/home/user")


@pytest.mark.parametrize("path", ["../../../../etc/hostname", "/etc/hostname", "/home/user/../../../etc/hostname"])
async def test_dots_stop_at_the_sandboxs_root(sandbox, path):
    with pytest.raises(FileNotFoundException):
        await sandbox.files.read(path)
    await sandbox.files.write(path, "inside")
    assert await sandbox.files.read("/etc/hostname") == "inside"
    assert Path("/etc/hostname").read_text() != "inside"


async def test_link_out_of_the_sandbox_is_refused(sandbox, outside):
    secret = outside / "secret"
    secret.write_text("secret")
    await sandbox.commands.run(f"ln -s {outside} out; ln -s {secret} file")
    for path in ("out/secret", "file"):
        with pytest.raises(SandboxException, match="leads out of the sandbox"):
            await sandbox.files.read(path)
    for operation in (
        sandbox.files.write("out/secret", "changed"),
        sandbox.files.write("out/new", "made"),
        sandbox.files.list("out"),
        sandbox.files.make_dir("out/dir"),
        sandbox.files.remove("out/secret"),
        sandbox.files.rename("out/secret", "stolen"),
        sandbox.commands.run("true", cwd="out"),
    ):
        with pytest.raises(SandboxException, match="leads out of the sandbox"):
            await operation
    assert [entry.name for entry in outside.iterdir()] == ["secret"]
    assert secret.read_text() == "secret"


async def test_removing_a_link_leaves_what_it_leads_to(sandbox, outside):
    (outside / "kept").write_text("")
    await sandbox.commands.run(f"ln -s {outside} out")
    await sandbox.files.remove("out")
    assert (outside / "kept").exists()


async def test_the_root_itself_cannot_be_removed(sandbox):
    with pytest.raises(InvalidArgumentException, match="root directory"):
        await sandbox.files.remove("/")


async def test_a_real_path_that_a_command_printed_is_understood(sandbox, real_home):
    await sandbox.files.write("file", "found")
    assert await sandbox.files.read(str(real_home / "file")) == "found"
