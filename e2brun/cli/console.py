"""Everything `exec` says: the program's output on its way, and our own lines on stderr."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.cli.signals import complain, notice, print_document
from e2brun.errors import E2brunError
from e2brun.jobs.diagnosis import TAIL, explained
from e2brun.jobs.run import LogLines, Outputs, OutputStream
from e2brun.report.closing import print_closing
from e2brun.report.streams import FdWriter, same_file, writer_for
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result, Sandbox

if TYPE_CHECKING:
    from e2brun.cli.signals import Interrupted
    from e2brun.report.execution_json import Origin
    from e2brun.settings import Settings

_DEFAULT_LIMIT = 10 * 1024 * 1024


class Console:
    """One run's outputs. With `as_json` nothing but one document goes to stdout."""

    def __init__(self, *, as_json: bool, quiet: bool, run_id: str, raw: bool = False) -> None:
        """`raw`: also what reads a CI job's log gets the program's bytes as they are."""
        self.backend = ""
        self._as_json, self._quiet, self._raw = as_json, quiet, raw
        self._sandbox_id = self._template = ""
        self._run_id = run_id
        self._color = True
        self._limit = _DEFAULT_LIMIT
        self._writers = _writers(in_log=False)
        self._stdout = self._stderr = OutputStream(0, None, keep=False)
        self._logs: LogLines | None = None
        self._stderr_tail = b""
        self._started: float | None = None

    def configure(self, settings: Settings) -> None:
        """Take over how to speak; until then nobody has said otherwise."""
        self._color = settings.colors(2)
        self._limit = settings.max_output
        self._writers = _writers(in_log=settings.in_ci and not self._raw)

    def outputs(self) -> Outputs:
        self._started = monotonic()
        forward = (None, None) if self._as_json else self._writers
        if self._as_json:
            self._logs = LogLines(self._limit)
        self._stdout = OutputStream(self._limit, forward[0], keep=self._as_json)
        self._stderr = OutputStream(self._limit, forward[1], keep=self._as_json)
        at_once = not self._as_json and os.isatty(1)
        take, limit = (self._take_stdout, self._take_stderr), self._limit
        return Outputs(*take, self._show_result, self._show_raised, limit, at_once)

    def created(self, sandbox: Sandbox, backend: str = "") -> None:
        """`backend`: as which it is known here, where it says something else."""
        self._sandbox_id, self._template = sandbox.id, sandbox.template
        self.backend = backend or sandbox.backend

    def notice(self, line: str) -> None:
        """One line of ours, unless `--quiet`."""
        if not self._quiet:
            notice(line)

    def save_results(self, execution: Execution, directory: Path) -> None:
        from e2brun.report.results import save_results

        for path in save_results(execution.results, directory, self.notice):
            self.notice(f"saved {path}")

    def finished(self, execution: Execution, *, fetched: list[Path]) -> Execution:
        """Say how it ended; gives back the execution with its error explained."""
        execution = explained(execution, self._stderr_tail)
        for path in fetched:
            self.notice(f"fetched {path}")
        if self._as_json:
            self._print_document(execution)
            return execution
        for writer in self._writers:
            with suppress(BrokenPipeError):
                writer.finish()
        if execution.error is not None:  # of a cell: unlike a program's, it is not in its stderr
            self._show_raised(execution.error)
        if not self._quiet:
            # A line of ours is not to go on where the program's last one stopped.
            if not self._stderr.ends_line or not (self._stdout.ends_line or not same_file(1, 2)):
                self._write(2, b"\n")
            self._close(execution)
        return execution

    def failed(self, error: E2brunError) -> int:
        """Nothing ran, or nobody can tell: say why. Returns the exit code."""
        if self._as_json:
            from e2brun.report.execution_json import failure_document

            print_document(failure_document(error, **self._origin()))
        complain(error)
        return error.exit_code

    def interrupted(self, why: Interrupted) -> None:
        """A signal ended us: there is a document, or a closing line, all the same."""
        elapsed = 0.0 if self._started is None else monotonic() - self._started
        execution = Execution(Outcome.KILLED, execution_time=elapsed, detail=str(why))
        execution = explained(execution, b"")
        if self._as_json:
            self._print_document(execution)
        elif not self._quiet:
            if os.isatty(2):
                self._write(2, b"\n")  # after the terminal's own ^C
            self._close(execution)

    def _print_document(self, execution: Execution) -> None:
        from e2brun.report.execution_json import execution_document

        logs = self._logs.lines() if self._logs is not None else []
        streams = (self._stdout, self._stderr)
        print_document(execution_document(execution, *streams, logs=logs, **self._origin()))

    def _origin(self) -> Origin:
        return {
            "sandbox_id": self._sandbox_id,
            "backend": self.backend,
            "template": self._template,
            "run_id": self._run_id,
        }

    def _take_stdout(self, data: bytes) -> None:
        if self._logs is not None:
            self._logs.feed("stdout", data)
        self._stdout(data)

    def _take_stderr(self, data: bytes) -> None:
        self._stderr_tail = (self._stderr_tail + data[-TAIL:])[-TAIL:]
        if self._logs is not None:
            self._logs.feed("stderr", data)
        self._stderr(data)

    def _show_result(self, result: Result) -> None:
        if self._as_json:
            return
        from e2brun.report.results import text_of

        if text := text_of([result]):
            with suppress(BrokenPipeError):
                self._stdout.show(text.encode("utf-8", "replace") + b"\n")

    def _show_raised(self, error: CodeError) -> None:
        if self._as_json:
            return
        if error.traceback and error.traceback.encode() not in self._stderr_tail:
            with suppress(BrokenPipeError):
                self._writers[1](error.traceback.rstrip().encode("utf-8", "replace") + b"\n")

    def _close(self, execution: Execution) -> None:
        error = execution.error
        if error is not None and error.hint:
            notice(error.hint)
        print_closing(
            execution,
            sandbox_id=self._sandbox_id,
            backend=self.backend,
            truncated={"stdout": self._stdout.dropped, "stderr": self._stderr.dropped},
            color=self._color,
        )

    def _write(self, descriptor: int, data: bytes) -> None:
        with suppress(BrokenPipeError):  # nobody listens any more; the exit code still says it
            FdWriter(descriptor)(data)


def _writers(*, in_log: bool) -> tuple[FdWriter, FdWriter]:
    """Where stdout and stderr of a program go: through what makes them safe to look at."""
    out = writer_for(1, is_terminal=os.isatty(1), in_log=in_log)
    # Both may end in one log (2>&1), where half a command from each would make a whole one.
    return out, writer_for(2, is_terminal=os.isatty(2), in_log=in_log, beside=out)
