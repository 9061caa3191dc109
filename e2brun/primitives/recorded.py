"""How a run in a sandbox ended, as the record keeps it."""

from __future__ import annotations

from e2brun.errors import SandboxError, SandboxLost
from e2brun.jobs.diagnosis import EXIT_CODE
from e2brun.primitives.transcript import Transcript
from e2brun.runs.record import ExecutionRecord
from e2brun.sandbox.contract import Execution, Outcome, Sandbox


def known(execution: Execution) -> Execution:
    """Raises SandboxError for one of which nobody can tell how it ended."""
    if execution.outcome is Outcome.LOST:
        raise SandboxLost(execution.detail or "the sandbox went away")
    if execution.outcome is Outcome.INFRASTRUCTURE:
        raise SandboxError(execution.detail or "nobody can tell how the code ended")
    return execution


def recorded(execution: Execution, transcript: Transcript, sandbox: Sandbox) -> ExecutionRecord:
    """With what it printed."""
    error = execution.error
    said = None
    if error is not None:
        said = error.value if error.name == EXIT_CODE else f"{error.name}: {error.value}"
    return ExecutionRecord(
        sandbox.id,
        sandbox.backend,
        execution.outcome.value,
        execution.exit_code,
        transcript.text("stdout"),
        transcript.text("stderr"),
        execution.execution_time,
        said.removesuffix(": ") if said is not None else None,
        error.traceback if error is not None else "",
        error.hint if error is not None else None,
        tuple(execution.results),
        {"stdout": transcript.dropped("stdout"), "stderr": transcript.dropped("stderr")},
        peak_memory=execution.peak_memory,
        completed=execution.completed,
    )
