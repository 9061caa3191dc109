"""A case as a row of the table; what was done with it opens below its name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from e2brun.report.html.markup import element, text
from e2brun.report.safe import one_line, shortened
from e2brun.report.summary import reason
from e2brun.runs.record import AttemptRecord, CaseRecord, ExecutionRecord, StepRecord

_PICTURES = {"png": "image/png", "jpeg": "image/jpeg"}
_LARGEST_PICTURE = 300_000  # characters of base64
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")


def case_row(case: CaseRecord, room: int) -> Iterator[str]:
    """The row; `room` characters of each text. Readers of passed cases seldom need all of it."""
    execution = case.executions[-1] if case.executions else None
    outcome = execution.outcome if execution else ""
    code = "" if execution is None or execution.exit_code is None else str(execution.exit_code)
    why = one_line(reason(case)) if case.verdict.is_bad else ""
    yield f'<tr data-verdict="{case.verdict.value}" data-time="{case.seconds:.6f}"><td><details>'
    yield element("summary", one_line(case.id)) + '<div class="all">'
    yield from _facts(case)
    for attempt in case.attempts:
        yield from _attempt(attempt, room, many=len(case.attempts) > 1)
    yield "</div></details></td>"
    yield "<td>" + element("span", case.verdict.value, {"class": f"badge {case.verdict.value}"})
    yield f"</td>{element('td', outcome)}{element('td', code, {'class': 'number'})}"
    yield element("td", f"{case.seconds:.3f} s", {"class": "number"})
    yield element("td", why, {"class": "why"}) + "</tr>\n"


def _facts(case: CaseRecord) -> Iterator[str]:
    facts = {"file": case.file, "given": str(dict(case.parameters)) if case.parameters else ""}
    for name, value in facts.items():
        if value:
            yield f"<p>{name}: {element('code', one_line(value, 2000))}</p>"


def _attempt(attempt: AttemptRecord, room: int, *, many: bool) -> Iterator[str]:
    if many:
        yield element("h3", f"Attempt {attempt.number}: {attempt.verdict.value}")
    yield from _block("Code", attempt.code, room)
    for step in attempt.steps:
        yield from _step(step, room)


def _step(step: StepRecord, room: int) -> Iterator[str]:
    head = f"{step.stage} {step.step}: {step.verdict.value}, {step.seconds:.3f} s"
    yield element("h4", head, {"class": step.verdict.value})
    if step.message:
        yield element("p", one_line(step.message, 2000))
    if step.findings:
        yield '<ul class="findings">'
        for found in step.findings:
            yield element("li", one_line(str(found), 2000))
        yield "</ul>"
    yield from _block("Details", step.details, room)
    if step.execution is not None:
        yield from _execution(step.execution, room)


def _execution(execution: ExecutionRecord, room: int) -> Iterator[str]:
    code = "" if execution.exit_code is None else f"exit code {execution.exit_code}"
    took = f"{execution.execution_time:.3f} s"
    facts = (execution.outcome, code, took, execution.backend, execution.sandbox_id)
    yield element("p", " · ".join(filter(None, facts)))
    yield from _block("Output", execution.stdout, room)
    yield from _block("Error output", execution.stderr, room)
    if execution.error:
        yield element("p", f"Error: {one_line(execution.error, 2000)}")
    yield from _block("Traceback", execution.traceback, room)
    if execution.hint:
        yield element("p", one_line(execution.hint, 2000))
    for name, dropped in execution.truncated.items():
        if dropped:
            yield element("p", f"{name}: {dropped} bytes were dropped")
    yield from _pictures(execution)


def _pictures(execution: ExecutionRecord) -> Iterator[str]:
    for result in execution.results:
        for key, kind in _PICTURES.items():
            content = result.get(key)
            if not isinstance(content, str) or len(content) > _LARGEST_PICTURE:
                continue
            if _BASE64.fullmatch(content):
                yield f'<img alt="a picture that it made" src="data:{kind};base64,{text(content)}">'


def _block(name: str, content: str, room: int) -> Iterator[str]:
    if content.strip():
        yield f'<h5>{name}</h5><pre tabindex="0">{text(shortened(content, room))}</pre>'
