"""What a run says on stdout in a pipe, and its last words on stderr."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2brun.report.failures import reason, sandbox_id
from e2brun.report.safe import one_line
from e2brun.runs.record import CaseRecord, RunRecord, Verdict

_WORDS = {
    Verdict.PASSED: "PASS",
    Verdict.FAILED: "FAIL",
    Verdict.INFRASTRUCTURE: "ERROR",
    Verdict.SKIPPED: "SKIP",
}


def case_line(case: CaseRecord) -> str:
    """`PASS id 0.05 s sandbox-id`, or `FAIL id stage step: message`."""
    head = f"{_WORDS[case.verdict]} {one_line(case.id)}"
    attempts = f" ({len(case.attempts)} attempts)" if len(case.attempts) > 1 else ""
    if case.verdict is Verdict.PASSED:
        return f"{head} {case.seconds:.2f} s {sandbox_id(case)}".rstrip() + attempts
    return f"{head} {reason(case)}{attempts}"


def closing_line(
    record: RunRecord,
    count: Callable[[Verdict], int] | None = None,
    *,
    began: float | None = None,
    figures: Sequence[str] = (),
    price: str = "",
) -> str:
    """`hello: 3 passed, 1 failed · local · 0.31 s`. `count` tells how many went how where the
    record holds no cases; `began` is when a run that was gone on with did so."""
    count = count or record.count
    counts = [f"{count(verdict)} {verdict.counted}" for verdict in Verdict if count(verdict)]
    head = f"{one_line(record.pipeline)}: {', '.join(counts) or 'nothing ran'}"
    took = "" if record.finished is None else f"{record.finished - (began or record.started):.2f} s"
    return " · ".join(filter(None, (head, *figures, record.backend, price, took)))
