"""What is told of files, and moving and removing them, against the unmodified SDK: as envd does it."""

import grp
import os
import pwd
from datetime import UTC, datetime

import pytest
from anyio import to_thread
from e2b import AuthenticationException, FileNotFoundException, FileType, InvalidArgumentException, SandboxException

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


async def test_owner_group_size_and_time_are_the_true_ones(sandbox):
    await sandbox.commands.run("printf 12345 > f; touch -d '2020-02-03 04:05:06 UTC' f")
    info = await sandbox.files.get_info("f")
    assert (info.owner, info.group) == (pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)
    assert (info.size, info.modified_time.replace(tzinfo=UTC)) == (5, datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_owner_that_this_machine_does_not_know_is_a_number(sandbox):
    await sandbox.commands.run("touch f; chown 54321:54322 f")
    info = await sandbox.files.get_info("f")
    assert (info.owner, info.group) == ("54321", "54322")


@pytest.mark.parametrize(
    ("script", "mode", "permissions", "kind"),
    [
        pytest.param("touch e; chmod 640 e", 0o640, "-rw-r-----", FileType.FILE, id="file"),
        pytest.param("touch e; chmod 4755 e", 0o755, "urwxr-xr-x", FileType.FILE, id="setuid"),
        pytest.param("mkdir e; chmod 1777 e", 0o777, "dtrwxrwxrwx", FileType.DIR, id="sticky"),
        pytest.param("mkfifo e; chmod 600 e", 0o600, "prw-------", None, id="pipe"),
        pytest.param("touch t; chmod 600 t; ln -s t e", 0o600, "Lrwxrwxrwx", FileType.SYMLINK, id="link"),
        pytest.param("ln -s nowhere e", 0, "Lrwxrwxrwx", FileType.SYMLINK, id="broken-link"),
    ],
)
async def test_modes_are_written_as_go_writes_them(sandbox, script, mode, permissions, kind):
    await sandbox.commands.run(script)
    info = await sandbox.files.get_info("e")
    assert (info.mode, info.permissions, info.type) == (mode, permissions, kind)


async def test_links_name_their_target_also_one_that_is_missing(sandbox):
    await sandbox.commands.run("mkdir d; touch d/t; ln -s d/t good; ln -s nowhere broken; ln -s loop loop")
    listed = {entry.name: entry for entry in await sandbox.files.list(".")}
    assert listed["good"].symlink_target == "/home/user/d/t"
    assert listed["broken"].symlink_target == "/home/user/nowhere"
    assert listed["loop"].type is FileType.SYMLINK
    assert listed["d"].symlink_target is None
    with pytest.raises(FileNotFoundException):
        await sandbox.files.read("broken")


async def test_list_through_a_link_keeps_the_name_that_was_asked_for(sandbox):
    await sandbox.commands.run("mkdir -p real/sub; touch real/sub/f; ln -s real link")
    assert [entry.path for entry in await sandbox.files.list("link", depth=2)] == [
        "/home/user/link/sub",
        "/home/user/link/sub/f",
    ]


async def test_list_does_not_go_into_links_and_counts_depth(sandbox):
    await sandbox.commands.run("mkdir -p a/b/c; ln -s .. a/up; touch a/.hidden")
    for depth, names in (
        (1, [".hidden", "b", "up"]),
        (2, [".hidden", "b", "b/c", "up"]),
        (9, [".hidden", "b", "b/c", "up"]),
    ):
        listed = await sandbox.files.list("a", depth=depth)
        assert [entry.path.removeprefix("/home/user/a/") for entry in listed] == names


async def test_hidden_entry_at_the_root_keeps_its_dot(sandbox):
    await sandbox.files.write("/.hidden", "x")
    assert (await sandbox.files.get_info("/.hidden")).path == "/.hidden"
    assert "/.hidden" in [entry.path for entry in await sandbox.files.list("/")]


async def test_names_that_are_no_text_are_listed(sandbox):
    await sandbox.commands.run("mkdir d; touch d/$'bad\\xff'")
    assert [entry.name for entry in await sandbox.files.list("d")] == ["bad\N{REPLACEMENT CHARACTER}"]


async def test_time_that_no_calendar_holds_is_told_as_the_nearest(sandbox):
    await sandbox.commands.run("touch f; python -c \"import os; os.utime('f', (10**12, 10**12))\"")
    assert (await sandbox.files.get_info("f")).modified_time.year in {2446, 9999}  # ext4 itself stops at 2446


async def test_very_deep_tree_is_listed_and_removed(sandbox):
    script = "import os\nfor _ in range(1100):\n    os.mkdir('d'); os.chdir('d')"
    await sandbox.commands.run(f'mkdir deep; cd deep; python -c "{script}"')
    assert len(await sandbox.files.list("deep", depth=5000)) == 1100
    await sandbox.commands.run("rm -rf deep")


async def test_move_replaces_a_file(sandbox):
    await sandbox.files.write_files([{"path": "a", "data": "new"}, {"path": "b", "data": "old"}])
    assert (await sandbox.files.rename("a", "b")).path == "/home/user/b"
    assert await sandbox.files.read("b") == "new"


@pytest.mark.parametrize("source", ["file", "directory"])
@pytest.mark.parametrize("destination", ["empty", "full"])
async def test_nothing_is_moved_onto_a_directory(sandbox, source, destination):
    await sandbox.commands.run("touch file; mkdir directory empty full; touch full/kept")
    with pytest.raises(SandboxException, match="file exists"):
        await sandbox.files.rename(source, destination)
    assert await sandbox.files.exists("full/kept")
    assert await sandbox.files.exists(source)


async def test_directory_is_not_moved_onto_a_file_or_into_itself(sandbox):
    await sandbox.commands.run("touch file; mkdir directory")
    for destination in ("file", "directory/below"):
        with pytest.raises(SandboxException):
            await sandbox.files.rename("directory", destination)
    assert await sandbox.files.exists("directory")


async def test_moving_a_link_moves_the_link(sandbox):
    await sandbox.commands.run("echo -n kept > target; ln -s target link")
    assert (await sandbox.files.rename("link", "moved")).symlink_target == "/home/user/target"
    assert await sandbox.files.read("target") == "kept"


async def test_broken_links_and_full_directories_are_removed(sandbox):
    await sandbox.commands.run("ln -s nowhere broken; mkdir -p d/e; touch d/e/f; chmod 500 d/e")
    await sandbox.files.remove("broken")
    await sandbox.files.remove("d")
    assert [entry.name for entry in await sandbox.files.list(".") if not entry.name.startswith(".")] == []


async def test_each_user_has_a_home(sandbox):
    await sandbox.files.write("f", "1", user="root")
    await sandbox.files.write("f", "2", user="user")
    assert (await sandbox.files.get_info("f", user="root")).path == "/root/f"
    assert await sandbox.files.read("/root/f") == "1"
    assert await sandbox.files.read("~/f") == "2"
    assert await sandbox.files.exists("~/f", user="root")


async def test_unknown_user_is_refused(sandbox):
    with pytest.raises(AuthenticationException, match="invalid username: 'nobody'"):
        await sandbox.files.list(".", user="nobody")
    with pytest.raises(AuthenticationException, match="invalid username: 'nobody'"):
        await sandbox.commands.run("true", user="nobody")


async def test_another_users_home_is_not_guessed(sandbox):
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.list("~bob")


async def test_sync_sdk_sees_the_same(client, sandbox):
    await sandbox.commands.run("mkdir d; touch d/f; ln -s d/f l")

    def look():
        box = client.Sandbox.connect(sandbox.sandbox_id)
        listed = [(entry.path, entry.type) for entry in box.files.list("d")]
        info = box.files.get_info("l")
        moved = box.files.rename("d", "e")
        box.files.remove("e")
        return listed, info.symlink_target, moved.path, box.files.exists("e"), box.files.make_dir("e")

    expected = ([("/home/user/d/f", FileType.FILE)], "/home/user/d/f", "/home/user/e", False, True)
    assert await to_thread.run_sync(look) == expected
