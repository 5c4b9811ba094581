"""The frames of a client's stream: cut anywhere, malformed, too long, packed, interleaved - against a small model."""

import asyncio
import base64
import itertools
import json
import struct

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandboxes.emulator.envd.connect import MESSAGE_BYTES_MAX

few = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADER = struct.Struct(">BI")
STREAM = {"Content-Type": "application/connect+json"}


def pack(body, *, flags=0):
    return HEADER.pack(flags, len(body)) + body


START, DATA, KEEPALIVE, END, BROKEN = "start", "data", "keepalive", "end", "broken"
frames = st.one_of(
    st.just((START, None)),
    st.tuples(st.just(DATA), st.binary(max_size=30)),
    st.just((KEEPALIVE, None)),
    st.just((END, None)),
    st.tuples(
        st.just(BROKEN),
        st.sampled_from(
            [
                ("unimplemented", pack(b"{}", flags=0x01)),
                ("unimplemented", pack(b"{}", flags=0x03)),
                ("invalid_argument", pack(b"{}", flags=0x04)),
                ("invalid_argument", pack(b"{}", flags=0x80)),
                ("invalid_argument", pack(b"{")),
                ("invalid_argument", pack(b'{"data":"no"}')),
                ("not_found", pack(b'{"start":{"process":{"pid":999999999}}}')),
                ("resource_exhausted", HEADER.pack(0, MESSAGE_BYTES_MAX + 1)),
                ("resource_exhausted", HEADER.pack(0, 2**32 - 1) + b"{}"),
                ("invalid_argument", HEADER.pack(0, 100) + b'{"data"'),
                ("invalid_argument", b"\0\0\0"),
            ]
        ),
    ),
)
cuts = st.lists(st.integers(1, 40), max_size=8)


def frame(message):
    return pack(json.dumps(message).encode())


def encode(kind, value, *, pid):
    match kind:
        case "start":
            return frame({"start": {"process": {"pid": pid}}})
        case "data":
            return frame({"data": {"input": {"stdin": base64.b64encode(value).decode()}}})
        case "keepalive":
            return frame({"keepalive": {}})
        case "end":
            return pack(b"{}", flags=0x02)
    return value[1]


def foretell(sent):
    """Return what arrives at the command, and the code of the refusal if there is one."""
    arrived, is_started = b"", False
    for kind, value in sent:
        if kind == END:
            break
        if kind == BROKEN:
            return arrived, value[0]
        if kind == DATA and not is_started:
            return arrived, "invalid_argument"
        is_started = is_started or kind == START
        arrived += value if kind == DATA else b""
    return arrived, None


def split_frames(data):
    """Return the frames of a server's stream: messages, and at the end exactly one that ends it."""
    found = []
    while data:
        flags, length = HEADER.unpack_from(data)
        assert len(data) >= HEADER.size + length
        found.append((flags, json.loads(data[HEADER.size : HEADER.size + length])))
        data = data[HEADER.size + length :]
    assert [flags for flags, _ in found] == [0] * (len(found) - 1) + [0x02]
    return [message for _, message in found[:-1]]


async def send_in_pieces(data, sizes):
    for size in itertools.chain(sizes, [max(1, len(data))]):
        if data:
            yield data[:size]
            data = data[size:]
            await asyncio.sleep(0)  # lets others have their turn, and pieces travel on their own


async def feed_cat(http, headers, *, sent, sizes):
    """Start `cat`, stream to its input what is to be sent, and return its output and the stream's answer."""
    command = frame({"process": {"cmd": "/bin/cat"}, "stdin": True})
    async with http.post("/process.Process/Start", data=command, headers=headers | STREAM) as running:
        head = await running.content.readexactly(HEADER.size)
        first = await running.content.readexactly(HEADER.unpack(head)[1])
        pid = json.loads(first)["event"]["start"]["pid"]
        body = b"".join(encode(kind, value, pid=pid) for kind, value in sent)
        pieces = send_in_pieces(body, sizes)
        async with http.post("/process.Process/StreamInput", data=pieces, headers=headers | STREAM) as answer:
            answered = await answer.read()
        selector = {"process": {"pid": pid}}
        async with http.post("/process.Process/CloseStdin", json=selector, headers=headers) as closed:
            assert closed.status == 200
        events = [message["event"] for message in split_frames(head + first + await running.read())]
    output = b"".join(base64.b64decode(event.get("data", {}).get("stdout", "")) for event in events)
    return output, answer.status, answered


@few
@given(sent=st.lists(frames, max_size=6), sizes=cuts)
@example(sent=[(START, None), (DATA, b"x"), (BROKEN, ("invalid_argument", b"\0\0\0"))], sizes=[1, 1, 1])
@example(sent=[(START, None), (DATA, b"x"), (BROKEN, ("invalid_argument", pack(b"{}", flags=0x04)))], sizes=[])
def test_frames_before_the_first_bad_one_arrive_however_they_are_cut(fuzzed, sent, sizes):
    def only_the_last_is_open(frames_sent):
        # A frame that promises more than there is would swallow what follows: it can only be the last.
        open_ends = [i for i, (kind, value) in enumerate(frames_sent) if kind == BROKEN and is_open(value[1])]
        return frames_sent[: open_ends[0] + 1] if open_ends else frames_sent

    sent = only_the_last_is_open(sent)
    arrived, refusal = foretell(sent)
    output, status, answered = fuzzed.run(lambda http, headers: feed_cat(http, headers, sent=sent, sizes=sizes))
    assert output == arrived
    if refusal is None:
        assert (status, split_frames(answered)) == (200, [{}])
    else:
        assert json.loads(answered)["code"] == refusal


def is_open(data):
    return len(data) < HEADER.size or len(data) < HEADER.size + HEADER.unpack_from(data)[1]


@few
@given(texts=st.lists(st.lists(st.binary(max_size=30), max_size=4), min_size=2, max_size=4), sizes=cuts)
def test_streams_at_the_same_time_do_not_mix(fuzzed, texts, sizes):
    async def feed_all(http, headers):
        feeds = (
            feed_cat(http, headers, sent=[(START, None), *((DATA, text) for text in text_of_one)], sizes=sizes)
            for text_of_one in texts
        )
        return [output for output, _status, _answer in await asyncio.gather(*feeds)]

    assert fuzzed.run(feed_all) == [b"".join(text_of_one) for text_of_one in texts]


@few
@given(cut=st.integers(0, 120))
def test_client_that_leaves_within_a_frame_leaves_the_server_whole(fuzzed, cut):
    body = frame({"start": {"process": {"pid": 1}}}) + frame({"data": {"input": {"stdin": "eA=="}}})

    async def leave(http, headers):
        _reader, writer = await asyncio.open_connection(http._base_url.host, http._base_url.port)
        head = {"Host": "127.0.0.1", "Content-Length": "200"} | headers | STREAM
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"POST /process.Process/StreamInput HTTP/1.1\r\n{lines}\r\n".encode() + body[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with http.post("/process.Process/List", json={}, headers=headers) as answer:
            return answer.status

    assert fuzzed.run(leave) == 200
