"""A pipeline run for GitHub Actions: annotations at the user's file and line.

The runner reads commands out of the log. Everything that is not ours is escaped as its own
toolkit does (actions/toolkit, command.ts), so that no message can end one command and begin
another; and it accepts ten annotations of a kind per step, so the worst come first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from e2brun.report.safe import shown
from e2brun.runs.record import CaseRecord, Finding, RunRecord, Severity, StepRecord, Verdict
from e2brun.sandbox.contract import HOME

_KINDS = {Severity.LOW: "notice", Severity.MEDIUM: "warning", Severity.HIGH: "error"}
_MESSAGE_LIMIT = 2000


def workflow_commands(run: RunRecord) -> list[str]:
    """Workflow commands, errors first."""
    order = {"error": 0, "warning": 1, "notice": 2}
    found = [item for case in run.cases for item in _of_case(case)]
    return [line for _, line in sorted(found, key=lambda item: order[item[0]])]


def _of_case(case: CaseRecord) -> Iterator[tuple[str, str]]:
    for step in case.steps:
        if step.findings:
            for finding in step.findings:
                yield _command(_kind(step, finding), case.file or finding.file, finding, case)
        elif step.verdict.is_bad:
            rule, line = f"{step.stage}.{step.step}", _line(step, case.file)
            text = f"{step.message}\n{step.details}".strip()
            whole = Finding(case.file, line, 0, rule, Severity.HIGH, text)
            yield _command("error", case.file, whole, case)


def _kind(step: StepRecord, finding: Finding) -> str:
    """A finding that failed the case is an error, whatever its severity is called."""
    return "error" if step.verdict is Verdict.FAILED else _KINDS[finding.severity]


def _line(step: StepRecord, file: str) -> int:
    """The last line of the candidate that the traceback names; 0 for none."""
    if step.execution is None or file.endswith(".ipynb"):  # lines of a cell are no file's
        return 0
    name = re.escape(PurePosixPath(file).name)
    pattern = rf'File "(?:{HOME}/)?{name}", line (\d{{1,7}})\b|Cell In\[\d+\], line (\d{{1,7}})\b'
    found = re.findall(pattern, step.execution.traceback)
    return int("".join(found[-1])) if found else 0


def _command(kind: str, file: str, finding: Finding, case: CaseRecord) -> tuple[str, str]:
    properties: dict[str, str] = {"title": f"{case.id}: {finding.rule}"}
    if file:
        properties["file"] = file
        if finding.line > 0:
            properties["line"] = str(finding.line)
            if finding.column > 0:
                properties["col"] = str(finding.column)
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return kind, f"::{kind} {listed}::{_data(finding.message[:_MESSAGE_LIMIT])}"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return shown(escaped)  # commands of the older form are found anywhere in a line


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
