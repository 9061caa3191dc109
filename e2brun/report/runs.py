"""What the store has, as lines for a reader and as values for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from e2brun.report.columns import columns
from e2brun.report.safe import one_line, shown
from e2brun.runs.comparing import Difference
from e2brun.runs.origin import State, StoredRun
from e2brun.runs.record import AttemptRecord, CaseRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.runs.rows import CaseRow, StoredEvent

_LONGEST_NAME = 60
_ORDER = [verdict.value for verdict in Verdict]


def run_lines(runs: Sequence[StoredRun]) -> Iterator[str]:
    rows = [("ID", "STARTED", "KIND", "NAME", "WHERE", "STATE", "CASES", "TIME")]
    for run in runs:
        record = run.record
        rows.append(
            (
                record.id,
                _moment(record.started),
                run.origin.kind,
                one_line(record.pipeline, _LONGEST_NAME),
                record.backend or "-",
                state_of(run),
                counts_of(run) or "-",
                _taken(run),
            )
        )
    yield from columns(rows)


def about_run(run: StoredRun) -> Iterator[str]:
    record, origin = run.record, run.origin
    facts = {
        "run": record.id,
        "kind": origin.kind,
        "name": record.pipeline,
        "file": record.file,
        "command": origin.typed,
        "directory": origin.directory,
        "code": origin.code_hash,
        "where": record.backend,
        "e2brun": run.version,
        "started": _moment(record.started),
        "state": state_of(run),
        "time": _taken(run),
        "cases": counts_of(run),
    }
    for name, value in facts.items():
        if value:
            yield f"{name:<10} {one_line(str(value), 2000)}"
    for note in record.notes:
        yield f"{'note':<10} {one_line(note, 2000)}"
    if run.state is State.KILLED:
        yield "It was killed. What it left in E2B's cloud, `e2brun sandbox reap` ends."


def case_rows(rows: Iterable[CaseRow]) -> Iterator[str]:
    """One line a case, as they come: there may be very many."""
    for row in rows:
        end = row.outcome if row.exit_code is None else f"{row.outcome} {row.exit_code}"
        sandboxes = " ".join(row.sandboxes[-1:])
        line = f"{row.verdict:<14} {one_line(row.id)}  {end}  {row.seconds:.2f} s  {sandboxes}"
        yield f"{line}  {one_line(row.error)}".rstrip()


def event_lines(events: Iterable[StoredEvent]) -> Iterator[str]:
    for event in events:
        case = f" {one_line(event.case)}:" if event.case else ""
        yield f"{_moment(event.at)} {event.kind}{case} {one_line(event.text, 2000)}"


def about_case(case: CaseRecord) -> Iterator[str]:
    yield f"case       {one_line(case.id)}"
    if case.file:
        yield f"file       {one_line(case.file)}"
    if case.parameters:
        yield f"given      {one_line(str(dict(case.parameters)), 2000)}"
    yield f"verdict    {case.verdict}"
    yield f"time       {case.seconds:.3f} s from {_moment(case.started)}"
    for attempt in case.attempts:
        yield from _attempt(attempt)


def _attempt(attempt: AttemptRecord) -> Iterator[str]:
    yield f"attempt    {attempt.number}: {attempt.verdict}"
    yield from _text("code", attempt.code)
    for step in attempt.steps:
        yield from _step(step)


def _step(step: StepRecord) -> Iterator[str]:
    said = f": {one_line(step.message, 2000)}" if step.message else ""
    yield f"{step.stage} {step.step}  {step.verdict}  {step.seconds:.3f} s{said}"
    for finding in step.findings:
        yield one_line(f"  {finding}", 2000)
    yield from _text("details", step.details)
    if step.execution is not None:
        yield from _execution(step.execution)


def _execution(execution: ExecutionRecord) -> Iterator[str]:
    code = "" if execution.exit_code is None else f", exit code {execution.exit_code}"
    where = f"{execution.backend} {one_line(execution.sandbox_id)}".strip()
    yield f"  {execution.outcome}{code}, {execution.execution_time:.3f} s, {where}"
    for name in ("stdout", "stderr", "traceback"):
        yield from _text(name, getattr(execution, name))
    for name, dropped in execution.truncated.items():
        if dropped:
            yield f"  {one_line(name)}: {dropped} bytes were dropped"


def _text(name: str, text: str) -> Iterator[str]:
    if text:
        yield f"  {name}:"
        yield from (f"    {shown(line)}" for line in text.splitlines())


def run_value(run: StoredRun) -> dict[str, object]:
    record, origin = run.record, run.origin
    return {
        "id": record.id,
        "kind": origin.kind,
        "name": record.pipeline,
        "file": record.file or None,
        "command": list(origin.command),
        "directory": origin.directory,
        "code_hash": origin.code_hash or None,
        "backend": record.backend or None,
        "version": run.version,
        "started": record.started,
        "finished": record.finished,
        "state": run.state.value,
        "exit_code": run.exit_code,
        "counts": {name: run.counts.get(name, 0) for name in _ORDER},
        "notes": list(record.notes),
    }


def row_value(row: CaseRow) -> dict[str, object]:
    return {
        "id": row.id,
        "verdict": row.verdict.value,
        "outcome": row.outcome or None,
        "completed": row.completed,
        "exit_code": row.exit_code,
        "seconds": row.seconds,
        "started": row.started,
        "sandbox_ids": list(row.sandboxes),
        "error": row.error or None,
    }


def difference_line(found: Difference) -> str:
    """`one  verdict, output  passed -> failed  why`."""
    ends = " -> ".join(row.verdict.value if row else "-" for row in (found.before, found.after))
    error = one_line(found.after.error) if found.after else ""
    return f"{one_line(found.id)}  {', '.join(found.what)}  {ends}  {error}".rstrip()


def difference_value(found: Difference) -> dict[str, object]:
    return {
        "id": found.id,
        "what": list(found.what),
        "before": row_value(found.before) if found.before else None,
        "after": row_value(found.after) if found.after else None,
    }


def state_of(run: StoredRun) -> str:
    """`exit 1`, `running`, `killed`."""
    if run.state is State.FINISHED and run.exit_code is not None:
        return f"exit {run.exit_code}"
    return run.state.value


def counts_of(run: StoredRun) -> str:
    """`3 passed, 1 failed`."""
    return ", ".join(f"{run.counts[name]} {name}" for name in _ORDER if run.counts.get(name))


def _taken(run: StoredRun) -> str:
    record = run.record
    return "-" if record.finished is None else f"{record.finished - record.started:.2f} s"


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return "?"
