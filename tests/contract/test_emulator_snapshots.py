"""Snapshots and forks: copies that share nothing with their origin, against the unmodified SDK."""

import os
from pathlib import Path

import aiohttp
import anyio
import pytest
from e2b import SandboxException, SandboxNotFoundException

from sandboxes.emulator import EmulatorServer
from sandboxes.emulator.fleet.file_tree import copy_tree

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
async def api(emulator):
    async with aiohttp.ClientSession(emulator.url, headers={"X-API-KEY": emulator.api_key}) as session:
        yield session


async def list_pages(paginator):
    pages = []
    while paginator.has_next:
        pages.append([snapshot.snapshot_id for snapshot in await paginator.next_items()])
    return pages


async def read_all(client, **query):
    return [snapshot for page in await list_pages(client.AsyncSandbox.list_snapshots(**query)) for snapshot in page]


async def test_sandbox_made_from_a_snapshot_has_its_files_and_no_share_in_them(client, sandbox):
    await sandbox.files.write("data/state.txt", "at the snapshot")
    snapshot = await sandbox.create_snapshot()
    await sandbox.files.write("data/state.txt", "later")
    first = await client.AsyncSandbox.create(snapshot.snapshot_id)
    second = await client.AsyncSandbox.create(snapshot.snapshot_id)
    assert await first.files.read("data/state.txt") == "at the snapshot"
    await first.commands.run("echo -n first > data/state.txt")
    assert await second.files.read("data/state.txt") == "at the snapshot"
    assert await sandbox.files.read("data/state.txt") == "later"


async def test_snapshot_outlives_its_sandbox(client, sandbox):
    await sandbox.files.write("kept", "kept")
    snapshot = await sandbox.create_snapshot()
    await sandbox.kill()
    assert await (await client.AsyncSandbox.create(snapshot.snapshot_id)).files.read("kept") == "kept"


async def test_full_snapshot_keeps_variables_and_drops_metadata(client):
    source = await client.AsyncSandbox.create(envs={"A": "source", "B": "source"}, metadata={"worker": "1"})
    snapshot = await source.create_snapshot()
    made = await client.AsyncSandbox.create(snapshot.snapshot_id, envs={"B": "mine"}, metadata={"worker": "2"})
    assert (await made.commands.run("echo $A $B")).stdout == "source mine\n"
    assert (await made.get_info()).metadata == {"worker": "2"}
    assert (await (await client.AsyncSandbox.create(snapshot.snapshot_id)).get_info()).metadata == {}


async def test_filesystem_snapshot_keeps_files_only(client):
    source = await client.AsyncSandbox.create(envs={"A": "source"})
    await source.files.write("kept", "kept")
    snapshot = await source.create_snapshot(mode="filesystem")
    made = await client.AsyncSandbox.create(snapshot.snapshot_id)
    assert (await made.commands.run("echo [$A]; cat kept")).stdout == "[]\nkept"


async def test_processes_go_on_after_a_snapshot(sandbox, eventually):
    await sandbox.commands.run("while true; do echo beat >> beats; sleep 0.02; done", background=True, timeout=0)
    await eventually(lambda: sandbox.files.exists("beats"))
    await sandbox.create_snapshot()
    before = await sandbox.files.read("beats")

    async def beats_on():
        return len(await sandbox.files.read("beats")) > len(before)

    await eventually(beats_on)


async def test_named_snapshot_is_found_by_each_of_its_names(client, sandbox):
    await sandbox.files.write("kept", "kept")
    snapshot = await sandbox.create_snapshot(name="warm-worker:v1")
    assert snapshot.snapshot_id == "local/warm-worker:v1"
    assert snapshot.names == ["local/warm-worker"]
    for name in ("warm-worker:v1", "local/warm-worker:v1"):
        assert await (await client.AsyncSandbox.create(name)).files.read("kept") == "kept"
    unnamed_tag = await sandbox.create_snapshot(name="cold")
    assert unnamed_tag.snapshot_id == "local/cold:default"
    for name in ("cold", "local/cold", "cold:default", "local/cold:default"):
        info = await (await client.AsyncSandbox.create(name)).get_info()
        assert info.name == "local/cold:default"


async def test_snapshot_of_the_same_name_replaces_the_one_before(client, sandbox):
    await sandbox.files.write("state", "old")
    await sandbox.create_snapshot(name="again")
    await sandbox.files.write("state", "new")
    await sandbox.create_snapshot(name="again")
    assert await (await client.AsyncSandbox.create("again")).files.read("state") == "new"
    assert await read_all(client) == ["local/again:default"]


async def test_snapshots_are_listed_by_sandbox_and_name_a_page_at_a_time(client, sandbox):
    other = await client.AsyncSandbox.create()
    made = [(await sandbox.create_snapshot(name=f"state:v{number}")).snapshot_id for number in range(3)]
    of_other = (await other.create_snapshot()).snapshot_id
    assert await list_pages(client.AsyncSandbox.list_snapshots(limit=3)) == [[of_other, made[2], made[1]], [made[0]]]
    assert await read_all(client, sandbox_id=sandbox.sandbox_id) == made[::-1]
    assert await read_all(client, name="state") == made[::-1]
    assert await read_all(client, name="state:v1") == [made[1]]
    assert await read_all(client, name="nothing") == []


async def test_deleted_snapshot_is_gone_and_what_was_made_from_it_lives_on(client, sandbox):
    await sandbox.files.write("kept", "kept")
    snapshot = await sandbox.create_snapshot(name="state")
    made = await client.AsyncSandbox.create(snapshot.snapshot_id)
    assert await client.AsyncSandbox.delete_snapshot(snapshot.snapshot_id)
    assert not await client.AsyncSandbox.delete_snapshot(snapshot.snapshot_id)
    assert await read_all(client) == []
    with pytest.raises(SandboxException, match="not found"):
        await client.AsyncSandbox.create(snapshot.snapshot_id)
    assert await made.files.read("kept") == "kept"


async def test_built_in_template_cannot_be_deleted(client):
    with pytest.raises(SandboxException, match="built in") as refusal:
        await client.AsyncSandbox.delete_snapshot("base")
    assert refusal.value.status_code == 403


async def test_snapshot_of_a_paused_or_unknown_sandbox_is_not_found(client, sandbox):
    await sandbox.pause()
    for sandbox_id in (sandbox.sandbox_id, "inobody"):
        with pytest.raises(SandboxNotFoundException):
            await client.AsyncSandbox.create_snapshot(sandbox_id)


async def test_forks_have_files_variables_and_settings_of_their_origin(client):
    source = await client.AsyncSandbox.create(
        envs={"A": "source"}, metadata={"worker": "1"}, network={"allow_public_traffic": False}, timeout=600
    )
    await source.files.write("state", "at the fork")
    forks = await source.fork(timeout=60, count=3)
    assert len({source.sandbox_id, *(fork.sandbox_id for fork in forks)}) == 4
    assert len({source.traffic_access_token, *(fork.traffic_access_token for fork in forks)}) == 4
    await forks[0].files.write("state", "changed")
    for fork in forks[1:]:
        assert (await fork.commands.run("echo $A; cat state")).stdout == "source\nat the fork"
        info = await fork.get_info()
        assert info.metadata == {"worker": "1"}
        assert (info.end_at - info.started_at).total_seconds() < 61
    assert await source.files.read("state") == "at the fork"
    assert (await forks[1].commands.run("echo $E2B_SANDBOX_ID")).stdout.strip() == forks[1].sandbox_id


async def test_forks_fail_one_by_one_when_there_is_no_room(connect_to):
    async with EmulatorServer("k", sandboxes_max=4) as server:
        client = connect_to(server.url, "k")
        source = await client.AsyncSandbox.create()
        await client.AsyncSandbox.create()
        forks = await source.fork(count=3)
        assert sum(isinstance(fork, Exception) for fork in forks) == 1
        with pytest.raises(SandboxException, match="must be lower than the maximum"):
            await source.fork(count=4)


async def test_fork_leaves_no_files_behind(connect_to, tmp_path):
    async with EmulatorServer("k", data_dir=tmp_path / "data") as server:
        source = await connect_to(server.url, "k").AsyncSandbox.create()
        forks = await source.fork(count=2)
        for sandbox in (*forks, source):
            await sandbox.kill()
        assert list((tmp_path / "data" / "templates").glob("fork-*")) == []
        await (await connect_to(server.url, "k").AsyncSandbox.create()).create_snapshot()
    assert list((tmp_path / "data").iterdir()) == []


async def test_paused_sandbox_cannot_be_forked(sandbox):
    await sandbox.pause()
    with pytest.raises(SandboxException, match="cannot be forked") as refusal:
        await sandbox.fork()
    assert refusal.value.status_code == 409


async def test_synchronous_sdk_takes_a_snapshot_and_forks(client, sandbox):
    def drive():
        same = client.Sandbox.connect(sandbox.sandbox_id)
        same.files.write("state", "kept")
        snapshot = same.create_snapshot(name="from-sync")
        assert client.Sandbox.create(snapshot.snapshot_id).files.read("state") == "kept"
        assert same.fork()[0].files.read("state") == "kept"
        assert client.Sandbox.delete_snapshot(snapshot.snapshot_id)

    await anyio.to_thread.run_sync(drive)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        pytest.param("snapshots", {"name": "Not A Name"}, "Invalid name", id="name"),
        pytest.param("snapshots", {"name": "theirs/state"}, "must match your team", id="namespace"),
        pytest.param("snapshots", {"memory": 1}, "`$.memory`", id="memory"),
        pytest.param("fork", {"count": 0}, "`int` >= 1 - at `$.count`", id="no fork"),
        pytest.param("fork", {"count": 101}, "`int` <= 100 - at `$.count`", id="too many forks"),
        pytest.param("fork", {"timeout": -1}, "`int` >= 0 - at `$.timeout`", id="fork of the past"),
    ],
)
async def test_malformed_copy_is_refused_with_its_reason(api, sandbox, path, body, reason):
    async with api.post(f"/sandboxes/{sandbox.sandbox_id}/{path}", json=body) as answer:
        assert answer.status == 400
        assert reason in (await answer.json())["message"]


async def test_fork_of_an_unknown_sandbox_is_not_found(client):
    with pytest.raises(SandboxNotFoundException):
        await client.AsyncSandbox.fork("inobody")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "nextToken=y", "name=a%20b"])
async def test_malformed_list_of_snapshots_is_refused(api, query):
    async with api.get(f"/snapshots?{query}") as answer:
        assert answer.status == 400


async def test_concurrent_snapshot_and_kill_leave_nothing_undone(client, sandbox, is_alive, find_pid):
    number = (await sandbox.commands.run("sleep 600", background=True, timeout=0)).pid
    pid = find_pid(sandbox, number)
    await sandbox.commands.run("head -c 20000000 /dev/zero > large")

    async def take():
        try:
            await sandbox.create_snapshot()
        except SandboxNotFoundException:
            return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        tasks.start_soon(sandbox.kill)
    assert not is_alive(pid)


def make_special_tree(root: Path) -> None:
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_text("text")
    (root / "sub" / "file").chmod(0o640)
    os.setxattr(root / "sub" / "file", "user.mark", b"value")
    os.utime(root / "sub" / "file", (1_000_000, 2_000_000))
    (root / "twin").hardlink_to(root / "sub" / "file")
    (root / "relative").symlink_to("sub/file")
    (root / "absolute").symlink_to(root / "sub" / "file")
    (root / "outside").symlink_to("/etc/hostname")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")


def test_copied_tree_keeps_what_files_are_and_shares_none(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    make_special_tree(source)
    copy_tree(source, target)
    copied = target / "sub" / "file"
    assert copied.read_text() == "text"
    assert copied.stat().st_mode & 0o777 == 0o640
    assert copied.stat().st_mtime == 2_000_000
    assert os.getxattr(copied, "user.mark") == b"value"
    assert copied.stat().st_nlink == 1
    assert (target / "relative").readlink() == Path("sub/file")
    assert (target / "absolute").readlink() == copied
    assert (target / "outside").readlink() == Path("/etc/hostname")
    assert (target / "dangling").is_symlink()
    assert (target / "pipe").is_fifo()
    copied.write_text("changed")
    assert (source / "sub" / "file").read_text() == "text"


def test_failed_copy_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError):
        copy_tree(tmp_path / "missing", tmp_path / "target")
    assert not (tmp_path / "target").exists()
