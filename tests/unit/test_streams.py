"""Program output on its way through us: limits, order of lines, writing on."""

import os
import threading
import tracemalloc
from collections.abc import Iterator

import pytest

from e2brun.errors import E2brunError
from e2brun.jobs.run import LogLines, OutputStream
from e2brun.report.streams import writer_for
from e2brun.sandbox.local.host import streams


class Reader:
    """Stands for whoever reads our output, and may go away."""

    def __init__(self, leaves_after: int = 1000) -> None:
        self.got: list[bytes] = []
        self.leaves_after = leaves_after

    def __call__(self, data: bytes) -> None:
        if len(self.got) >= self.leaves_after:
            raise BrokenPipeError
        self.got.append(data)


def test_output_past_the_limit_is_dropped_and_counted() -> None:
    reader = Reader()
    stream = OutputStream(5, reader, keep=True)
    for data in (b"abc", b"defg", b"", b"hij"):
        stream(data)
    assert reader.got == [b"abc", b"de"]
    assert stream.text() == "abcde"
    assert stream.dropped == 5


def test_output_of_exactly_the_limit_is_whole() -> None:
    stream = OutputStream(5, None, keep=True)
    stream(b"abcde")
    assert (stream.text(), stream.dropped) == ("abcde", 0)


def test_a_limit_of_zero_is_none() -> None:
    reader = Reader()
    stream = OutputStream(0, reader, keep=False)
    stream(b"x" * 10**6)
    assert len(reader.got[0]) == 10**6
    assert stream.dropped == 0
    assert stream.text() == ""


def test_text_is_unicode_whatever_the_bytes_were() -> None:
    stream = OutputStream(0, None, keep=True)
    stream(b"\xc3")
    stream(b"\xa9 \xff \xf0\x9f")
    assert stream.text() == "é \ufffd \ufffd"


def test_a_cut_leaves_no_half_character() -> None:
    stream = OutputStream(4, None, keep=True)
    stream("aéé".encode())
    assert (stream.text(), stream.dropped) == ("aé", 1)


def test_a_reader_who_left_is_given_no_more() -> None:
    reader = Reader(leaves_after=1)
    stream = OutputStream(0, reader, keep=True)
    stream(b"a")
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            stream(b"b")
    assert stream.broken
    assert stream.text() == "abb"


def test_it_is_known_whether_the_last_line_was_ended() -> None:
    stream = OutputStream(0, None, keep=False)
    assert stream.ends_line
    stream(b"a")
    assert not stream.ends_line
    stream(b"b\n")
    assert stream.ends_line


def test_lines_of_both_streams_come_in_the_order_they_began() -> None:
    logs = LogLines(0)
    logs.feed("stdout", b"one\ntw")
    logs.feed("stderr", b"warn")
    logs.feed("stdout", b"o\n\nthree")
    logs.feed("stderr", b"ing\r\n")
    assert logs.lines() == ["one", "two", "warning", "", "three"]


def test_a_line_split_anywhere_is_one_line() -> None:
    logs = LogLines(0)
    for byte in "é\n漢\n".encode():
        logs.feed("stderr", bytes([byte]))
        logs.feed("stdout", b"")
    assert logs.lines() == ["é", "漢"]
    assert LogLines(0).lines() == []


def test_lines_are_limited_for_each_stream() -> None:
    logs = LogLines(4)
    for _ in range(3):
        logs.feed("stdout", b"a\n")
        logs.feed("stderr", b"bcd\n")
    assert logs.lines() == ["a", "bcd", "a"]


def test_streams_that_alternate_byte_by_byte_cost_little() -> None:
    tracemalloc.start()
    try:
        logs = LogLines(0)
        for _ in range(20_000):
            logs.feed("stdout", b"a")
            logs.feed("stderr", b"b")
        assert tracemalloc.get_traced_memory()[0] < 600_000
    finally:
        tracemalloc.stop()
    assert logs.lines() == ["a" * 20_000, "b" * 20_000]


def test_two_threads_may_speak_at_once() -> None:
    logs = LogLines(0)

    def speak(stream: str) -> None:
        for _ in range(2000):
            logs.feed("stdout" if stream == "stdout" else "stderr", stream.encode() + b"\n")

    threads = [threading.Thread(target=speak, args=(name,)) for name in ("stdout", "stderr")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(logs.lines()) == ["stderr"] * 2000 + ["stdout"] * 2000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:  # closed by the test
            continue


def test_a_pipe_gets_every_byte_as_it_is(pipe: tuple[int, int]) -> None:
    data = bytes(range(256)) + b"\n::error::x ##[x]"
    writer = writer_for(pipe[1], is_terminal=False, in_log=False)
    writer(data)
    writer.finish()
    assert os.read(pipe[0], 1000) == data


def test_a_terminal_and_a_log_get_what_is_safe_for_both(pipe: tuple[int, int]) -> None:
    writer = writer_for(pipe[1], is_terminal=True, in_log=True)
    writer(b"::a::\x1b[0m \xc3")
    assert os.read(pipe[0], 1000).decode() == ":\u200b:a::␛[0m "
    writer.finish()
    assert os.read(pipe[0], 1000).decode() == "\ufffd"


@pytest.mark.parametrize(
    "parts", [[b":", b":error::x"], [b"##", b"[error]x"], [b"a", b"b", b"\n", b"::error::x"]]
)
def test_half_a_command_on_each_stream_makes_no_whole_one(
    pipe: tuple[int, int], parts: list[bytes]
) -> None:
    other = os.dup(pipe[1])  # as after 2>&1
    try:
        stdout = writer_for(pipe[1], is_terminal=False, in_log=True)
        stderr = writer_for(other, is_terminal=False, in_log=True, beside=stdout)
        for number, part in enumerate(parts):
            (stdout, stderr)[number % 2](part)
    finally:
        os.close(other)
    got = os.read(pipe[0], 1000)
    assert b"\n::" not in b"\n" + got
    assert b"##[" not in got
    assert got.decode().replace("\u200b", "").encode() == b"".join(parts)


def test_streams_to_different_places_keep_their_own_lines(pipe: tuple[int, int]) -> None:
    elsewhere = os.open(os.devnull, os.O_WRONLY)
    try:
        stdout = writer_for(pipe[1], is_terminal=False, in_log=True)
        stderr = writer_for(elsewhere, is_terminal=False, in_log=True, beside=stdout)
        stdout(b"a ")
        stderr(b"\n")
        stdout(b"::b\n")
    finally:
        os.close(elsewhere)
    assert os.read(pipe[0], 1000) == b"a ::b\n"
    assert writer_for(-1, is_terminal=False, in_log=True, beside=stdout).log is not None


def test_a_non_blocking_pipe_that_is_full_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    data = os.urandom(1_000_000)
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(pipe[0], 50_000))

    thread = threading.Thread(target=read)
    thread.start()
    writer_for(pipe[1], is_terminal=False, in_log=False)(data)
    thread.join()
    assert got == data


def test_a_closed_pipe_is_a_broken_pipe(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        writer_for(pipe[1], is_terminal=False, in_log=False)(b"x")


def test_a_full_disk_is_our_failure_in_one_line() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(E2brunError, match=r"cannot write to descriptor \d+: No space left"):
            writer_for(fd, is_terminal=False, in_log=False)(b"x")
    finally:
        os.close(fd)


def test_a_transfer_that_stands_still_is_given_up(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody inside reads, or writes, and has the other end all the same."""
    monkeypatch.setattr(streams, "_SILENCE_SECONDS", 0.05)
    read, write = pipe
    with pytest.raises(streams.StoodStill):
        next(streams.pieces(read))
    with pytest.raises(streams.StoodStill):
        streams.pour(bytes(4 * 1024 * 1024), write)
