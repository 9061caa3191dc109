"""What a run says on stdout in a pipe, and its last words on stderr."""

from __future__ import annotations

from e2brun.report.failures import reason, sandbox_id
from e2brun.report.safe import one_line
from e2brun.runs.record import CaseRecord, RunRecord, Verdict

_WORDS = {
    Verdict.PASSED: "PASS",
    Verdict.FAILED: "FAIL",
    Verdict.INFRASTRUCTURE: "ERROR",
    Verdict.SKIPPED: "SKIP",
}
_COUNTED = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.INFRASTRUCTURE: "infrastructure",
    Verdict.SKIPPED: "not run",
}


def case_line(case: CaseRecord) -> str:
    """`PASS id 0.05 s sandbox-id`, or `FAIL id stage step: message`."""
    head = f"{_WORDS[case.verdict]} {one_line(case.id)}"
    attempts = f" ({len(case.attempts)} attempts)" if len(case.attempts) > 1 else ""
    if case.verdict is Verdict.PASSED:
        return f"{head} {case.seconds:.2f} s {sandbox_id(case)}".rstrip() + attempts
    return f"{head} {reason(case)}{attempts}"


def closing_line(record: RunRecord) -> str:
    """`hello: 3 passed, 1 failed · local · 0.31 s`."""
    counts = ", ".join(
        f"{record.count(verdict)} {word}"
        for verdict, word in _COUNTED.items()
        if record.count(verdict)
    )
    parts = [f"{one_line(record.pipeline)}: {counts or 'nothing ran'}"]
    if record.backend:
        parts.append(record.backend)
    if record.finished is not None:
        parts.append(f"{record.finished - record.started:.2f} s")
    return " · ".join(parts)
