"""A pipeline run as JUnit XML, in the dialect that Jenkins, GitLab and most others read.

A case is a testcase, a failed step its failure, infrastructure its error. Text from a sandbox is
put in through the serializer, with what XML 1.0 cannot hold replaced: it forges no element.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from e2brun.report.safe import shortened
from e2brun.runs.record import CaseRecord, RunRecord, StepRecord, Verdict

_TEXT_LIMIT = 64 * 1024  # of one stream; the JSON report has all of it
# Char of XML 1.0, and no C1 controls (discouraged there, active on terminals).
_ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(run: RunRecord) -> str:
    counts = {
        "tests": len(run.cases),
        "failures": run.count(Verdict.FAILED),
        "errors": run.count(Verdict.INFRASTRUCTURE),
        "skipped": run.count(Verdict.SKIPPED),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    attributes["time"] = f"{sum(case.seconds for case in run.cases):.3f}"
    suites = ET.Element("testsuites", {"name": _legal(run.pipeline), **attributes})
    suite = ET.SubElement(suites, "testsuite", {"name": _legal(run.pipeline), **attributes})
    for case in run.cases:
        suite.append(_case(run, case))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(run: RunRecord, case: CaseRecord) -> ET.Element:
    element = ET.Element(
        "testcase",
        {"classname": _legal(run.pipeline), "name": _legal(case.id), "time": f"{case.seconds:.3f}"},
    )
    if case.file:
        element.set("file", _legal(case.file))
    if case.verdict is Verdict.SKIPPED:
        ET.SubElement(element, "skipped")
    for step in case.steps:
        kind = {Verdict.FAILED: "failure", Verdict.INFRASTRUCTURE: "error"}.get(step.verdict)
        if kind is not None:
            problem = ET.SubElement(
                element,
                kind,
                {"type": f"{step.stage}.{step.step}", "message": _legal(step.message)},
            )
            details = [*map(str, step.findings), shortened(step.details, _TEXT_LIMIT)]
            problem.text = _legal("\n".join(details).strip())
    _add_output(element, case.steps)
    return element


def _add_output(element: ET.Element, steps: tuple[StepRecord, ...]) -> None:
    execution = next((step.execution for step in reversed(steps) if step.execution), None)
    if execution is not None:
        for name, text in (("system-out", execution.stdout), ("system-err", execution.stderr)):
            if text:
                ET.SubElement(element, name).text = _legal(shortened(text, _TEXT_LIMIT))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
