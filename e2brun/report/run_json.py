"""A pipeline run, or one that was refused, as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from e2brun.errors import E2brunError
from e2brun.runs.plain import plain
from e2brun.runs.record import RunRecord, Verdict

SCHEMA = 1


def run_document(run: RunRecord, exit_code: int) -> dict[str, object]:
    """The record as plain values, with every verdict said outright, and the command's end."""
    whole: Any = plain(run)
    return {
        "schema": SCHEMA,
        **whole,
        "counts": {verdict.value: run.count(verdict) for verdict in Verdict},
        "success": exit_code == 0,
        "exit_code": exit_code,
    }


def refusal_document(error: E2brunError, problems: Sequence[tuple[str, str]]) -> dict[str, object]:
    """Of one that was not run: the same keys; `problems` are (place, message) in its file."""
    from e2brun.report.execution_json import error_value

    listed = [{"where": where, "message": message} for where, message in problems]
    return {
        "schema": SCHEMA,
        **dict.fromkeys(("id", "pipeline", "file", "backend", "started", "finished")),
        "cases": [],
        "notes": [],
        "counts": {verdict.value: 0 for verdict in Verdict},
        "success": False,
        "exit_code": error.exit_code,
        "error": {**error_value(error), "problems": listed},
    }
