"""The findings of a pipeline run as SARIF 2.1.0, for code-scanning services and editors."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

from e2brun import __version__
from e2brun.report.safe import json_safe, one_line
from e2brun.runs.record import CaseRecord, Finding, RunRecord, Severity, Verdict

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.LOW: "note", Severity.MEDIUM: "warning", Severity.HIGH: "error"}


def sarif_document(run: RunRecord) -> object:
    """The document as plain values; of a case only the last attempt counts."""
    results: list[dict[str, object]] = []
    rules: dict[str, dict[str, object]] = {}
    for case in run.cases:
        for finding in (found for step in case.steps for found in step.findings):
            rules.setdefault(finding.rule, _rule(finding))
            results.append(_result(finding, case, list(rules).index(finding.rule)))
    driver = {"name": "e2brun", "version": __version__, "rules": list(rules.values())}
    ran = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": run.count(Verdict.INFRASTRUCTURE) == 0}],
        "results": results,
    }
    return json_safe({"$schema": _SCHEMA, "version": "2.1.0", "runs": [ran]})


def _rule(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.rule,
        "shortDescription": {"text": finding.rule},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
    }


def _result(finding: Finding, case: CaseRecord, rule: int) -> dict[str, object]:
    region: dict[str, int] = {}
    if finding.line > 0:
        region["startLine"] = finding.line
        if finding.column > 0:
            region["startColumn"] = finding.column
    physical: dict[str, object] = {
        "artifactLocation": {"uri": _uri(case.file or finding.file or f"{case.id}.py")}
    }
    if region:
        physical["region"] = region
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": one_line(finding.message, 1000)},
        "locations": [{"physicalLocation": physical}],
        "properties": {"case": case.id},
    }


def _uri(path: str) -> str:
    """A relative reference as RFC 3986 has it; absolute paths keep their file scheme."""
    quoted = quote(str(PurePosixPath(path)).encode("utf-8", "backslashreplace"))
    return f"file://{quoted}" if quoted.startswith("/") else quoted
