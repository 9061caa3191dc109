from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from e2brun.errors import UsageError
from e2brun.primitives.mock import create_test_context
from e2brun.runs.record import ExecutionRecord, StepRecord, Verdict
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.stages.check.exits import ExitCode, MaxMemory, MaxTime, NoStderr
from e2brun.stages.check.json_text import JsonCheck
from e2brun.stages.check.junit import BadReport, read_report
from e2brun.stages.check.numbers import NumbersCheck
from e2brun.stages.check.results import ResultsCheck
from e2brun.stages.check.tests import TestsCheck
from e2brun.stages.check.text import FileCheck, TextCheck
from e2brun.stages.check.values import problems
from e2brun.stages.step import Judge, Together
from e2brun.stages.work import Case, Work
from tests.stages.taking import running, take

pytestmark = pytest.mark.anyio


def record(stdout: str = "", **fields: object) -> ExecutionRecord:
    known: dict[str, object] = {
        "sandbox_id": "i0",
        "backend": "local",
        "outcome": "ok",
        "exit_code": 0,
        "stdout": stdout,
        "stderr": "",
        "execution_time": 0.5,
    }
    return ExecutionRecord(**{**known, **fields})  # type: ignore[arg-type]


async def check(judge: Judge, execution: ExecutionRecord) -> StepRecord:
    work = Work(Case("x"), code="", execution=execution)
    return (await judge.execute(work, create_test_context())).steps[-1]


@pytest.mark.parametrize(
    ("judge", "execution", "passes"),
    [
        (ExitCode(), record(), True),
        (ExitCode(3), record(exit_code=3, outcome="error"), True),
        (ExitCode((0, 3)), record(exit_code=4, outcome="error"), False),
        (TextCheck(equals="a\nb"), record("a\r\nb\n"), True),
        (TextCheck(equals="a"), record("a\n\n"), False),
        (TextCheck(contains=("a", "b")), record("xax"), False),
        (TextCheck(contains=("a", "b")), record("ab"), True),
        (TextCheck(not_contains="a"), record("b"), True),
        (TextCheck(not_contains="a"), record("a"), False),
        (TextCheck(not_contains="a"), record("b", truncated={"stdout": 5}), False),
        (TextCheck(matches=r"^\d+ ok$"), record("12 ok"), True),
        (TextCheck(matches=r"^\d+ ok$"), record("ok"), False),
        (TextCheck(lines=2), record("a\nb\n"), True),
        (TextCheck(lines=0), record(""), True),
        (TextCheck(lines=2), record("a\n"), False),
        (TextCheck(lines=("a", "b")), record("a\nb\n"), True),
        (TextCheck(lines=("a", "b")), record("b\na\n"), False),
        (TextCheck(stream="stderr", contains="w"), record(stderr="w"), True),
        (NumbersCheck((1, 2.5)), record("x1 is 1 and 2.5000001!"), True),
        (NumbersCheck((1, 2.5)), record("1 2.6"), False),
        (NumbersCheck((1, 2.5)), record("1"), False),
        (NumbersCheck(0.1, absolute=0.05), record("+1e-1"), True),
        (NumbersCheck(7, last=True), record("1 2 7"), True),
        (NumbersCheck(float("nan")), record("nan"), True),
        (NumbersCheck(float("inf")), record("1e999"), True),
        (MaxTime(1), record(), True),
        (MaxTime(0.1), record(), False),
        (MaxMemory(100), record(peak_memory=100), True),
        (MaxMemory(100), record(peak_memory=101), False),
        (NoStderr(), record(), True),
        (NoStderr(), record(stderr=" "), False),
        (ResultsCheck("image/png"), record(results=({"png": "x"},)), True),
        (ResultsCheck("png"), record(results=({"text": "x"},)), False),
        (ResultsCheck(value="4"), record(results=({"text": "4"},)), True),
        (ResultsCheck("json", value={"a": 1}), record(results=({"json": {"a": 1}},)), True),
        (ResultsCheck("a/x", contains="b"), record(results=({"extra": {"a/x": "abc"}},)), True),
        (ResultsCheck(count=2), record(results=({"text": "4"},)), False),
        (JsonCheck(equals={"$.a[0]": 1}), record('{"a": [1.0]}'), True),
        (JsonCheck(equals={"$.a[0]": 1}), record('{"a": [true]}'), False),
        (JsonCheck(equals={"$.a[*]": [1, 2]}), record('{"a": [1, 2]}'), True),
        (JsonCheck(equals={"$.b": 1}), record('{"a": 1}'), False),
        (JsonCheck({"type": "object"}), record("{}"), True),
        (JsonCheck({"type": "object"}), record("[]"), False),
        (JsonCheck({"type": "string", "pattern": "^a+$"}), record('"aaa"'), True),
        (JsonCheck({"type": "string", "pattern": "^a+$"}), record('"b"'), False),
        (JsonCheck(), record("{'a'}"), False),
        (JsonCheck(), record("NaN"), False),
        (JsonCheck(), record("[" * 100_000), False),
        (JsonCheck(), record("1" * 5000), False),
    ],
)  # fmt: skip
async def test_a_check_passes_what_it_should(
    judge: Judge, execution: ExecutionRecord, passes: bool
) -> None:
    found = await check(judge, execution)
    assert found.verdict is (Verdict.PASSED if passes else Verdict.FAILED), found


async def test_memory_that_nobody_measured_is_said_to_be_unknown() -> None:
    found = await check(MaxMemory(1), record())
    assert found.verdict is Verdict.SKIPPED
    assert found.message.startswith("unknown")


async def test_what_was_expected_is_shown_against_what_came() -> None:
    lines = [str(n) for n in range(1000)]
    got = [*lines[:500], "other", *lines[501:]]
    found = await check(TextCheck(equals="\n".join(lines)), record("\n".join(got)))
    assert "-500\n+other" in found.details
    assert len(found.details) < 2000


async def test_a_hostile_output_makes_no_long_diff_and_takes_no_time() -> None:
    started = time.process_time()
    expected = "".join(f"{n}\nours {n}\n" for n in range(10_000))
    hostile = "".join(f"{n}\ntheirs {n}\n" for n in range(10_000)) + "y" * 5_000_000
    found = await check(TextCheck(equals=expected), record(hostile))
    assert found.verdict is Verdict.FAILED
    assert len(found.details) < 20_000
    assert time.process_time() - started < 4


async def test_a_difference_far_into_a_line_is_found() -> None:
    found = await check(TextCheck(equals="x" * 5000 + "a"), record("x" * 5000 + "b"))
    assert found.details == "they differ first at line 1, character 5001"


async def test_control_characters_stay_data() -> None:
    found = await check(TextCheck(contains="x"), record("\x1b[2J\0"))
    assert found.details == "\x1b[2J\0"
    assert "\n" not in found.message


async def test_a_pattern_cannot_be_made_to_run_for_ever() -> None:
    found = await check(TextCheck(matches=r"(a+)+$"), record("a" * 50 + "b"))
    assert found.message == 'stdout matching "(a+)+$" took too long'


async def test_a_schemas_pattern_cannot_either() -> None:
    text = json.dumps("a" * 60 + "b")
    found = await problems(text, {"pattern": "^(a|a)*$"}, {}, seconds=0.5)
    assert found == ["checking it took longer than 0.5 s"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: FileCheck(""),
        lambda: FileCheck("x", exists=False, contains="y"),
        lambda: NumbersCheck(("one",)),
        lambda: NumbersCheck(()),
        lambda: NumbersCheck(1, absolute=-1),
        ResultsCheck,
        lambda: ResultsCheck("pgn"),
        lambda: JsonCheck({"type": "objekt"}),
        lambda: JsonCheck(equals={"$.[": 1}),
        lambda: TestsCheck(Path("tests.txt")),
    ],
)
async def test_a_check_that_makes_no_sense_is_a_mistake_of_usage(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError):
        make()


async def test_a_schema_fetches_nothing() -> None:
    judge = JsonCheck({"$ref": "http://127.0.0.1:9/schema.json"})
    found = await check(judge, record("{}"))
    assert found.verdict is Verdict.INFRASTRUCTURE
    assert "refers to what is not in it" in found.message


async def test_files_are_looked_at_before_the_sandbox_ends(backend: LocalBackend) -> None:
    checks = (
        FileCheck("out.txt", contains="hi"),
        FileCheck("~/sub/b.bin"),
        FileCheck("none", exists=False),
        FileCheck("out.txt", exists=False),
        FileCheck("none"),
        FileCheck("big"),
        FileCheck("big", contains="x"),
        FileCheck("pipe"),
        FileCheck("pipe", exists=False),
        JsonCheck(file="j.json", equals={"$.a": 1}),
    )
    code = (
        "import os\nos.mkdir('sub')\nopen('sub/b.bin', 'wb').write(b'\\xff')\n"
        "open('out.txt', 'w').write('hi')\nopen('j.json', 'w').write('{\"a\": 1}')\n"
        "open('big', 'w').truncate(2**24)\nos.mkfifo('pipe')\n"
    )
    work = await take(running(backend, *checks), code)
    passed, failed = Verdict.PASSED, Verdict.FAILED
    verdicts = [step.verdict for step in work.steps[1:]]
    assert verdicts == [*[passed] * 3, failed, failed, passed, *[failed] * 3, passed]


async def test_every_check_is_heard(backend: LocalBackend) -> None:
    checks = (TextCheck(contains="a"), ExitCode(1), NoStderr())
    work = await take(running(backend, *checks), "print('b')")
    verdicts = [step.verdict for step in work.steps]
    assert verdicts == [Verdict.PASSED, Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]


async def test_nothing_is_checked_of_work_that_stopped(backend: LocalBackend) -> None:
    work = await take(running(backend, NoStderr()), "1/0")
    assert len(work.steps) == 1


async def test_a_picture_is_among_the_results(backend: LocalBackend) -> None:
    from e2brun.stages.execute.settings import ExecuteSettings

    picture = base64.b64encode(b"\x89PNG").decode()
    code = f"class P:\n    def _repr_png_(self): return {picture!r}\nP()"
    checks = (ResultsCheck("image/png", contains=picture[:4]),)
    work = await take(running(backend, *checks, settings=ExecuteSettings(cell=True)), code)
    assert work.steps[-1].verdict is Verdict.PASSED


TESTS = """\
import candidate
import pytest
from main import double

@pytest.mark.parametrize("n", [1, 2])
def test_double(n):
    assert double(n) == 2 * n

class TestMore:
    def test_zero(self):
        assert candidate.double(0) == 0
"""


@pytest.mark.parametrize(
    ("code", "verdict", "message"),
    [
        ("def double(n): return 2 * n", Verdict.PASSED, "3 tests passed"),
        ("def double(n): return n + 1", Verdict.FAILED, "2 of 3 tests failed: test_double[2]: "),
        (
            "import os, sys\nif 'pytest' in sys.modules: os._exit(0)\n",
            Verdict.FAILED,
            "the tests left no report",
        ),
        (
            "if __name__ == '__main__':\n"
            "    hook = 'def pytest_collection_modifyitems(items): del items[-1]'\n"
            "    open('conftest.py', 'w').write(hook)\n"
            "def double(n): return 2 * n\n",
            Verdict.FAILED,
            "these tests did not run: test_zero",
        ),
    ],
    ids=["right", "wrong", "gone", "skipping"],
)
async def test_tests_run_beside_the_candidate(
    backend: LocalBackend, tmp_path: Path, code: str, verdict: Verdict, message: str
) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text(TESTS)
    found = (await take(running(backend, TestsCheck(tests)), code)).steps[-1]
    assert found.verdict is verdict, found
    assert message in found.message
    if "[2]" in message:
        assert (found.findings[0].file, found.findings[0].line) == (str(tests), 7)


async def test_tests_without_pytest_are_no_fault_of_the_candidate(
    backend: LocalBackend, tmp_path: Path
) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text(TESTS)
    found = (await take(running(backend, TestsCheck(tests, install=())), "")).steps[-1]
    assert found.verdict is Verdict.INFRASTRUCTURE
    assert "no pytest" in found.message


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"<a",
        b'<!DOCTYPE a [<!ENTITY x "y">]><testsuite/>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><testsuite/>',
        b"<a>" * 100 + b"</a>" * 100,
        b"<s>" + b"<testcase/>" * 30_000 + b"</s>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
)
def test_a_hostile_report_is_refused(report: bytes) -> None:
    with pytest.raises(BadReport):
        read_report(report)


def test_a_report_is_bounded() -> None:
    (case,) = read_report(
        b'<s><testcase name="n"><failure>' + b"x" * 10**6 + b"</failure></testcase></s>"
    )
    assert len(case.text) <= 20_000


def test_together_is_named_by_its_steps() -> None:
    assert Together((ExitCode(), TextCheck(contains="x"))).name == "exit_code+stdout"
