"""The JSON document and the closing line: what a run is said to have been."""

import io
import json
import math

import pytest

from e2brun.errors import AuthenticationFailed, UsageError
from e2brun.jobs.run import OutputStream
from e2brun.report.closing import closing_line, print_closing
from e2brun.report.execution_json import Origin, execution_document, failure_document
from e2brun.report.safe import ascii_json
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result

KEYS = [
    *("schema", "outcome", "success", "exit_code", "signal", "stdout", "stderr", "logs"),
    *("results", "error", "execution_time", "sandbox_id", "backend", "template", "truncated"),
    *("run_id", "detail"),
]
ORIGIN = Origin(sandbox_id="i123", backend="local", template="python", run_id="r1")
WHOLE = {"stdout": 0, "stderr": 0}


def kept(data: bytes, limit: int = 0) -> OutputStream:
    stream = OutputStream(limit, None, keep=True)
    stream(data)
    return stream


def document_of(execution: Execution) -> dict[str, object]:
    return execution_document(execution, kept(b"out\n"), kept(b""), logs=["out"], **ORIGIN)


def test_the_document_has_the_keys_of_the_design_in_their_order() -> None:
    document = document_of(Execution(Outcome.OK, 0, execution_time=0.0123456789))
    assert list(document) == KEYS
    assert document == {
        "schema": 1,
        "outcome": "ok",
        "success": True,
        "exit_code": 0,
        "signal": None,
        "stdout": "out\n",
        "stderr": "",
        "logs": ["out"],
        "results": [],
        "error": None,
        "execution_time": 0.012346,
        "sandbox_id": "i123",
        "backend": "local",
        "template": "python",
        "truncated": WHOLE,
        "run_id": "r1",
        "detail": "",
    }


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_no_other_outcome_is_a_success(outcome: Outcome) -> None:
    document = document_of(Execution(outcome, 0))
    assert (document["outcome"], document["success"]) == (outcome.value, False)


def test_what_was_raised_is_told_with_its_hint() -> None:
    error = CodeError("KeyError", "'a'", "Traceback…", "Is there an 'a'?")
    assert document_of(Execution(Outcome.ERROR, 1, error=error))["error"] == {
        "name": "KeyError",
        "value": "'a'",
        "traceback": "Traceback…",
        "hint": "Is there an 'a'?",
    }


def test_dropped_output_is_counted() -> None:
    document = execution_document(
        Execution(Outcome.OK, 0), kept(b"abcdef", 2), kept(b"x", 1), logs=[], **ORIGIN
    )
    assert document["truncated"] == {"stdout": 4, "stderr": 0}
    assert document["stdout"] == "ab"


def test_nothing_a_result_holds_breaks_the_document() -> None:
    results: tuple[Result, ...] = (
        {"text": "\ud800", "json": {"a": [math.nan, -math.inf]}, "data": {1: b"\xff"}},
    )
    execution = Execution(Outcome.OK, 0, results=results, execution_time=math.inf)
    line = ascii_json(document_of(execution))
    assert line.isascii()
    read = json.loads(line)
    assert read["results"] == [
        {"text": "\ufffd", "json": {"a": [None, None]}, "data": {"1": "\ufffd"}}
    ]
    assert read["execution_time"] is None


def test_a_failure_of_ours_is_a_document_of_the_same_form() -> None:
    nowhere = Origin(sandbox_id=None, backend="e2b", template="", run_id="r1")
    document = failure_document(AuthenticationFailed("the key was rejected"), **nowhere)
    assert list(document) == KEYS
    assert (document["outcome"], document["success"]) == ("infrastructure", False)
    assert (document["exit_code"], document["sandbox_id"], document["template"]) == (None,) * 3
    assert document["error"] == {
        "name": "AuthenticationFailed",
        "value": "the key was rejected",
        "traceback": "",
        "hint": AuthenticationFailed.hint,
    }


def test_a_usage_error_is_a_document_too() -> None:
    document = failure_document(UsageError("no such file"), **ORIGIN)
    assert document["outcome"] == "infrastructure"
    assert document["error"] == {
        "name": "UsageError",
        "value": "no such file",
        "traceback": "",
        "hint": None,
    }


@pytest.mark.parametrize(
    ("execution", "start"),
    [
        (Execution(Outcome.OK, 0), "ok"),
        (Execution(Outcome.ERROR, 3), "error (exit code 3)"),
        (Execution(Outcome.ERROR, 139, 11, detail="died"), "error (SIGSEGV, exit code 139)"),
        (Execution(Outcome.ERROR, 168, 40), "error (signal 40, exit code 168)"),
        (Execution(Outcome.ERROR, 1, error=CodeError("KeyError", "", "")), "error (KeyError)"),
        (Execution(Outcome.TIMEOUT, detail="time limit 30 s"), "timeout after 30 s"),
        (Execution(Outcome.TIMEOUT, detail="CPU time limit"), "timeout: CPU time limit"),
        (Execution(Outcome.OOM, detail="memory limit 512 MiB"), "oom: memory limit 512 MiB"),
        (Execution(Outcome.KILLED), "killed"),
        (Execution(Outcome.LOST, detail="a\nb\x1b"), "lost: a b␛"),
    ],
)
def test_the_closing_line_begins_with_how_it_ended(execution: Execution, start: str) -> None:
    line = closing_line(execution.but(execution_time=0.0512), "i3k", "local", WHOLE)
    assert line == f"{start} · i3k · local · 0.05 s"


def test_the_closing_line_tells_what_was_dropped() -> None:
    line = closing_line(Execution(Outcome.OK, 0), "i3k", "e2b", {"stdout": 123, "stderr": 0})
    assert line == "ok · i3k · e2b · 0.00 s · stdout cut: 123 bytes dropped (--max-output)"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        self.seek(0)
        return self.read()


def closed_on(stream: io.TextIOWrapper, *, color: bool) -> None:
    print_closing(
        Execution(Outcome.OK, 0),
        sandbox_id="i3k",
        backend="local",
        truncated=WHOLE,
        color=color,
        stream=stream,
    )


def test_a_terminal_shows_the_ending_in_colour() -> None:
    terminal = Terminal()
    closed_on(terminal, color=True)
    assert terminal.shown().startswith("\x1b[1;32mok\x1b[0m")


def test_without_colour_or_terminal_the_line_is_plain() -> None:
    terminal = Terminal()
    closed_on(terminal, color=False)
    assert terminal.shown() == "ok · i3k · local · 0.00 s\n"
    piped = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    closed_on(piped, color=True)
    piped.seek(0)
    assert piped.read() == "ok · i3k · local · 0.00 s\n"


def test_a_stream_that_cannot_do_the_dot_gets_ascii() -> None:
    terminal = Terminal("ascii")
    closed_on(terminal, color=False)
    assert terminal.shown() == "ok - i3k - local - 0.00 s\n"
