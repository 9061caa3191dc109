"""A case's record as one line of the file of results, and back."""

from __future__ import annotations

from collections.abc import Mapping

from e2brun.runs.record import CaseRecord, ExecutionRecord, Verdict


def line_of(case: CaseRecord, run_id: str, fingerprint: str) -> dict[str, object]:
    """What is told of a case. `passed` is what HumanEval's own results call it."""
    step = next(iter(case.bad_steps), None)
    execution = next((s.execution for s in case.steps[::-1] if s.execution is not None), None)
    task = case.parameters.get("task")
    return {
        "id": case.id,
        **({"task_id": task} if task else {}),
        "passed": case.verdict is Verdict.PASSED,
        "verdict": case.verdict.value,
        "result": f"{step.stage} {step.step}: {_text(step.message)}" if step else "passed",
        **_execution(execution),
        "seconds": round(case.seconds, 6),
        "started": round(case.started, 3),
        "run_id": run_id,
        "fingerprint": fingerprint,
    }


def _execution(execution: ExecutionRecord | None) -> Mapping[str, object]:
    if execution is None:
        return {"outcome": None, "exit_code": None, "completed": None}
    return {
        "outcome": execution.outcome,
        "exit_code": execution.exit_code,
        "completed": execution.completed,
        "stdout": _text(execution.stdout),
        "stderr": _text(execution.stderr),
        "truncated": dict(execution.truncated),
        "execution_time": round(execution.execution_time, 6),
        "peak_memory": execution.peak_memory,
        "sandbox_id": execution.sandbox_id,
        "backend": execution.backend,
    }


def _text(text: str) -> str:
    """Without halves of characters, which strict readers of JSON refuse."""
    return text.encode("utf-8", "replace").decode()
