"""Whatever bytes, frames and paths a client sends: an answer in time, never the server's own failure, never outside."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.paths import SandboxPaths

SERVER_FAILURE = 500
UNARY = ("Stat", "MakeDir", "Move", "ListDir", "Remove", "CreateWatcher", "GetWatcherEvents", "RemoveWatcher")
STREAMS = ("/process.Process/StreamInput", "/process.Process/Connect", "/filesystem.Filesystem/WatchDir")

pieces = st.sampled_from(
    ["..", ".", "", "~", "a", "é", "\0", "\ud800", "\udcff", "x" * 300, "link", "own", "up", "loop", "C:\\", "%2e%2e"]
)
paths = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=8).map("/".join), st.just("d/" * 3000))
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", params=[False, True], ids=["beside", "enclosed"])
def tree(request, tmp_path_factory):
    """A sandbox's files with links of all kinds, next to something that is not the sandbox's."""
    outer = tmp_path_factory.mktemp("outer").resolve()
    (outer / "secret").write_text("secret")
    sandbox = SandboxPaths(outer / "root", is_enclosed=request.param)
    sandbox.home.mkdir(parents=True)
    for directory in (sandbox.root, sandbox.home):
        (directory / "link").symlink_to(outer)
        (directory / "loop").symlink_to("loop")
        (directory / "own").symlink_to("/home/user/a")
        (directory / "up").symlink_to("/home/.sandbox/../..")
        (directory / "a").mkdir()
    return sandbox


@quick
@given(path=paths, user=st.sampled_from(["user", "root"]), is_entry=st.booleans())
def test_no_path_leads_out_of_the_root(tree, path, user, is_entry):
    seen = tree.for_user(user)
    try:
        real = seen.locate_entry(path) if is_entry else seen.locate(path)
    except (RpcError, OSError) as refusal:
        event(f"refused: {refusal}"[:40])
        return
    assert real.is_relative_to(tree.root)
    assert real == tree.root or Path(os.path.realpath(real.parent)).is_relative_to(tree.root)
    assert ".." not in real.parts
    assert tree.name(real).encode()


@quick
@given(path=paths)
def test_a_name_given_by_the_server_means_the_same_entry(tree, path):
    try:
        real = tree.locate_entry(path)
    except (RpcError, OSError):
        return
    if os.fsencode(real).decode(errors="replace") == str(real):  # a name that is no text is shown only
        assert tree.locate_entry(tree.name(real)) == real


@quick
@given(call=st.sampled_from(UNARY), body=st.binary(max_size=200))
def test_any_bytes_as_a_call(fuzzed, call, body):
    status, _ = fuzzed.ask("POST", f"/filesystem.Filesystem/{call}", data=body)
    assert status < SERVER_FAILURE


@quick
@given(call=st.sampled_from(["Stat", "ListDir", "MakeDir", "CreateWatcher"]), path=paths)
def test_any_path_in_a_call(fuzzed, call, path):
    status, _ = fuzzed.ask("POST", f"/filesystem.Filesystem/{call}", json={"path": path})
    assert status < SERVER_FAILURE


@quick
@given(source=paths, destination=paths)
def test_any_pair_of_paths_in_a_move(fuzzed, source, destination):
    status, _ = fuzzed.ask("POST", "/filesystem.Filesystem/Move", json={"source": source, "destination": destination})
    assert status < SERVER_FAILURE


@quick
@given(
    call=st.sampled_from(STREAMS),
    flags=st.integers(0, 255),
    length=st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
    body=st.one_of(st.binary(max_size=60), st.sampled_from([b"{}", b'{"path":"x"}', b'{"process":{"pid":1}}'])),
)
def test_any_frame_of_a_stream(fuzzed, call, flags, length, body):
    # WatchDir of an existing directory goes on for ever: the deadline ends it.
    headers = {"Content-Type": "application/connect+json", "Connect-Timeout-Ms": "20"}
    status, _ = fuzzed.ask("POST", call, data=struct.pack(">BI", flags, length) + body, headers=headers)
    assert status < SERVER_FAILURE or status == 501


@quick
@given(data=st.binary(max_size=100), milliseconds=st.text("0123456789-. x٣", max_size=12))
def test_any_bytes_as_a_stream_and_any_deadline(fuzzed, data, milliseconds):
    headers = {"Connect-Timeout-Ms": milliseconds.strip().encode("ascii", "replace").decode()}
    status, _ = fuzzed.ask("POST", "/process.Process/StreamInput", data=data, headers=headers)
    assert status < SERVER_FAILURE or status == 501


@quick
@given(
    path=paths, operation=st.sampled_from(["GET", "POST"]), kind=st.sampled_from(["application/octet-stream", "x/y"])
)
def test_any_path_of_a_transfer(fuzzed, path, operation, kind):
    query = {"path": path.encode(errors="replace").decode()}
    options = {"data": b"x", "headers": {"Content-Type": kind}} if operation == "POST" else {}
    status, _ = fuzzed.ask(operation, "/files", params=query, **options)
    assert status < SERVER_FAILURE


@quick
@given(body=st.binary(max_size=200), is_form=st.booleans())
def test_any_bytes_as_an_upload(fuzzed, body, is_form):
    if is_form:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        body = b'--b\r\nContent-Disposition: form-data; name=file; filename="f"\r\n' + body
    else:
        headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    status, _ = fuzzed.ask("POST", "/files?path=f", data=body, headers=headers)
    assert status < SERVER_FAILURE


@quick
@given(
    name=st.sampled_from(
        ["Range", "Accept-Encoding", "If-Range", "If-Modified-Since", "Authorization", "X-Metadata-k"]
    ),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    query=st.dictionaries(st.sampled_from(["signature", "signature_expiration", "username"]), st.text(max_size=20)),
)
def test_any_header_and_signature_of_a_download(fuzzed, name, value, query):
    query = {key: text.encode(errors="replace").decode() for key, text in query.items()}
    for method in ("GET", "POST"):
        status, _ = fuzzed.ask(
            method,
            "/files",
            params={"path": "f", **query},
            headers={name: value.strip(), "Content-Type": "application/octet-stream"},
        )
        assert status < SERVER_FAILURE
