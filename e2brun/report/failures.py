"""What every report tells of a case: which step failed, and in which words."""

from __future__ import annotations

from e2brun.report.safe import one_line
from e2brun.runs.record import CaseRecord, StepRecord


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
