"""What every report tells of a case, on one line, and the last words on a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e2brun.report.safe import one_line
from e2brun.runs.record import CaseRecord, RunRecord, StepRecord, Verdict

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


def reason(case: CaseRecord) -> str:
    """`stage step: message` of the first step that did not pass; one line, nothing active."""
    bad = case.bad_steps
    if not bad:
        return "" if case.attempts else "not run"
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return label(bad[0]) + one_line(bad[0].message or bad[0].verdict.value) + more


def label(step: StepRecord) -> str:
    """`check stdout: `."""
    name = one_line(step.step, 60)
    return f"{step.stage}: " if name == step.stage else f"{step.stage} {name}: "


def sandbox_id(case: CaseRecord) -> str:
    """Of the last execution; "" where nothing ran."""
    return one_line(case.executions[-1].sandbox_id, 60) if case.executions else ""
