"""Changes in a directory against the unmodified SDK: the stream of the async one, the watchers of the sync one."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread
from e2b import (
    FileNotFoundException,
    FilesystemEventType,
    FileType,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    TimeoutException,
)

pytestmark = [pytest.mark.processes, pytest.mark.anyio]

CREATE, WRITE, REMOVE = FilesystemEventType.CREATE, FilesystemEventType.WRITE, FilesystemEventType.REMOVE
RENAME, CHMOD = FilesystemEventType.RENAME, FilesystemEventType.CHMOD


@pytest.fixture
def events():
    return []


@pytest.fixture
async def watch(sandbox, events):
    """Return a function that watches a directory with `timeout=0` and stops at the test's end."""
    handles = []

    async def begin(path=".", **options):
        handles.append(await sandbox.files.watch_dir(path, events.append, timeout=0, **options))
        return handles[-1]

    yield begin
    for handle in handles:
        await handle.stop()


@pytest.fixture
def told(sandbox, events, eventually):
    """Return a function that runs commands and returns what was told of them, up to a mark that it sets."""
    count = 0

    async def run(script):
        nonlocal count
        count += 1
        mark = f"mark-{count}"
        await sandbox.commands.run(f"{script}\nmkdir {mark}")
        await eventually(lambda: any(event.name == mark for event in events))
        return [(event.name, event.type) for event in events if not event.name.startswith("mark-")]

    return run


async def test_each_kind_of_change_is_told_once(watch, told):
    await watch()
    assert await told("echo 1 > a; chmod 600 a; mv a b; rm b; mkdir d; chmod 700 d; rmdir d") == [
        ("a", CREATE),
        ("a", WRITE),
        ("a", CHMOD),
        ("a", RENAME),
        ("b", CREATE),
        ("b", REMOVE),
        ("d", CREATE),
        ("d", CHMOD),
        ("d", REMOVE),
    ]


async def test_upload_is_told(sandbox, watch, told):
    await watch()
    await sandbox.files.write("up", "load")
    assert set(await told("true")) >= {("up", CREATE), ("up", WRITE)}


async def test_subdirectories_are_told_only_if_asked(sandbox, watch, told):
    await sandbox.files.make_dir("sub/deep")
    await watch()
    assert await told("touch sub/x sub/deep/y") == []


async def test_recursive_watch_names_the_path_below_the_directory(sandbox, watch, told):
    await sandbox.files.make_dir("sub/deep")
    await watch(recursive=True)
    assert await told("mkfifo sub/x; mkfifo sub/deep/y; rm sub/deep/y") == [
        ("sub/x", CREATE),
        ("sub/deep/y", CREATE),
        ("sub/deep/y", REMOVE),
    ]


async def test_directories_made_later_are_watched_with_all_that_is_in_them_at_once(watch, told):
    await watch(recursive=True)
    script = "mkdir -p a/b/c; mkfifo a/b/c/f; for i in {1..50}; do mkdir -p t$i/u; mkfifo t$i/u/v; done"
    found = await told(script)
    expected = ["a", "a/b", "a/b/c", "a/b/c/f"]
    expected += [name for i in range(1, 51) for name in (f"t{i}", f"t{i}/u", f"t{i}/u/v")]
    assert sorted(found) == sorted((name, CREATE) for name in expected)


async def test_moved_directory_tells_its_new_path(sandbox, watch, told):
    await sandbox.files.make_dir("old/in")
    await watch(recursive=True)
    assert await told("mv old new; mkfifo new/in/f") == [("old", RENAME), ("new", CREATE), ("new/in/f", CREATE)]


async def test_directory_that_is_moved_away_is_silent(sandbox, events, eventually):
    await sandbox.commands.run("mkdir -p watched/sub elsewhere")
    handle = await sandbox.files.watch_dir("watched", events.append, timeout=0, recursive=True)
    await sandbox.commands.run("mv watched/sub elsewhere/")
    await eventually(lambda: [event.name for event in events] == ["sub"])
    await sandbox.commands.run("mkfifo elsewhere/sub/unseen; mkdir watched/seen")
    await eventually(lambda: events[-1].name == "seen")
    assert [(event.name, event.type) for event in events] == [("sub", RENAME), ("seen", CREATE)]
    await handle.stop()


async def test_entry_comes_along_if_asked(sandbox, watch, told, events):
    await sandbox.files.make_dir("/home/user/dir")
    await watch("/home/user", recursive=True, include_entry=True)
    await told("printf 12345 > dir/f; chmod 640 dir/f; rm dir/f")
    created = next(event for event in events if event.type is CREATE)
    removed = next(event for event in events if event.type is REMOVE)
    assert removed.entry is None
    if created.entry is not None:  # it may be gone before it is looked at
        assert (created.entry.path, created.entry.type) == ("/home/user/dir/f", FileType.FILE)
    await sandbox.files.write("/home/user/dir/kept", "12345")
    await told("chmod 640 dir/kept")
    changed = next(event for event in reversed(events) if event.name == "dir/kept")
    assert (changed.entry.path, changed.entry.mode, changed.entry.size) == ("/home/user/dir/kept", 0o640, 5)


async def test_no_entry_comes_along_unasked(watch, told, events):
    await watch()
    await told("touch f")
    assert all(event.entry is None for event in events)


async def test_watch_through_a_link_names_paths_as_the_client_does(sandbox, events, eventually):
    await sandbox.commands.run("mkdir real; ln -s real link")
    handle = await sandbox.files.watch_dir("link", events.append, timeout=0, include_entry=True)
    await sandbox.commands.run("mkdir real/sub")
    await eventually(lambda: bool(events))
    assert (events[0].name, events[0].entry.path) == ("sub", "/home/user/link/sub")
    await handle.stop()


async def test_removed_directory_tells_its_own_end(sandbox, events, eventually):
    await sandbox.files.make_dir("gone")
    handle = await sandbox.files.watch_dir("gone", events.append, timeout=0)
    await sandbox.files.remove("gone")
    await eventually(lambda: [(event.name, event.type) for event in events] == [(".", REMOVE)])
    await handle.stop()


async def test_names_that_are_no_text_do_not_end_the_watch(watch, told):
    await watch()
    found = await told("mkfifo $'bad\\xff'; mkfifo good")
    assert found == [("bad\N{REPLACEMENT CHARACTER}", CREATE), ("good", CREATE)]


async def test_stopped_watch_leaves_no_descriptor(sandbox, eventually):
    def count():
        return sum("inotify" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())

    before = count()
    handle = await sandbox.files.watch_dir(".", lambda event: None, timeout=0, recursive=True)
    assert count() == before + 1
    await handle.stop()
    await eventually(lambda: count() == before)


async def test_end_of_time_is_told_to_on_exit(sandbox, eventually):
    ends = []
    # In a task of its own: the SDK cancels the task that called it.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sandbox.files.watch_dir(".", lambda event: None, ends.append, timeout=0.3))
    await eventually(lambda: len(ends) == 1)
    assert isinstance(ends[0], TimeoutException)


async def test_killed_sandbox_ends_the_watch(sandbox, eventually):
    ends = []
    await sandbox.files.watch_dir(".", lambda event: None, ends.append, timeout=0)
    await sandbox.kill()
    await eventually(lambda: len(ends) == 1)
    assert isinstance(ends[0], Exception)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        pytest.param("missing", FileNotFoundException, id="missing"),
        pytest.param("file", InvalidArgumentException, id="file"),
        pytest.param("out", SandboxException, id="outside"),
    ],
)
async def test_what_cannot_be_watched_is_refused(sandbox, path, error):
    await sandbox.commands.run("touch file; ln -s / out")
    with pytest.raises(error):
        await sandbox.files.watch_dir(path, lambda event: None)


async def test_slow_reader_hears_of_everything(sandbox, events, eventually):
    async def slow(event):
        await anyio.lowlevel.checkpoint()
        events.append(event)

    handle = await sandbox.files.watch_dir(".", slow, timeout=0)
    await sandbox.commands.run("for i in {1..2000}; do : > f$i; done")
    await eventually(lambda: len(events) >= 2000)
    assert [event.name for event in events if event.type is CREATE] == [f"f{i}" for i in range(1, 2001)]
    await handle.stop()


@pytest.fixture
async def sync_sandbox(client, sandbox):
    return await to_thread.run_sync(client.Sandbox.connect, sandbox.sandbox_id)


async def test_sync_watcher_returns_what_happened_since_the_last_question(sync_sandbox, sandbox, eventually):
    handle = await to_thread.run_sync(lambda: sync_sandbox.files.watch_dir(".", recursive=True, include_entry=True))
    found = []

    async def has(name):
        found.extend(await to_thread.run_sync(handle.get_new_events))
        return any(event.name == name for event in found)

    await sandbox.commands.run("mkdir -p d/e; mkfifo d/e/f; mkdir last")
    await eventually(lambda: has("last"))
    assert [(event.name, event.type) for event in found] == [(n, CREATE) for n in ("d", "d/e", "d/e/f", "last")]
    assert found[0].entry.path == "/home/user/d"
    assert await to_thread.run_sync(handle.get_new_events) == []
    await to_thread.run_sync(handle.stop)
    with pytest.raises(SandboxException):
        await to_thread.run_sync(handle.get_new_events)


async def test_removed_watcher_is_not_found(sync_sandbox):
    first = await to_thread.run_sync(lambda: sync_sandbox.files.watch_dir("."))
    await to_thread.run_sync(first.stop)
    with pytest.raises(NotFoundException):
        await to_thread.run_sync(first.stop)


async def test_sync_watcher_that_nobody_asks_says_that_it_lost_something(sync_sandbox, sandbox, monkeypatch):
    monkeypatch.setattr("sandboxes.emulator.envd.watchers.EVENTS_KEPT_MAX", 10)
    handle = await to_thread.run_sync(lambda: sync_sandbox.files.watch_dir("."))
    await sandbox.commands.run("for i in {1..20}; do touch f$i; done")
    with pytest.raises(SandboxException, match="over 10 events"):
        await to_thread.run_sync(handle.get_new_events)
    await to_thread.run_sync(handle.stop)


async def test_killed_sandbox_closes_its_watchers(sync_sandbox, sandbox):
    def count():
        return sum("inotify" in str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())

    before = count()
    await to_thread.run_sync(lambda: sync_sandbox.files.watch_dir("."))
    await sandbox.kill()
    assert count() == before
