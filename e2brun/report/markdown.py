"""A pipeline run as Markdown, for a pull request or a step summary."""

from __future__ import annotations

import re

from e2brun.report.safe import one_line, visible
from e2brun.runs.record import CaseRecord, RunRecord, Verdict

_MARKS = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "**FAILED**",
    Verdict.INFRASTRUCTURE: "**infrastructure**",
    Verdict.SKIPPED: "skipped",
}
_DETAILS_LIMIT = 4000
_CASES_LIMIT = 200  # GitHub cuts a step summary at 1 MiB


def markdown(run: RunRecord) -> str:
    """A heading, the counts, a table of cases, and what failed with its details."""
    counts = ", ".join(
        f"{run.count(verdict)} {verdict.value}" for verdict in Verdict if run.count(verdict)
    )
    lines = [f"## {_escaped(run.pipeline)}: {counts or 'no cases'}", ""]
    place = f"`{_code(run.file)}`, " if run.file else ""
    number = f", run `{_code(run.id)}`" if run.id else ""
    lines += [f"{place}on {_escaped(run.backend)}{number}", ""]
    lines += ["| case | verdict | time | sandbox | what |", "|---|---|---|---|---|"]
    lines += [_row(case) for case in run.cases[:_CASES_LIMIT]]
    if len(run.cases) > _CASES_LIMIT:
        lines += ["", f"… and {len(run.cases) - _CASES_LIMIT} more cases"]
    for case in run.cases[:_CASES_LIMIT]:
        lines += _failure(case)
    return "\n".join(lines) + "\n"


def _row(case: CaseRecord) -> str:
    sandbox = f"`{_code(case.executions[-1].sandbox_id)}`" if case.executions else ""
    bad = case.bad_steps
    told = f"{bad[0].stage}.{bad[0].step}: {bad[0].message}" if bad else ""
    if not bad:
        told = next((step.message for step in case.steps if step.stage == "execute"), "")
    what = _escaped(told)
    cells = [_escaped(case.id), _MARKS[case.verdict], f"{case.seconds:.2f} s", sandbox, what]
    return f"| {' | '.join(cells)} |"


def _failure(case: CaseRecord) -> list[str]:
    lines: list[str] = []
    for step in case.bad_steps:
        text = "\n".join([*map(str, step.findings), step.details]).strip()
        if text:
            title = _escaped(f"{case.id}: {step.stage}.{step.step}")
            lines += [
                "",
                f"<details><summary>{title}</summary>",
                "",
                *_block(text),
                "",
                "</details>",
            ]
    return lines


def _block(text: str) -> list[str]:
    """A fence longer than any in the text: nothing in it can close it."""
    shown = visible(text[:_DETAILS_LIMIT])
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", shown, fence]


def _escaped(text: str) -> str:
    """Text as text: no markup, no HTML, no table cell, no mention of anybody."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~@&])", r"\\\1", one_line(text))


def _code(text: str) -> str:
    return one_line(text).replace("`", "'").replace("|", "/")
