"""What the code interpreter makes of a kernel's messages and of a shell's output, without either of them."""

import json
from datetime import UTC, datetime

import pytest

from sandboxes.emulator.interpreter.bash_marks import Mark, MarkedStream
from sandboxes.emulator.interpreter.bash_shell import quote
from sandboxes.emulator.interpreter.kernel import read_line
from sandboxes.emulator.interpreter.kernel_messages import Header, KernelMessage, ParentHeader, to_nanoseconds
from sandboxes.emulator.interpreter.outputs import Error, encode_line, make_result

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)
NOON_NS = 1_767_355_200_123_456_000
MARK = b"\x1esecret:7 3\x1e"


def make_message(kind, content):
    return KernelMessage(Header(kind, NOON), ParentHeader("request"), content)


def test_moment_becomes_exact_nanoseconds():
    assert to_nanoseconds(NOON) == NOON_NS


def test_printed_text_becomes_a_line_with_its_time():
    line = read_line(make_message("stream", {"name": "stdout", "text": "hello\n"}))
    assert json.loads(encode_line(line)) == {
        "type": "stdout",
        "text": "hello\n",
        "timestamp": NOON_NS,
    }


def test_traceback_is_joined_as_e2b_joins_it():
    content = {"ename": "E", "evalue": "why", "traceback": ["one\n", "two"]}
    assert read_line(make_message("error", content)) == Error("E", "why", "one\ntwo")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        pytest.param("stream", {"name": "stdout"}, id="field missing"),
        pytest.param("display_data", {"data": ["no", "bundle"]}, id="field of another kind"),
        pytest.param("comm_open", {}, id="message that clients do not see"),
    ],
)
def test_message_that_means_nothing_is_dropped(kind, content):
    assert read_line(make_message(kind, content)) is None


def test_result_holds_each_format_and_the_unknown_ones_as_extra():
    bundle = {"text/plain": "'quoted'", "text/html": "<b>", "e2b/data": {"a": [1]}, "text/x-mine": "m"}
    assert json.loads(encode_line(make_result(bundle, is_main=True))) == {
        "type": "result",
        "is_main_result": True,
        "extra": {"text/x-mine": "m"},
        "text": "quoted",
        "html": "<b>",
        "data": {"a": [1]},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param({"text/html": 5}, "5", id="number where a text belongs"),
        pytest.param({"text/html": [2**70]}, "[1180591620717411303424]", id="large number where a text belongs"),
        pytest.param({"text/html": "\ud800"}, "\ud800", id="half a surrogate pair"),
    ],
)
def test_result_that_is_hard_to_write_is_written(value, text):
    assert json.loads(encode_line(make_result(value, is_main=False)))["html"] == text


def test_number_without_bounds_is_written():
    line = make_result({"application/json": {"n": 2**70}}, is_main=False)
    assert json.loads(encode_line(line))["json"] == {"n": 2**70}


@pytest.mark.parametrize("size", range(1, len(MARK) + 8))
def test_marks_are_found_however_the_output_is_cut(size):
    data = "é before".encode() + MARK + b"after\x1e"
    stream = MarkedStream("secret")
    parts = [part for start in range(0, len(data), size) for part in stream.feed(data[start : start + size])]
    mark = parts.index(Mark(7, 3))
    assert "".join(parts[:mark]) == "é before"
    assert "".join(parts[mark + 1 :]) == "after"


def test_control_character_of_the_users_own_is_only_delayed():
    stream = MarkedStream("secret")
    assert list(stream.feed(b"a\x1eb")) == ["a"]
    assert list(stream.feed(b"c" * 100)) == ["\x1eb" + "c" * 100]


def test_character_cut_by_the_end_of_a_cell_does_not_spoil_the_next():
    stream = MarkedStream("secret")
    assert list(stream.feed(b"\xc3" + MARK + b"\xa9x")) == ["\N{REPLACEMENT CHARACTER}", Mark(7, 3), "\ufffdx"]


def test_code_becomes_one_word_on_one_line():
    assert quote("echo 'it\\'\nexit\0") == r"$'echo \'it\\\'\nexit'"
