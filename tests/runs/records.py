"""Records to keep, as commands make them."""

from __future__ import annotations

from collections.abc import Mapping

from e2brun.runs.origin import Origin
from e2brun.runs.record import (
    AttemptRecord,
    CaseRecord,
    ExecutionRecord,
    Finding,
    RunRecord,
    Severity,
    StepRecord,
    Verdict,
)

ORIGIN = Origin("batch", ("batch", "c.jsonl"), "/data", "0" * 64)


def run(run_id: str = "r1", *, started: float = 1000.0, file: str = "/data/c.jsonl") -> RunRecord:
    return RunRecord(run_id, "c.jsonl", file, "local", started)


def execution(stdout: str = "fine\n", outcome: str = "ok", **more: object) -> ExecutionRecord:
    code = 0 if outcome == "ok" else 1
    return ExecutionRecord("i1", "local", outcome, code, stdout, "", 0.01, **more)  # type: ignore[arg-type]


def case(
    case_id: str = "one",
    verdict: Verdict = Verdict.PASSED,
    *,
    ran: ExecutionRecord | None = None,
    code: str = "print('fine')",
    parameters: Mapping[str, object] | None = None,
) -> CaseRecord:
    ran = ran or execution(outcome="ok" if verdict is Verdict.PASSED else "error")
    findings = (Finding("c.py", 1, 2, "S1", Severity.LOW, "odd"),)
    steps = (
        StepRecord("validate", "security", Verdict.PASSED, 0.001, findings=findings),
        StepRecord("execute", "program", verdict, 0.02, "it went so", execution=ran),
    )
    attempts = (AttemptRecord(1, code, steps),)
    return CaseRecord(case_id, "c.py", parameters or {}, attempts, 0.03, 1000.5)
