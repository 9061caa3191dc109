"""A pipeline run as one JSON document: the record as it is, and its counts."""

from __future__ import annotations

from dataclasses import asdict

from e2brun.runs.record import RunRecord, Verdict

SCHEMA = 1


def run_document(run: RunRecord, exit_code: int) -> dict[str, object]:
    """The record as plain values, with every verdict said outright, and the command's end."""
    cases: list[dict[str, object]] = []
    for case in run.cases:
        attempts = [
            {**asdict(attempt), "verdict": attempt.verdict.value} for attempt in case.attempts
        ]
        cases.append({**asdict(case), "verdict": case.verdict.value, "attempts": attempts})
    return {
        "schema": SCHEMA,
        **asdict(run),
        "cases": cases,
        "counts": {verdict.value: run.count(verdict) for verdict in Verdict},
        "success": exit_code == 0,
        "exit_code": exit_code,
    }
