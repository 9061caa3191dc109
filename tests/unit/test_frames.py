"""The host's reader of frames: what is honest comes through, what is not is refused."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2brun.sandbox.cell_end import cell_execution
from e2brun.sandbox.contract import CodeError, Outcome
from e2brun.sandbox.local.host.frames import (
    MAX_DEPTH,
    MAX_RESULTS,
    CellEnd,
    CellReport,
    CellStarted,
    ErrorFrame,
    ForgedFrames,
    Frame,
    FrameReader,
    ResultFrame,
    encode_cell,
)
from e2brun.values import MAX_VALUES

STARTED = b'{"type":"started","execution_count":1}\n'
END = b'{"type":"end"}\n'


def line(**frame: object) -> bytes:
    return json.dumps(frame).encode() + b"\n"


def read(data: bytes) -> list[Frame]:
    return FrameReader().feed(data)


def read_or_refuse(data: bytes) -> list[Frame] | ForgedFrames:
    try:
        return read(STARTED + data)
    except ForgedFrames as refused:
        return refused


def report_of(*frames: Frame) -> CellReport:
    report = CellReport()
    for frame in frames:
        report.add(frame)
    return report


CELL = (
    STARTED
    + line(type="result", text="é", json=[1, {"a": None}], is_main_result=True, unknown=1)
    + line(type="error", name="E", value="v", traceback="t")
    + END
)
FRAMES = [
    CellStarted(1),
    ResultFrame({"extra": {}, "text": "é", "json": [1, {"a": None}], "is_main_result": True}),
    ErrorFrame("E", "v", "t"),
    CellEnd(),
]


def test_the_frames_of_an_honest_cell_come_through() -> None:
    reader = FrameReader()
    assert reader.feed(CELL) == FRAMES
    assert reader.ended


@given(st.lists(st.integers(0, len(CELL))))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = FrameReader()
    places = [0, *sorted(cuts), len(CELL)]
    frames: list[Frame] = []
    for start, stop in pairwise(places):
        frames += reader.feed(CELL[start:stop])
    assert frames == FRAMES


@pytest.mark.parametrize(
    "forged",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"type":"end"}{"type":"end"}\n',
        b'{"type":["end"]}\n',
        b'{"type":"keepalive"}\n',
        b'{"type":"exit"}\n',
        b'{"type":"result","text":1}\n',
        b'{"type":"result","text":null}\n',
        b'{"type":"result","png":["x"]}\n',
        b'{"type":"result","data":[1]}\n',
        b'{"type":"result","extra":"x"}\n',
        b'{"type":"result","chart":null}\n',
        b'{"type":"result","is_main_result":1}\n',
        b'{"type":"result","json":NaN}\n',
        b'{"type":"result","json":[-Infinity]}\n',
        b'{"type":"result","json":1e999}\n',
        b'{"type":"result","json":' + b"9" * 5000 + b"}\n",
        b'{"type":"result","json":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"type":"result","json":' + b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2) + b"}\n",
        b'{"type":"result","json":[' + b"[]," * MAX_VALUES + b"1]}\n",
        b'{"type":"error","name":"E","value":"v"}\n',
        b'{"type":"error","name":"E","value":"v","traceback":null}\n',
        line(type="error", name="E" * 2000, value="v", traceback="t"),
        line(type="error", name="E", value="v", traceback="t") * 2,
        line(type="result", text="x") * (MAX_RESULTS + 1),
        STARTED,
        END + b"x",
        END + END,
    ],
    ids=lambda forged: repr(forged[:40]),
)
def test_what_no_honest_context_says_is_refused(forged: bytes) -> None:
    reader = FrameReader()
    reader.feed(STARTED)
    with pytest.raises(ForgedFrames) as refused:
        reader.feed(forged)
    assert "\n" not in str(refused.value)
    with pytest.raises(ForgedFrames):
        reader.feed(END)


@pytest.mark.parametrize("count", [b"true", b"1.0", b'"1"', b"null", b"9" * 30, b"9" * 5000])
def test_the_number_of_a_cell_is_a_whole_number_that_fits(count: bytes) -> None:
    with pytest.raises(ForgedFrames):
        read(b'{"type":"started","execution_count":%b}\n' % count)


@pytest.mark.parametrize("first", [END, line(type="result", text="x")])
def test_nothing_comes_before_started(first: bytes) -> None:
    with pytest.raises(ForgedFrames, match="out of order"):
        read(first)


def test_a_line_without_end_is_refused_at_its_limit() -> None:
    reader = FrameReader(max_frame=1000)
    assert reader.feed(b"x" * 1000) == []
    with pytest.raises(ForgedFrames, match="more than 1000 bytes"):
        reader.feed(b"x")


def test_all_frames_of_a_cell_together_are_limited() -> None:
    reader = FrameReader(max_total=10_000)
    reader.feed(STARTED)
    for _ in range(9):
        reader.feed(line(type="result", text="x" * 1000))
    with pytest.raises(ForgedFrames, match="frames are too large"):
        reader.feed(line(type="result", text="x" * 1000))


def test_what_strings_cost_in_memory_is_limited_too() -> None:
    reader = FrameReader(max_total=10_000)
    reader.feed(STARTED)
    with pytest.raises(ForgedFrames, match="results are too large"):
        reader.feed(b'{"type":"result","json":["\\ud83d\\ude00' + b"x" * 3000 + b'"]}\n')


@pytest.mark.parametrize(
    "hostile", [b'"' + b'\\"' * 4_000_000, b'{"a":"' + b"," * 8_000_000, b"\\" * 8_000_000]
)
def test_refusing_a_line_costs_linear_time(hostile: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ForgedFrames):
        read(hostile + b",[{" * 100 + b"\n")
    assert time.process_time() - started < 3


def test_commas_inside_strings_are_not_values() -> None:
    reader = FrameReader()
    reader.feed(STARTED)
    assert len(reader.feed(line(type="result", html=',[{"' * MAX_VALUES) * 2)) == 2


def test_half_a_surrogate_pair_is_replaced() -> None:
    frames = read(
        STARTED
        + b'{"type":"result","text":"a\\ud800b","json":{"\\udfff":["\\ud83d\\ude00\\ud83d"]}}\n'
    )
    shown = {"text": "a\ufffdb", "json": {"\ufffd": ["\U0001f600\ufffd"]}}
    assert frames[1] == ResultFrame({**shown, "extra": {}, "is_main_result": False})


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    assert isinstance(read_or_refuse(data), list | ForgedFrames)


TEXT = st.text(max_size=3)
SCALAR = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT
JSON = (
    SCALAR
    | st.lists(SCALAR, max_size=2)
    | st.dictionaries(TEXT, SCALAR | st.lists(TEXT), max_size=2)
)
KEYS = st.sampled_from(
    ["type", "text", "json", "data", "extra", "is_main_result", "code", "name", "value"]
)
TYPES = st.sampled_from(["started", "result", "error", "end", "other"])


@given(TYPES, st.dictionaries(KEYS, JSON, max_size=4))
def test_any_object_is_a_frame_or_refused(kind: str, fields: dict[str, object]) -> None:
    match read_or_refuse(line(**{**fields, "type": kind})):
        case ForgedFrames() as refused:
            assert "\n" not in str(refused)
        case [_, ResultFrame(result=result)]:  # it can be stored and sent as it is
            json.dumps(result, allow_nan=False, ensure_ascii=False).encode("utf-8")
        case _:
            pass


@given(st.text(), st.none() | st.dictionaries(st.text(), st.text()))
def test_a_cell_is_encoded_with_its_length(code: str, env: dict[str, str] | None) -> None:
    data = encode_cell(code, env)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert json.loads(data[4:].decode("ascii")) == {"code": code, "env": env}


def test_the_report_of_a_cell() -> None:
    fine = report_of(CellStarted(3), ResultFrame({"text": "x"}), CellEnd())
    assert (fine.ended, fine.error, fine.results) == (True, None, [{"text": "x"}])
    raised = report_of(CellStarted(1), ErrorFrame("E", "v", "t"), CellEnd())
    assert raised.error == CodeError("E", "v", "t")
    assert not report_of(CellStarted(1), ResultFrame({"text": "x"})).ended


@pytest.mark.parametrize(
    ("value", "code"), [("", 0), ("0", 0), ("None", 0), ("3", 3), ("256", 0), ("-1", 255), ("x", 1)]
)
def test_a_cell_that_leaves_has_the_exit_code_of_a_program(value: str, code: int) -> None:
    ended = cell_execution(CodeError("SystemExit", value, ""), (), 1.0)
    assert ended.exit_code == code
    assert ended.outcome is (Outcome.ERROR if code else Outcome.OK)
