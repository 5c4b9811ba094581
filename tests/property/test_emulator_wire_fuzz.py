"""What is below the documents: any bytes in headers, and hostile JSON."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADERS = (
    "Accept-Encoding",
    "Authorization",
    "Connect-Timeout-Ms",
    "Content-Encoding",
    "Content-Type",
    "E2b-Sandbox-Id",
    "E2b-Sandbox-Port",
    "Idempotency-Key",
    "If-Modified-Since",
    "If-Range",
    "Keepalive-Ping-Interval",
    "Range",
    "X-Access-Token",
    "X-API-KEY",
    "X-Metadata-k",
)
REQUESTS = (
    ("GET", "/files?path=f", b""),
    ("POST", "/files?path=f", b"x"),
    ("POST", "/process.Process/List", b"{}"),
    ("POST", "/process.Process/Connect", b"\0\0\0\0\x19" + b'{"process":{"pid":999999}}'),
    ("GET", "/v2/sandboxes", b""),
    ("POST", "/v2/sandboxes", b'{"templateID":"nonsense"}'),
)
UNARY = (
    *(f"/filesystem.Filesystem/{name}" for name in ("Stat", "MakeDir", "Move", "ListDir", "Remove", "CreateWatcher")),
    *(f"/process.Process/{name}" for name in ("List", "SendInput", "SendSignal", "CloseStdin", "Update")),
    "/files/compose",
)
header_values = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"9" * 5000, b"bytes=" + b"9" * 5000 + b"-", b"\xff", b"Basic \xff", b"gzip;q=9\xff"]),
).map(lambda value: bytes(byte for byte in value if byte >= 0x20 and byte != 0x7F))


@quick
@given(request=st.sampled_from(REQUESTS), name=st.sampled_from(HEADERS), value=header_values)
@example(request=REQUESTS[4], name="X-API-KEY", value=b"\xff")
@example(request=REQUESTS[0], name="X-Access-Token", value=b"\xff")
@example(request=REQUESTS[0], name="E2b-Sandbox-Id", value=b"\xff")
@example(request=REQUESTS[0], name="E2b-Sandbox-Port", value=b"9" * 5000)
@example(request=REQUESTS[1], name="Content-Encoding", value=b"\xff")
def test_any_bytes_in_a_header(fuzzed, request, name, value):
    method, path, body = request
    headers = {"Host": "127.0.0.1", "Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
    headers |= {"X-API-KEY": "key"} if path.startswith("/v2") else fuzzed.headers
    headers = {key: text.encode() for key, text in headers.items()} | {name: value}
    lines = b"".join(key.encode() + b": " + text + b"\r\n" for key, text in headers.items())
    status = fuzzed.ask_raw(f"{method} {path} HTTP/1.1\r\n".encode() + lines, body)
    assert status < 500 or status in (501, 502)  # not there; no such sandbox or port


def nest(depth):
    return b"[" * depth + b"]" * depth


hostile_values = st.one_of(
    st.sampled_from([b'"\xff"', b"1e999", b"-0", b"9" * 5000, b"null", nest(50), nest(100_000), b'"\\ud800"', b"{}"]),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)
fields = st.sampled_from(
    [b"path", b"process", b"input", b"signal", b"pty", b"depth", b"source", b"unknown", b"source_paths", b"watcherId"]
)


@quick
@given(call=st.sampled_from(UNARY), body=st.dictionaries(fields, hostile_values, max_size=3))
@example(call="/process.Process/List", body={b"unknown": nest(100_000)})
@example(call="/filesystem.Filesystem/Stat", body={b"path": b'"\xff"'})
@example(call="/process.Process/SendSignal", body={b"process": b'{"pid":%s}' % (b"9" * 30)})
def test_any_json_as_a_call(fuzzed, call, body):
    text = b"{" + b",".join(b'"' + name + b'":' + value for name, value in body.items()) + b"}"
    status, _ = fuzzed.ask("POST", call, data=text, headers={"Content-Type": "application/json"})
    assert status < 500


@pytest.mark.parametrize("value", [nest(100_000), b'"\xff"', b"1e999"], ids=["nested", "no UTF-8", "out of range"])
def test_hostile_json_is_refused_by_the_control_plane(fuzzed, value):
    async def create(http, _headers):
        body = b'{"templateID":"nonsense","timeout":' + value + b"}"
        key = {"X-API-KEY": "key"}
        async with http.post("/v2/sandboxes", data=body, headers=key) as refused:
            pass
        async with http.post("/v2/sandboxes", data=body.replace(b"timeout", b"x"), headers=key) as passed_over:
            return refused.status, passed_over.status

    assert fuzzed.run(create) in ((400, 400), (400, 404))


@pytest.mark.parametrize("value", [b'"\xff"', b"9" * 5000])
def test_unknown_field_of_an_idempotent_creation_may_be_anything(fuzzed, value):
    async def create(http, _headers):
        body = b'{"templateID":"base","timeout":1,"x":' + value + b"}"
        answer = await http.post("/v2/sandboxes", data=body, headers={"X-API-KEY": "key", "Idempotency-Key": "k"})
        return answer.status

    assert fuzzed.run(create) == 201
