"""Transfers of files beyond plain reading and writing: metadata, signed addresses, conditions, gzip, a full disk."""

import base64
import gzip
import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from anyio import to_thread
from e2b import (
    AuthenticationException,
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
)

from sandboxes.emulator import EmulatorServer

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


@pytest.fixture
async def http(emulator, sandbox):
    """A plain client that holds the sandbox's token."""
    async with aiohttp.ClientSession(
        emulator.url, headers=sandbox.connection_config.sandbox_headers, auto_decompress=False
    ) as session:
        yield session


@pytest.fixture
async def stranger(emulator):
    """A plain client that knows nothing but addresses."""
    async with aiohttp.ClientSession() as session:
        yield session


async def test_metadata_comes_back_with_the_file(sandbox):
    written = await sandbox.files.write("file", "x", metadata={"Owner": "desk", "note": "two words"})
    expected = {"owner": "desk", "note": "two words"}
    assert written.metadata == expected
    assert (await sandbox.files.get_info("file")).metadata == expected
    assert [entry.metadata for entry in await sandbox.files.list(".") if entry.name == "file"] == [expected]
    assert (await sandbox.files.rename("file", "moved")).metadata == expected


async def test_overwriting_replaces_all_metadata(sandbox):
    await sandbox.files.write("file", "x", metadata={"a": "1", "b": "2"})
    await sandbox.files.write("file", "x", metadata={"b": "3"})
    assert (await sandbox.files.get_info("file")).metadata == {"b": "3"}
    await sandbox.files.write("file", "x")
    assert (await sandbox.files.get_info("file")).metadata is None


async def test_metadata_lies_on_the_file_where_commands_see_it(sandbox):
    await sandbox.files.write("file", "x", metadata={"a": "1"})
    script = "import os; print(os.getxattr('file', 'user.e2b.a').decode()); os.setxattr('file', 'user.e2b.b', b'2')"
    assert (await sandbox.commands.run(f'python -c "{script}"')).stdout == "1\n"
    assert (await sandbox.files.get_info("file")).metadata == {"a": "1", "b": "2"}


async def test_metadata_is_kept_where_the_file_system_cannot(sandbox, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.listxattr", refuse)
    await sandbox.files.write("file", "x", metadata={"a": "1"})
    assert (await sandbox.files.rename("file", "moved")).metadata == {"a": "1"}
    await sandbox.files.write("moved", "x")
    assert (await sandbox.files.get_info("moved")).metadata is None


async def test_metadata_for_several_streamed_files(sandbox):
    files = [{"path": "a", "data": "1"}, {"path": "b", "data": "2"}]
    written = await sandbox.files.write_files(files, use_octet_stream=True, gzip=True, metadata={"k": "v"})
    assert [info.metadata for info in written] == [{"k": "v"}, {"k": "v"}]


async def test_too_much_metadata_is_refused_before_anything_is_written(sandbox):
    with pytest.raises(InvalidArgumentException, match="invalid metadata"):
        await sandbox.files.write("file", "x", metadata={"k": "v" * 4096})
    assert not await sandbox.files.exists("file")


@pytest.mark.parametrize("user", [None, "user", "root"])
@pytest.mark.parametrize("expiration", [None, 60])
async def test_signed_addresses_need_no_token(sandbox, stranger, user, expiration):
    address = sandbox.upload_url("note", user=user, use_signature_expiration=expiration)
    form = aiohttp.FormData()
    form.add_field("file", b"signed", filename="note")
    async with stranger.post(address, data=form) as answer:
        assert answer.status == 200, await answer.text()
    async with stranger.get(sandbox.download_url("note", user, expiration)) as answer:
        assert (answer.status, await answer.text()) == (200, "signed")
    assert await sandbox.files.read("note", user=user) == "signed"


async def test_signed_address_finds_its_sandbox_among_many(client, sandbox, stranger):
    others = [await client.AsyncSandbox.create(timeout=60) for _ in range(3)]
    for number, each in enumerate([sandbox, *others]):
        await each.files.write("who", str(number))
    for number, each in enumerate([sandbox, *others]):
        async with stranger.get(each.download_url("who")) as answer:
            assert await answer.text() == str(number)
    gone = others[0].download_url("who")
    await others[0].kill()
    async with stranger.get(gone) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("path=note", "path=other", id="path"),
        pytest.param("signature=v1_", "signature=v1_A", id="signature"),
        pytest.param("signature_expiration=", "signature_expiration=9", id="expiration"),
        pytest.param("username=root", "username=user", id="user"),
    ],
)
@pytest.mark.parametrize("names_sandbox", [False, True])
async def test_changed_address_is_refused(sandbox, stranger, names_sandbox, old, new):
    await sandbox.files.write("note", "x")
    address = sandbox.download_url("note", user="root", use_signature_expiration=60)
    assert old in address
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id} if names_sandbox else {}
    async with stranger.get(address.replace(old, new), headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (401, 401)
        assert "invalid signature" in (await answer.json())["message"]


async def test_signature_to_read_does_not_write(sandbox, stranger):
    async with stranger.post(sandbox.download_url("note"), data=b"x") as answer:
        assert answer.status == 401


async def test_expired_address_is_refused(emulator, sandbox, stranger):
    token = sandbox.connection_config.sandbox_headers["X-Access-Token"]
    digest = hashlib.sha256(f"note:read::{token}:1000".encode()).digest()
    query = {
        "path": "note",
        "signature": "v1_" + base64.b64encode(digest).decode().rstrip("="),
        "signature_expiration": "1000",
    }
    async with stranger.get(f"{emulator.url}/files", params=query) as answer:
        assert answer.status == 401
        assert "already expired" in (await answer.json())["message"]


async def test_files_without_token_or_signature_are_refused(emulator, sandbox, stranger):
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id}
    for token in ({}, {"X-Access-Token": "wrong"}):
        async with stranger.get(f"{emulator.url}/files?path=x", headers={**headers, **token}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 401)


async def test_unchanged_file_is_not_sent_again(sandbox, http):
    await sandbox.files.write("page.html", "<p>")
    async with http.get("/files?path=page.html") as answer:
        assert answer.headers["Content-Type"] == "text/html"
        modified = answer.headers["Last-Modified"]
    async with http.get("/files?path=page.html", headers={"If-Modified-Since": modified}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    before = format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)
    async with http.get("/files?path=page.html", headers={"If-Modified-Since": before}) as answer:
        assert answer.status == 200
    async with http.get("/files?path=page.html", headers={"If-Unmodified-Since": before}) as answer:
        assert answer.status == 412


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        pytest.param("bytes=2-4", 206, b"234", id="middle"),
        pytest.param("bytes=7-", 206, b"789", id="from"),
        pytest.param("bytes=-2", 206, b"89", id="last"),
        pytest.param("bytes=8-99", 206, b"89", id="beyond"),
    ],
)
async def test_ranges(sandbox, http, wanted, status, body):
    await sandbox.files.write("digits", "0123456789")
    async with http.get("/files?path=digits", headers={"Range": wanted, "Accept-Encoding": "gzip"}) as answer:
        assert (answer.status, await answer.read()) == (status, body)


async def test_range_of_a_file_that_has_changed_is_the_whole_file(sandbox, http):
    await sandbox.files.write("digits", "0123456789")
    for shift, status in ((timedelta(), 206), (timedelta(seconds=-9), 200)):
        info = await sandbox.files.get_info("digits")
        moment = format_datetime(info.modified_time.replace(microsecond=0, tzinfo=UTC) + shift, usegmt=True)
        async with http.get("/files?path=digits", headers={"Range": "bytes=0-1", "If-Range": moment}) as answer:
            assert answer.status == status


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=5-2", "bytes=x"])
async def test_range_outside_the_file_is_refused(sandbox, http, wanted):
    await sandbox.files.write("digits", "0123456789")
    async with http.get("/files?path=digits", headers={"Range": wanted}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (416, 416)


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [("gzip", True), ("gzip, identity;q=0", True), ("gzip, deflate, br", False), ("", False), ("gzip;q=0", False)],
)
async def test_gzip_goes_to_those_who_take_nothing_else(sandbox, http, accepted, packs):
    await sandbox.files.write("f", "x" * 10_000)
    async with http.get("/files?path=f", headers={"Accept-Encoding": accepted}) as answer:
        body = await answer.read()
        assert (answer.headers.get("Content-Encoding") == "gzip") is packs
    assert (gzip.decompress(body) if packs else body) == b"x" * 10_000


async def test_client_that_takes_nothing_is_told_so(sandbox, http):
    await sandbox.files.write("f", "x")
    async with http.get("/files?path=f", headers={"Accept-Encoding": "br, *;q=0"}) as answer:
        assert answer.status == 406


@pytest.mark.parametrize(
    "body",
    [b"plain", gzip.compress(b"whole")[:-5], b"", gzip.compress(b"x") + b"rest"],
    ids=["plain", "cut", "empty", "trailing"],
)
async def test_upload_that_is_not_the_gzip_it_says_is_refused(http, body):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    async with http.post("/files?path=f", data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, 400)


async def test_upload_of_several_gzip_members_is_all_of_them(sandbox, http):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    body = gzip.compress(b"one ") + gzip.compress(b"two " * 500_000)
    async with http.post("/files?path=f", data=body, headers=headers) as answer:
        assert answer.status == 200
    assert await sandbox.files.read("f", format="bytes") == b"one " + b"two " * 500_000


async def test_same_path_twice_in_one_form_is_refused(sandbox):
    with pytest.raises(InvalidArgumentException, match="same path"):
        await sandbox.files.write_files([{"path": "a", "data": "1"}, {"path": "./a", "data": "2"}])
    assert await sandbox.files.read("a") == "1"


async def test_other_content_types_are_refused(http):
    async with http.post("/files?path=f", json={}) as answer:
        assert answer.status == 400
        assert "unsupported content type" in (await answer.json())["message"]


async def test_pipes_are_not_read_or_written(sandbox):
    await sandbox.commands.run("mkfifo pipe")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.read("pipe")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.write("pipe", "x")


async def compose(http, **fields):
    async with http.post("/files/compose", json=fields) as answer:
        return answer.status, await answer.json()


async def test_compose_joins_files_and_removes_them(sandbox, http):
    await sandbox.files.write_files([{"path": f"part{i}", "data": str(i) * 3} for i in range(3)])
    answer = await compose(http, source_paths=["part0", "/home/user/part1", "~/part2"], destination="new/whole")
    assert answer == (200, {"name": "whole", "path": "/home/user/new/whole", "type": "file"})
    assert await sandbox.files.read("new/whole") == "000111222"
    assert [entry.name for entry in await sandbox.files.list(".") if "part" in entry.name] == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param({"source_paths": [], "destination": "d"}, 400, id="no-source"),
        pytest.param({"source_paths": ["a"]}, 400, id="no-destination"),
        pytest.param({"source_paths": ["a", "missing"], "destination": "d"}, 404, id="missing"),
        pytest.param({"source_paths": ["a", "."], "destination": "d"}, 400, id="directory"),
        pytest.param({"source_paths": ["a"], "destination": "./a"}, 400, id="itself"),
        pytest.param({"source_paths": ["a"], "destination": "d", "username": "nobody"}, 401, id="user"),
        pytest.param({"source_paths": "a", "destination": "d"}, 400, id="form"),
    ],
)
async def test_refused_compose_changes_nothing(sandbox, http, fields, status):
    await sandbox.files.write("a", "kept")
    found, body = await compose(http, **fields)
    assert (found, body["code"]) == (status, status)
    assert await sandbox.files.read("a") == "kept"
    assert not await sandbox.files.exists("d")


@pytest.mark.parametrize("operation", ["read", "write"])
async def test_unknown_user_of_a_file_is_refused(sandbox, operation):
    arguments = ("f",) if operation == "read" else ("f", "x")
    with pytest.raises(AuthenticationException, match="unknown user nobody"):
        await getattr(sandbox.files, operation)(*arguments, user="nobody")


@pytest.fixture
async def full_disk_sandbox(anyio_backend, tmp_path, connect_to):
    """A sandbox whose file system holds one megabyte."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small file system is not allowed here: {mounted.stderr.decode()}")
    try:
        async with EmulatorServer("key-of-this-test-run", data_dir=tmp_path) as server:
            yield await connect_to(server.url).AsyncSandbox.create(timeout=60)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


async def test_full_disk_is_told(full_disk_sandbox):
    for options in ({}, {"use_octet_stream": True}):
        with pytest.raises(NotEnoughSpaceException):
            await full_disk_sandbox.files.write("big", os.urandom(2_000_000), **options)
    await full_disk_sandbox.files.remove("big")
    await full_disk_sandbox.files.write("small", "fits", metadata={"k": "v"})
    assert (await full_disk_sandbox.files.get_info("small")).metadata == {"k": "v"}


async def test_sync_sdk_transfers_files(client, sandbox):
    def transfer():
        box = client.Sandbox.connect(sandbox.sandbox_id)
        written = box.files.write("f", b"\0bytes", metadata={"k": "v"})
        box.files.write("g", "x" * 10_000, gzip=True)
        with pytest.raises(FileNotFoundException):
            box.files.read("missing")
        with box.files.read("g", format="stream") as stream:
            streamed = b"".join(stream)
        return written.metadata, box.files.read("f", format="bytes"), box.files.read("g", gzip=True), streamed

    expected = ({"k": "v"}, b"\0bytes", "x" * 10_000, b"x" * 10_000)
    assert await to_thread.run_sync(transfer) == expected
