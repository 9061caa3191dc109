"""What code printed and how it ended, as it is kept."""

from __future__ import annotations

from e2brun.errors import SandboxError, SandboxLost
from e2brun.jobs.diagnosis import EXIT_CODE
from e2brun.jobs.run import LogLines, OutputStream
from e2brun.runs.record import ExecutionRecord
from e2brun.sandbox.contract import MIB, Execution, Outcome, Result, Sandbox

_SHOWN = 4 * MIB  # of results, where less may be printed


class Transcript:
    """Each stream for itself, and the lines of both together: at most `limit` bytes of each
    stream (0: all); the rest is counted. `stdout` and `stderr` are sinks, each for a thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.out, self.err = (OutputStream(limit, None, keep=True) for _ in range(2))
        self.logs = LogLines(limit)

    def stdout(self, data: bytes) -> None:
        self.logs.feed("stdout", data)
        self.out(data)

    def stderr(self, data: bytes) -> None:
        self.logs.feed("stderr", data)
        self.err(data)

    def within(self, execution: Execution) -> Execution:
        """With as much of what a cell showed as may be printed; a note in place of the rest."""
        if not execution.results or not self._limit:
            return execution
        limit, size = max(self._limit, _SHOWN), 0
        kept: list[Result] = []
        for result in execution.results:
            own = len(str(result))
            fits = size + own <= limit
            size += own if fits else 0
            kept.append(result if fits else _left_out(result, own, limit))
        return execution.but(results=tuple(kept))


def _left_out(result: Result, size: int, limit: int) -> Result:
    note = f"{size / MIB:.1f} MiB; the limit for the results of a cell is {limit // MIB} MiB"
    return {
        "text": f"<result too large: {note}>",
        "extra": {},
        "is_main_result": result["is_main_result"],
    }


def known(execution: Execution) -> Execution:
    """Raises SandboxError for one of which nobody can tell how it ended."""
    if execution.outcome is Outcome.LOST:
        raise SandboxLost(execution.detail or "the sandbox went away")
    if execution.outcome is Outcome.INFRASTRUCTURE:
        raise SandboxError(execution.detail or "nobody can tell how the code ended")
    return execution


def recorded(execution: Execution, transcript: Transcript, sandbox: Sandbox) -> ExecutionRecord:
    error = execution.error
    said = None
    if error is not None:
        said = error.value if error.name == EXIT_CODE else f"{error.name}: {error.value}"
    return ExecutionRecord(
        sandbox.id,
        sandbox.backend,
        execution.outcome.value,
        execution.exit_code,
        transcript.out.text(),
        transcript.err.text(),
        execution.execution_time,
        said.removesuffix(": ") if said is not None else None,
        error.traceback if error is not None else "",
        error.hint if error is not None else None,
        tuple(execution.results),
        {"stdout": transcript.out.dropped, "stderr": transcript.err.dropped},
        peak_memory=execution.peak_memory,
        completed=execution.completed,
    )
