"""What every report tells of a case: which step failed, and in which words."""

from __future__ import annotations

from e2brun.report.safe import one_line
from e2brun.runs.record import CaseRecord, StepRecord, Verdict

_BAD = (Verdict.FAILED, Verdict.INFRASTRUCTURE)


def bad_steps(case: CaseRecord) -> list[StepRecord]:
    """The steps of the last attempt that did not pass, in order."""
    steps = case.attempts[-1].steps if case.attempts else ()
    return [step for step in steps if step.verdict in _BAD]


def reason(case: CaseRecord) -> str:
    """`stage step: message` of the first step that did not pass; one line, nothing active."""
    bad = bad_steps(case)
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
    steps = [step for attempt in case.attempts for step in attempt.steps]
    ids = [step.execution.sandbox_id for step in steps if step.execution is not None]
    return one_line(ids[-1], 60) if ids else ""
