"""Nothing a sandbox prints is obeyed: not by a terminal, not by what reads a CI job's log."""

import json
import re
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2brun.report.safe import LogFilter, TerminalFilter, ascii_json, json_safe, one_line

MARK = "\u200b".encode()
# What .NET's TrimStart removes; a byte order mark and the separators of ASCII for good measure.
DOTNET_SPACE = (
    "\t\v\f\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
    + "".join(map(chr, range(0x2000, 0x200B)))
)

pieces = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b":", b"::", b"#", b"##[", b"[", b"\n", b"\r", b" ", b"\x1b]0;x\x07", b"\x9b"]
        ),
        st.sampled_from(
            [b"##v", b"so", b"##teamcity", b"##vso[", b"section_", b"start:", b"end:1"]
        ),
        st.sampled_from(DOTNET_SPACE).map(str.encode),
        st.sampled_from("\u202e\u2066é漢😀\u200d\u200b\x9b\x85").map(str.encode),
    ),
    max_size=20,
)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def through_terminal(chunks: list[bytes]) -> bytes:
    terminal = TerminalFilter()
    return b"".join(map(terminal.feed, chunks)) + terminal.finish()


def through_log(chunks: list[bytes]) -> bytes:
    return b"".join(map(LogFilter().feed, chunks))


def commands(data: bytes) -> list[str]:
    """What a reader of a CI job's log would look at twice."""
    lines = re.split(r"[\r\n]", data.decode("utf-8", "replace"))
    anywhere = re.compile(r"##(vso|teamcity)?\[|section_(start|end):[0-9]", re.IGNORECASE)
    return [
        line
        for line in lines
        if line.lstrip(DOTNET_SPACE).startswith("::") or anywhere.search(line)
    ]


@given(pieces, st.lists(st.integers(min_value=0, max_value=500), max_size=30))
def test_any_chunking_gives_the_same_output(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    assert through_terminal(split(data, cuts)) == through_terminal([data])
    assert through_log(split(data, cuts)) == through_log([data])


@given(pieces)
def test_a_terminal_gets_nothing_it_would_obey(parts: list[bytes]) -> None:
    text = through_terminal(parts).decode()  # strictly: it is UTF-8 whatever came in
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@given(pieces)
def test_the_runner_finds_no_command_whatever_the_chunks(parts: list[bytes]) -> None:
    assert commands(through_log(parts)) == []
    assert commands(through_log([b"".join(parts)])) == []


@given(pieces)
def test_only_marks_are_added(parts: list[bytes]) -> None:
    assert through_log(parts).replace(MARK, b"") == b"".join(parts).replace(MARK, b"")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        (b"\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        (b"\0\x08\x7f\x0b\x0c", "␀␈␡␋␌"),
        (b"a\tb\r\nc", "a\tb\r\nc"),
        ("\x9b2J".encode(), "\\x9b2J"),
        (b"\x9b2J", "\ufffd2J"),
        ("x\u202ey\u2066\u200f\u061c".encode(), "x\\u202ey\\u2066\\u200f\\u061c"),
        ("\ufeffa\u200bb\u2028".encode(), "\\ufeffa\\u200bb\\u2028"),
        ("\U000e0041".encode(), "\\U000e0041"),
        ("👩\u200d💻 می\u200cخواهم é 漢".encode(), "👩\u200d💻 می\u200cخواهم é 漢"),
        (b"\xed\xa0\x80\xff", "\ufffd\ufffd\ufffd\ufffd"),
        (b"half \xf0\x9f\x98", "half \ufffd"),
    ],
)
def test_a_terminal_shows_what_it_must_not_obey(data: bytes, shown: str) -> None:
    assert through_terminal([data]).decode() == shown


def test_a_terminal_line_is_not_held_back() -> None:
    terminal = TerminalFilter()
    assert terminal.feed(b"name: ") == b"name: "
    assert terminal.feed("é".encode()[:1]) == b""
    assert terminal.feed("é".encode()[1:] + b"!") == "é!".encode()
    assert terminal.finish() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"::error::x",
        b"x\n  \t::set-output name=a::b",
        b"x\r::debug::x",
        b"x\r\n::debug::x",
        "\u3000\xa0\x85\u2003\ufeff::warning::x".encode(),
        b"\v\f\x1c\x1f::warning::x",
        b"text ##[error]x",
        b"#####[group]x",
        b"a ##vso[task.setvariable variable=X]y",
        b"###vso[task.complete result=Succeeded;]",
        b"##v##vso[task.prependpath]/tmp",
        b"x ##teamcity[buildStatus text='fine' status='SUCCESS']",
        b"##team##teamcity[buildStop comment='x']",
        b"\x1b[0Ksection_start:1560896352:my[collapsed=true]\r\x1b[0Kheading",
        b"section_section_end:1:x\r\x1b[0K",
        b":::error::x",
        b"\n\n::\n::",
    ],
)
def test_a_workflow_command_is_made_inert_even_byte_by_byte(data: bytes) -> None:
    assert commands(data)
    for chunks in ([data], [data[i : i + 1] for i in range(len(data))]):
        made = through_log(chunks)
        assert commands(made) == []
        assert made.replace(MARK, b"") == data.replace(MARK, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"a::b ::c",
        b"http://[::1]/",
        b"# [x] #[y]\n#",
        b": :\n x::\n",
        b"## vso[x] ##vso x",
        b"section_start: x section_ends:1",
        b"##teamcity (x)",
    ],
)
def test_what_is_no_command_passes_unchanged(data: bytes) -> None:
    assert through_log([data]) == data


def test_a_byte_is_passed_on_at_once_even_if_it_may_begin_a_command() -> None:
    log = LogFilter()
    assert [log.feed(bytes([byte])) for byte in b" ::##["] == [
        b" ",
        b":",
        MARK + b":",
        b"#",
        b"#",
        MARK + b"[",
    ]


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_cannot_make_the_runner_read_another_encoding(order: str) -> None:
    made = through_log([b"", "\ufeff::error::x".encode(order)])
    assert made.startswith(MARK)


@pytest.mark.parametrize("through", [through_terminal, through_log])
def test_white_space_and_colons_without_end_take_no_longer_than_text(
    through: Callable[[list[bytes]], bytes],
) -> None:
    started = time.process_time()
    for data in (b" " * 2**20, b"\n" * 2**20, b":" * 2**20, b"\n:" * 2**19, b"#" * 2**20):
        through([data] * 2)
    assert time.process_time() - started < 4


def test_clean_output_is_fast() -> None:
    chunk = b"0123456789abcdef" * 4095 + b"\n"
    for each in (TerminalFilter(), LogFilter()):
        started = time.process_time()
        for _ in range(400):
            assert len(each.feed(chunk)) == len(chunk)
        rate = 400 * len(chunk) / (time.process_time() - started)
        assert rate > 100e6  # 200 MB/s on an idle machine, and this one may be busy


def test_a_line_of_ours_stays_one_line_and_inert() -> None:
    assert one_line("a\r\nb\tc\n") == "a b c"
    assert one_line("\x1b[2J\u202e") == "␛[2J\\u202e"
    assert one_line("\udc80") == "\\udc80"
    assert one_line("x" * 1000, 10) == "x" * 9 + "…"
    assert len(one_line("\n" * 10**6 + "x" * 10**6)) <= 300
    assert commands(one_line("\n ::error::x ##[error]y").encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        "a##[error]b",
        "###[",
        "\\##[",
        '"##["',
        "::error::",
        "##vso[a.b]",
        "##TEAMCITY[x",
        "##vso\\[",
    ],
)
def test_json_of_ours_holds_no_command_and_the_same_value(text: str) -> None:
    line = ascii_json({text: [text]})
    assert commands(line.encode()) == []
    assert line.isascii()
    assert json.loads(line) == {text: [text]}


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
    max_leaves=20,
)


@given(json_like)
def test_whatever_a_result_holds_becomes_strict_json(value: object) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(constant)

    line = ascii_json(value)
    assert "\n" not in line
    assert json.loads(line, parse_constant=refuse) == json_safe(value)
    str(json.loads(line)).encode()  # no lone surrogate comes out of it


def test_depth_and_size_are_bounded() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deeply" in ascii_json(deep)
    assert json.loads(ascii_json(1 << 100_000)).startswith("0x1")
    keys: dict[object, object] = {2: "\ud83d\ude00", None: "\ud83d", True: object}
    assert json.loads(ascii_json(keys)) == {"2": "😀", "null": "\ufffd", "true": str(object)}
