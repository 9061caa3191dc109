"""The one JSON document that `--json` prints: the same keys in the same order, always."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack, cast

from e2brun.errors import E2brunError
from e2brun.jobs.run import OutputStream
from e2brun.report.safe import json_safe
from e2brun.sandbox.contract import CodeError, Execution, Outcome

SCHEMA = 1


class Origin(TypedDict):
    """Where a run took place; None (or empty) for what it never came to."""

    sandbox_id: str | None
    backend: str | None
    template: str | None
    run_id: str | None


def execution_document(
    execution: Execution,
    stdout: OutputStream,
    stderr: OutputStream,
    *,
    logs: Sequence[str],
    **origin: Unpack[Origin],
) -> dict[str, object]:
    """How a run ended, as values that strict JSON can say. The streams must have kept."""
    return _document(
        origin,
        outcome=execution.outcome.value,
        # An error beside `ok` is ours: the code ran well, a file it left could not be fetched.
        success=execution.outcome is Outcome.OK and execution.error is None,
        exit_code=execution.exit_code,
        signal=execution.signal,
        stdout=stdout.text(),
        stderr=stderr.text(),
        logs=list(logs),
        results=list(execution.results),
        error=None if execution.error is None else vars(execution.error),
        execution_time=round(execution.execution_time, 6),
        truncated={"stdout": stdout.dropped, "stderr": stderr.dropped},
        detail=execution.detail,
    )


def failure_document(error: E2brunError, **origin: Unpack[Origin]) -> dict[str, object]:
    """We failed, the code did not: no exit code of its own, and our error by its class name. A
    usage error is one of these too; the command's exit code (2 or 125) tells them apart."""
    return _document(origin, error=error_value(error))


def error_value(error: E2brunError) -> dict[str, object]:
    return vars(CodeError(type(error).__name__, str(error), "", error.hint or None))


def _document(origin: Origin, **known: object) -> dict[str, object]:
    document: dict[str, object] = {
        "schema": SCHEMA,
        "outcome": Outcome.INFRASTRUCTURE.value,
        "success": False,
        "exit_code": None,
        "signal": None,
        "stdout": "",
        "stderr": "",
        "logs": [],
        "results": [],
        "error": None,
        "execution_time": 0.0,
        "sandbox_id": origin["sandbox_id"] or None,
        "backend": origin["backend"] or None,
        "template": origin["template"] or None,
        "truncated": {"stdout": 0, "stderr": 0},
        "run_id": origin["run_id"] or None,
        "detail": "",
    }
    document |= known  # keeps the order above
    return cast("dict[str, object]", json_safe(document))
