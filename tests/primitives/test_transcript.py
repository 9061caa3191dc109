from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as some

from e2brun.primitives.transcript import Transcript
from e2brun.sandbox.contract import Execution, Outcome, Result


def test_lines_stand_in_the_order_in_which_they_began() -> None:
    transcript = Transcript(0)
    transcript.stdout(b"one\ntw")
    transcript.stderr(b"warning\n")
    transcript.stdout(b"o\n\nlast")
    assert transcript.logs.lines() == ["one", "two", "warning", "", "last"]


@given(some.lists(some.text("ab\n", max_size=6)))
def test_however_it_is_cut_the_lines_are_those_of_the_whole(pieces: list[str]) -> None:
    transcript = Transcript(0)
    for piece in pieces:
        transcript.stdout(piece.encode())
    assert transcript.logs.lines() == "".join(pieces).splitlines()
    assert transcript.out.text() == "".join(pieces)


def test_it_may_be_fed_from_two_threads() -> None:
    transcript = Transcript(0)
    sinks = (transcript.stdout, transcript.stderr)
    threads = [
        threading.Thread(target=lambda sink=sink: [sink(b"a\nb") for _ in range(2000)])
        for sink in sinks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(transcript.logs.lines()) == 2 * 2001


def test_what_is_shown_is_kept_within_the_limit_and_the_rest_told_of() -> None:
    picture: Result = {"png": "x" * (3 << 20), "extra": {}, "is_main_result": False}
    shown = (picture, picture, {"text": "7", "extra": {}, "is_main_result": True})
    kept = Transcript(5).within(Execution(Outcome.OK, 0, results=shown)).results
    assert kept[0] == picture
    assert kept[1] == {
        "text": "<result too large: 3.0 MiB; the limit for the results of a cell is 4 MiB>",
        "extra": {}, "is_main_result": False,
    }  # fmt: skip
    assert kept[2] == shown[2]
    for limit in (0, 7 << 20):
        assert Transcript(limit).within(Execution(Outcome.OK, 0, results=shown)).results == shown
