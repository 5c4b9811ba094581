"""Every value survives the wire, and no bytes do worse than be refused."""

import math

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strategies import Bar
from topologies.detector import PeerState
from topologies.messages import (
    Ballot,
    Canvass,
    Claim,
    Decision,
    Grant,
    Item,
    Join,
    LaneDone,
    Leave,
    Refusal,
    Result,
    Task,
    Tick,
    Vote,
    Work,
)
from workers.codec import (
    Ack,
    Assigned,
    Batch,
    Beat,
    Bury,
    Connect,
    Connected,
    Decided,
    EdgeCount,
    Failed,
    FinalAccount,
    Hello,
    Neighbour,
    PeerNoticed,
    Ping,
    Pong,
    Progress,
    Rewire,
    Start,
    Stop,
    TookOffice,
    WireError,
    decode_account,
    decode_bar,
    decode_frame,
    decode_order,
    encode,
    encode_bar,
)
from workers.network import Endpoint

numbers = st.integers(0, 2**63 - 1)
floats = st.floats(allow_nan=False)
texts = st.text(max_size=8)
bars = st.builds(Bar, texts, floats, floats, floats, floats, floats)
ticks = st.builds(Tick, numbers, texts, st.dictionaries(texts, bars.map(encode_bar), max_size=3), numbers)
few_ticks = st.lists(ticks, max_size=2).map(tuple)
tasks = st.lists(st.builds(Task, texts, texts, texts), max_size=3).map(tuple)
votes = st.lists(st.builds(Vote, texts, texts, texts, texts, floats, floats, texts), max_size=3).map(tuple)
decisions = st.lists(st.builds(Decision, numbers, texts, floats, votes), max_size=2).map(tuple)
messages = st.one_of(
    st.builds(Join, texts, texts, texts),
    st.builds(Leave, texts, numbers),
    st.builds(Ballot, numbers, votes),
    st.builds(Work, texts, numbers, ticks, tasks, tasks, numbers, few_ticks),
    st.builds(Result, texts, numbers, votes, st.lists(texts, max_size=2).map(tuple)),
    st.builds(Item, ticks, numbers, st.booleans(), votes, decisions),
    st.builds(LaneDone, numbers, numbers),
    *(st.builds(kind, texts, numbers) for kind in (Canvass, Grant, Claim, Refusal)),
)
frames = st.one_of(
    st.builds(Hello, numbers, texts, numbers, numbers),
    st.builds(Batch, numbers, numbers, st.lists(messages, max_size=4).map(tuple)),
    st.builds(Ack, numbers),
    st.builds(Ping, floats),
    st.builds(Pong, floats),
    st.just(Beat()),
)
endpoints = st.builds(Endpoint, texts, st.dictionaries(texts, texts, max_size=2))
neighbours = st.builds(Neighbour, texts, endpoints, st.booleans(), st.booleans(), st.booleans())
orders = st.one_of(
    st.builds(Start, ticks),
    st.builds(Bury, texts, numbers),
    st.builds(Rewire, neighbours),
    st.just(Connect()),
    st.just(Stop()),
)
edges = st.lists(st.builds(EdgeCount, texts, numbers, numbers, st.lists(floats, max_size=3).map(tuple)), max_size=3)
accounts = st.one_of(
    st.builds(Assigned, texts, texts),
    st.builds(Connected, texts),
    st.builds(Decided, texts, numbers, decisions, texts, numbers),
    st.builds(TookOffice, texts, texts, numbers),
    st.builds(PeerNoticed, texts, texts, numbers, st.sampled_from(PeerState)),
    st.builds(Failed, texts, texts),
    st.builds(Progress, texts, texts, numbers, numbers, numbers, numbers, st.none() | floats),
    st.builds(
        FinalAccount,
        texts,
        numbers,
        numbers,
        st.none() | floats,
        edges.map(tuple),
        st.dictionaries(texts, numbers, max_size=3),
    ),
)


@settings(deadline=None)
@given(frame=frames)
def test_frames_survive_the_wire(frame):
    assert decode_frame(encode(frame)) == frame


@settings(deadline=None)
@given(order=orders)
def test_orders_survive_the_wire(order):
    assert decode_order(encode(order)) == order


@settings(deadline=None)
@given(account=accounts)
def test_accounts_survive_the_wire(account):
    assert decode_account(encode(account)) == account


@given(bar=bars)
def test_bars_survive_the_wire(bar):
    assert decode_bar(encode_bar(bar)) == bar


def test_a_number_that_is_none_survives_the_wire():
    assert math.isnan(decode_frame(encode(Ping(math.nan))).sent_s)


def is_refused_or_read(decode, data):
    try:
        decode(data)
    except WireError:
        return True
    return True


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=60), decode=st.sampled_from([decode_frame, decode_order, decode_account]))
@example(data=b"\x92\xa3ack\xcf" + b"\xff" * 8, decode=decode_frame)
@example(data=b"\x91\xa1\xff", decode=decode_frame)
def test_random_bytes_are_refused_at_worst(data, decode):
    assert is_refused_or_read(decode, data)


@settings(deadline=None, max_examples=300)
@given(frame=frames, position=st.integers(0), byte=st.integers(0, 0xFF))
@example(frame=Hello(1, "a", 1, 0), position=8, byte=0xFF)
def test_damaged_frames_are_refused_at_worst(frame, position, byte):
    data = bytearray(encode(frame))
    data[position % len(data)] = byte
    assert is_refused_or_read(decode_frame, bytes(data))


@settings(deadline=None)
@given(frame=frames, length=st.integers(0))
def test_frames_cut_short_are_refused(frame, length):
    data = encode(frame)
    with pytest.raises(WireError):
        decode_frame(data[: length % len(data)])


@settings(deadline=None)
@given(value=st.recursive(st.none() | st.booleans() | numbers | texts, st.lists, max_leaves=10))
def test_other_messagepack_is_refused_at_worst(value):
    data = msgspec.msgpack.encode(value)
    assert all(is_refused_or_read(decode, data) for decode in (decode_frame, decode_order, decode_account))
