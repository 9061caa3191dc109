"""What a cell puts out, as a notebook keeps it; the sandbox may say anything."""

from __future__ import annotations

import json
from functools import partial

import pytest

from e2brun.jobs.notebook_format import Json
from e2brun.jobs.notebook_outputs import LEAST_RESULT, Recorder, settled
from e2brun.jobs.prelude import MIME as OURS
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result

OK = Execution(Outcome.OK, 0)


def shown(text: str, main: bool = False, **note: object) -> Result:
    extra = {OURS: note} if note else {}
    return {"text": text, "extra": extra, "is_main_result": main}


def cleared(wait: bool) -> Result:
    return {"extra": {OURS: {"op": "clear", "wait": wait}}, "is_main_result": False}


@pytest.fixture
def recorder() -> Recorder:
    recorder = Recorder()
    recorder.begin(1)
    return recorder


def outputs(recorder: Recorder, execution: Execution = OK) -> list[Json]:
    return recorder.end(0, execution)[0].outputs


def texts(recorder: Recorder) -> list[object]:
    found: list[object] = []
    for output in outputs(recorder):
        data = output.get("data")
        found.append(data["text/plain"] if isinstance(data, dict) else output["text"])
    return found


def test_prints_in_a_row_are_one_output(recorder: Recorder) -> None:
    for piece in (b"a", b"b\nc", b"\n"):
        recorder.stream("stdout", piece)
    assert outputs(recorder) == [
        {"output_type": "stream", "name": "stdout", "text": ["ab\n", "c\n"]}
    ]


def test_results_stand_between_the_prints(recorder: Recorder) -> None:
    recorder.stream("stdout", b"1")
    recorder.result(shown("x"))
    recorder.stream("stdout", b"2")
    assert texts(recorder) == [["1"], "x", ["2"]]


def test_between_results_stdout_stands_before_stderr(recorder: Recorder) -> None:
    for name, piece in (("stderr", b"e"), ("stdout", b"a"), ("stderr", b"f"), ("stdout", b"b")):
        recorder.stream(name, piece)
    assert texts(recorder) == [["ab"], ["ef"]]


def test_a_character_in_two_pieces_is_one(recorder: Recorder) -> None:
    for byte in "é".encode():
        recorder.stream("stdout", bytes([byte]))
    recorder.stream("stdout", b"\xc3")
    assert texts(recorder) == [["é\ufffd"]]


def test_the_value_of_a_cell_has_its_number_and_a_display_has_none(recorder: Recorder) -> None:
    recorder.result(shown("x"))
    recorder.result(shown("y", main=True))
    display, value = outputs(recorder)
    assert display == {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}
    assert (value["output_type"], value["execution_count"]) == ("execute_result", 1)


def test_an_update_changes_what_was_shown_in_every_cell(recorder: Recorder) -> None:
    recorder.result(shown("1", id="a"))
    first, results = recorder.end(0, OK)
    recorder.begin(2)
    recorder.result(shown("b", id="b"))
    recorder.result(shown("2", op="update", id="a", metadata={"m": 1}))
    assert texts(recorder) == ["b"]
    assert first.outputs[0]["data"] == {"text/plain": "2"}
    assert first.outputs[0]["metadata"] == {"m": 1}
    assert results[0]["text"] == "2"


def test_showing_again_under_the_same_id_changes_the_first_one_too(recorder: Recorder) -> None:
    recorder.result(shown("1", id="a"))
    recorder.result(shown("2", id="a"))
    assert texts(recorder) == ["2", "2"]


def test_an_update_of_what_nobody_has_shown_shows_nothing(recorder: Recorder) -> None:
    assert recorder.result(shown("1", op="update", id="a")) is None
    assert outputs(recorder) == []


def test_clearing_takes_everything_away(recorder: Recorder) -> None:
    recorder.stream("stdout", b"a")
    recorder.result(shown("x", id="x"))
    assert recorder.result(cleared(wait=False)) is None
    recorder.stream("stdout", b"b")
    assert texts(recorder) == [["b"]]


@pytest.fixture
def heard() -> list[str]:
    return []


def say(recorder: Recorder, heard: list[str], *texts: str) -> None:
    for text in texts:
        recorder.stream("stdout", text.encode())
        recorder.tell(partial(heard.append, text), len(text))


def test_what_comes_after_a_clear_is_told_when_it_stays(heard: list[str]) -> None:
    recorder = Recorder(holds=True)
    say(recorder, heard, "0")
    for text in ("1", "2"):
        recorder.result(cleared(wait=True))
        say(recorder, heard, text)
    assert heard == ["0"]
    recorder.release()
    say(recorder, heard, "3")
    assert heard == ["0", "2", "3"]


def test_a_cell_that_will_clear_is_told_of_at_its_end(heard: list[str]) -> None:
    recorder = Recorder(holds=True)
    recorder.begin(1, clears=True)
    for text in ("1", "2"):
        say(recorder, heard, text)
        recorder.result(cleared(wait=True))
    recorder.release()
    assert heard == ["2"]


def test_what_has_grown_large_is_told_at_once(heard: list[str]) -> None:
    recorder = Recorder(holds=True)
    recorder.result(cleared(wait=False))
    say(recorder, heard, "x" * 600_000)
    assert not heard
    say(recorder, heard, "y" * 600_000, "z")
    assert [text[0] for text in heard] == ["x", "y", "z"]


def test_on_a_terminal_each_state_is_seen(recorder: Recorder, heard: list[str]) -> None:
    recorder.begin(1, clears=True)
    say(recorder, heard, "1")
    recorder.result(cleared(wait=False))
    say(recorder, heard, "2")
    assert heard == ["1", "2"]


def test_clearing_an_output_widget_takes_nothing_of_the_cells_own(heard: list[str]) -> None:
    recorder = Recorder(holds=True)
    say(recorder, heard, "1")
    for text in ("a", "b"):
        recorder.result({"extra": {OURS: {"op": "enter", "id": "w"}}, "is_main_result": False})
        recorder.result(cleared(wait=False))
        say(recorder, heard, text)
        recorder.result({"extra": {OURS: {"op": "leave"}}, "is_main_result": False})
    say(recorder, heard, "2")
    recorder.release()
    assert heard == ["1", "2", "b"]


def test_clearing_with_wait_waits_for_what_comes_instead(recorder: Recorder) -> None:
    for number in range(3):
        recorder.result(cleared(wait=True))
        recorder.stream("stdout", b"%d\n" % number)
    recorder.result(cleared(wait=True))
    assert texts(recorder) == [["2\n"]]


def test_what_was_cleared_does_not_count_towards_the_limit() -> None:
    recorder = Recorder(limit=10)
    recorder.begin(1)
    for number in range(10):
        recorder.result(cleared(wait=False))
        recorder.stream("stdout", b"%08d" % number)
    recorder.stream("stdout", b"abcdef")
    assert texts(recorder) == [["00000009ab"]]


def test_quotes_that_e2b_takes_away_come_back(recorder: Recorder) -> None:
    note = {OURS: {"text": "'a'"}}
    result = recorder.result({"text": "a", "extra": note, "is_main_result": True})
    assert result == {"text": "a", "extra": {}, "is_main_result": True}
    assert texts(recorder) == ["'a'"]


def test_there_is_no_json_beside_a_list(recorder: Recorder) -> None:
    recorder.result({"text": "[1]", "json": [1], "extra": {OURS: {"hide": "application/json"}}})
    recorder.result({"text": "J", "json": [1], "extra": {}})
    assert [output["data"] for output in outputs(recorder)] == [
        {"text/plain": "[1]"},
        {"application/json": [1], "text/plain": "J"},
    ]


def test_every_form_is_kept_but_those_that_only_e2b_has(recorder: Recorder) -> None:
    extra = {"application/vnd.x+json": {"b": 1}, "x/y": 3, "z": "no mime type"}
    recorder.result({"png": "AAAA", "chart": {"t": 1}, "data": [1], "extra": extra})
    assert outputs(recorder)[0]["data"] == {"application/vnd.x+json": {"b": 1}, "image/png": "AAAA"}


def test_what_strict_json_cannot_say_is_left_out(recorder: Recorder) -> None:
    recorder.result({"text": "n", "json": float("nan"), "extra": {}})
    recorder.result(shown("m", metadata={"a": float("inf")}))
    first, second = outputs(recorder)
    assert first["data"] == {"text/plain": "n"}
    assert second["metadata"] == {}


@pytest.mark.parametrize(
    "note",
    [1, None, [], {"op": ["clear"]}, {"op": "clear", "wait": {}}, {"id": [1]}, {"text": 5},
     {"hide": ["x"]}, {"metadata": "x"}, {"op": "update", "id": {}}],
)  # fmt: skip
def test_nonsense_in_our_own_words_does_no_harm(recorder: Recorder, note: object) -> None:
    recorder.stream("stdout", b"a")
    recorder.result({"text": "x", "extra": {OURS: note}, "is_main_result": False})
    assert OURS not in str(outputs(recorder))


def told(op: str, **note: object) -> Result:
    return {"extra": {OURS: {"op": op, **note}}, "is_main_result": False}


def test_what_is_put_out_inside_an_output_widget_is_the_widgets(recorder: Recorder) -> None:
    recorder.result(told("enter", id="w"))
    recorder.stream("stdout", b"in")
    recorder.result(shown("x"))
    recorder.result(told("error", ename="E", evalue="v", traceback="a\nb"))
    recorder.result(told("leave"))
    recorder.stream("stdout", b"out")
    assert recorder.has_widgets
    recorder.result(told("widgets", state={"w": {"state": {"outputs": []}}, "v": {}}))
    inside = recorder.widgets["w"]["state"]["outputs"]  # type: ignore[index]
    assert [output["output_type"] for output in inside] == ["stream", "display_data", "error"]
    assert texts(recorder) == [["out"]]


def test_clearing_an_output_widget_clears_no_other(recorder: Recorder) -> None:
    recorder.stream("stdout", b"out")
    for _ in range(2):
        recorder.result(told("enter", id="w"))
        recorder.stream("stdout", b"in")
        recorder.result(cleared(wait=False))
        recorder.result(told("leave"))
    recorder.result(told("widgets", state={"w": {"state": {}}}))
    assert recorder.widgets == {"w": {"state": {"outputs": []}}}
    assert texts(recorder) == [["out"]]


def test_a_widget_that_is_never_left_keeps_no_other_cells_output(recorder: Recorder) -> None:
    for _ in range(1000):
        recorder.result(told("enter", id="w"))
    recorder.begin(2)
    recorder.result(told("leave"))
    recorder.stream("stdout", b"out")
    assert texts(recorder) == [["out"]]


def test_of_more_widgets_than_anybody_has_the_output_is_the_cells(recorder: Recorder) -> None:
    for number in range(10_001):
        recorder.result(told("enter", id=str(number)))
        recorder.stream("stdout", b"%d" % number)
        recorder.result(told("leave"))
    assert texts(recorder) == [["10000"]]


@pytest.mark.parametrize("state", [1, [], {"w": 1}, {"w": {"state": 3}}, {"w": float("nan")}])
def test_a_state_of_widgets_that_is_none_does_no_harm(recorder: Recorder, state: object) -> None:
    recorder.result(told("enter", id="w"))
    recorder.result(told("widgets", state=state))
    json.dumps(recorder.widgets, allow_nan=False)


def test_updates_and_clearing_give_back_their_room() -> None:
    recorder = Recorder(most=LEAST_RESULT + 100)
    recorder.begin(1)
    for number in range(20):
        recorder.result(shown(f"{number:40}", id="d"))
        recorder.result(shown(f"{number + 1:40}", op="update", id="d"))
        recorder.result(cleared(wait=False))
    recorder.result(shown("a" * 60))
    assert recorder.result(shown("b" * 60)) is None
    assert len(outputs(recorder)) == 2


@pytest.mark.parametrize("op", ["update", "display"])
def test_what_is_shown_in_many_places_counts_in_each(op: str) -> None:
    recorder = Recorder(most=21 * (LEAST_RESULT + 50))
    recorder.begin(1)
    for _ in range(20):
        recorder.result(shown("x", id="d"))
    assert recorder.result(shown("y" * 100, op=op, id="d")) is None
    recorder.result(shown("z" * 10, op=op, id="d"))
    cell, _ = recorder.end(0, OK)
    assert str(cell.outputs).count("z" * 10) == 20 + (op == "display")


def test_the_results_of_a_run_are_bounded() -> None:
    recorder = Recorder(most=LEAST_RESULT + 100)
    recorder.begin(1)
    assert recorder.result(shown("a" * 60)) is not None
    assert recorder.result(shown("b" * 60)) is None
    cell, results = recorder.end(0, OK)
    assert len(results) == 1
    assert "results left out" in str(cell.outputs[-1])


def test_results_of_hardly_anything_are_bounded_too() -> None:
    recorder = Recorder(most=10 * LEAST_RESULT + 500)
    recorder.begin(1)
    for _ in range(100):
        recorder.result(shown("x"))
    assert len(outputs(recorder)) == 10 + 1  # and what says so


def test_what_was_raised_is_an_error_output(recorder: Recorder) -> None:
    error = CodeError("KeyError", "'a'", "Traceback:\n  x\nKeyError: 'a'")
    assert outputs(recorder, Execution(Outcome.ERROR, 1, error=error)) == [
        {
            "output_type": "error",
            "ename": "KeyError",
            "evalue": "'a'",
            "traceback": ["Traceback:", "  x", "KeyError: 'a'"],
        }
    ]


def test_leaving_with_zero_is_written_down_too(recorder: Recorder) -> None:
    left = CodeError("SystemExit", "0", "SystemExit: 0")
    (output,) = outputs(recorder, Execution(Outcome.OK, 0, left=left))
    assert (output["ename"], output["evalue"]) == ("SystemExit", "0")


def test_an_end_that_raised_nothing_shows_too(recorder: Recorder) -> None:
    (output,) = outputs(recorder, Execution(Outcome.TIMEOUT, detail="time limit 3 s"))
    assert (output["ename"], output["evalue"]) == ("timeout", "time limit 3 s")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\n", "a\n"),
        ("\r  0%\r 50%\r100%\n", "100%\n"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("x\ny 1\ry 2", "x\ny 2"),
        ("y\r", "y\r"),
        ("abc\b\bd", "ad"),
        ("\b\na\b\bb", "\nb"),
    ],
)
def test_of_a_line_that_is_drawn_again_the_last_state_stays(text: str, left: str) -> None:
    assert settled(text) == left


@pytest.mark.parametrize("text", ["a" * 2_000_000 + "\n\rb", "a" * 500_000 + "\b" * 500_000])
def test_settling_takes_one_pass(text: str) -> None:
    assert len(settled(text)) <= 2_000_002
