"""What is said of one run of a program."""

from __future__ import annotations

from e2brun.batch.case import Test
from e2brun.runs.record import ExecutionRecord, StepRecord, Verdict
from e2brun.sandbox.contract import Outcome

_LINE = 200


def steps_of(record: ExecutionRecord, test: Test, completed: bool, which: str) -> list[StepRecord]:
    """The execution and the checks of it; `which`: of several tests, such as `test 2 of 3: `."""
    ran = record.outcome == Outcome.OK
    message = f"exit code {record.exit_code}" if ran else record.error or record.outcome
    details = "" if ran else record.trouble
    verdict = Verdict.PASSED if ran else Verdict.FAILED
    seconds = record.execution_time
    steps = [
        StepRecord(
            "execute", "program", verdict, seconds, which + message, details, execution=record
        )
    ]
    if not ran:
        return steps
    if completed:
        steps.append(_completed(record, which))
    if test.expected is not None:
        steps.append(_printed(record, test.expected, which))
    return steps


def _completed(record: ExecutionRecord, which: str) -> StepRecord:
    if not record.early_end:
        return StepRecord("check", "completed", Verdict.PASSED, 0.0)
    return StepRecord("check", "completed", Verdict.FAILED, 0.0, which + record.early_end)


def _printed(record: ExecutionRecord, expected: str, which: str) -> StepRecord:
    if record.truncated.get("stdout"):
        told = "more was printed than was kept, and more than was expected"
        return StepRecord("check", "stdout", Verdict.FAILED, 0.0, which + told)
    wanted, got = _lines(expected), _lines(record.stdout)
    if wanted == got:
        return StepRecord("check", "stdout", Verdict.PASSED, 0.0)
    at = next(
        (n for n, (one, other) in enumerate(zip(wanted, got, strict=False)) if one != other),
        min(len(wanted), len(got)),
    )
    details = f"- {_at(wanted, at)}\n+ {_at(got, at)}"
    told = f"{which}line {at + 1} of the output is not as expected"
    return StepRecord("check", "stdout", Verdict.FAILED, 0.0, told, details)


def _lines(text: str) -> list[str]:
    """As judges of competitions compare: without white space at the end of lines and of all."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _at(lines: list[str], number: int) -> str:
    return lines[number][:_LINE] if number < len(lines) else "(nothing)"
