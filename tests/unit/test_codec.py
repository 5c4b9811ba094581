"""The wire form of examples; that any value survives it stands in tests/property."""

import msgspec
import pytest

from strategies import Bar
from topologies.detector import DetectorSettings
from topologies.kinds import DistributionStrategy, Role
from topologies.messages import Tick
from topologies.seats import Branch, DelegationSeat, Lane, MeshSeat, MeshSlot, Office, Post, RingSeat
from workers.codec import (
    PROTOCOL_VERSION,
    Ack,
    Assign,
    Hello,
    Neighbour,
    Start,
    Stop,
    StrategyRef,
    WireError,
    decode_account,
    decode_bar,
    decode_frame,
    decode_order,
    encode,
    encode_bar,
)
from workers.network import Endpoint

BAR = Bar("2013-03-01", 1.0, 2.0, 0.5, 1.5, 100.0)
GROUP = Office("leader of c..d", ("b", "c"), ("b", "c", "d"), 4)
ROOT = Office("leader of b..b", ("a", "b"), ("a", "b"))
SEATS = [
    MeshSeat("a", Role.PEER, ("m",), {"X": (MeshSlot("a", ("m",)),)}, {"X": ("c",)}, 0.66, 2.0, ("b", "c")),
    RingSeat("a", Role.STAGE, ("m",), 0, ("b", "c"), (Lane(("a", "b"), ("X",), ((("m", "X"),), ())),), 4, ("b",)),
    DelegationSeat(
        "b",
        Role.LEADER,
        (),
        ROOT,
        (Post(ROOT, (Branch("b", {"m": 2}, GROUP),), None, 2.0), Post(GROUP, (Branch("c", {"m": 1}),), ROOT, 1.0)),
        DistributionStrategy.CONSENSUS,
        ("a", "c", "d"),
    ),
]


def nested(depth):
    """An order with a bar that is an array in an array in an array ..."""
    return encode(Start(Tick(1, "", {"X": msgspec.Raw(b"\x91" * depth + b"\x01")})))


@pytest.mark.parametrize("seat", SEATS, ids=lambda seat: type(seat).__name__)
def test_assignment_survives_the_wire(seat):
    assign = Assign(
        version=PROTOCOL_VERSION,
        swarm="s",
        generation=1,
        token="t",
        seat=seat,
        neighbours=(Neighbour("b", Endpoint("memory://b", {"k": "v"}), dials=True, sends=True, hears=False),),
        strategies=(StrategyRef("m"), StrategyRef("mine", "swarm/mine.py", "0" * 64)),
        history={"X": (BAR, BAR)},
        seed=7,
        detector=DetectorSettings.paced(1.0),
        rounds_over=12,
    )
    assert decode_order(encode(assign)) == assign


def test_bar_is_carried_undecoded():
    order = decode_order(encode(Start(Tick(1, "2013-03-01", {"X": encode_bar(BAR)}))))
    assert decode_bar(order.tick.bars["X"]) == BAR


@pytest.mark.parametrize(
    ("decode", "data", "reason"),
    [
        pytest.param(decode_frame, b"", "not a frame of protocol 2", id="nothing"),
        pytest.param(decode_frame, b"GET / HTTP/1.1", "not a frame", id="HTTP"),
        pytest.param(decode_frame, encode(Stop()), "not a frame", id="an order for a frame"),
        pytest.param(decode_order, encode(Ack(1)), "not an order of protocol 2", id="a frame for an order"),
        pytest.param(decode_account, encode(Stop()), "not an account of protocol 2", id="an order for an account"),
        pytest.param(decode_frame, encode(Hello(1, "a", 1, 0))[:-1], "not a frame", id="cut short"),
        pytest.param(decode_frame, encode(Ack(1)) + b"\x00", "not a frame", id="too long"),
        pytest.param(decode_bar, msgspec.Raw(b"\x91\x01"), "not a bar", id="a list for a bar"),
        pytest.param(decode_bar, msgspec.Raw(encode(Ack(1))), "not a bar", id="a frame for a bar"),
    ],
)
def test_bytes_that_are_no_message_are_refused(decode, data, reason):
    with pytest.raises(WireError, match=reason):
        decode(data)


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        pytest.param(decode_frame, encode(Hello(1, "aa", 1, 0)).replace(b"aa", b"\xff\xff"), id="frame"),
        pytest.param(decode_order, encode(Start(Tick(1, "aa", {}))).replace(b"aa", b"\xff\xff"), id="order"),
        pytest.param(decode_bar, msgspec.Raw(bytes(encode_bar(BAR)).replace(b"2013", b"\xff\xff\xff\xff")), id="bar"),
    ],
)
def test_text_that_is_not_utf8_is_refused(decode, data):
    with pytest.raises(WireError):
        decode(data)


def test_deep_nesting_is_refused():
    with pytest.raises(WireError):
        decode_order(nested(100_000))
