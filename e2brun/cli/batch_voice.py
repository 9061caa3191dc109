"""What a batch says: result lines on stdout, how far it is on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from e2brun.cli.signals import complain, notice, print_document, say, write_line
from e2brun.runs.record import CaseRecord, Verdict

if TYPE_CHECKING:
    from e2brun.batch.run import BatchRun
    from e2brun.errors import E2brunError
    from e2brun.report.progress import Progress
    from e2brun.settings import Settings


class Voice:
    """Where results go to a file, or many to a terminal, only those that did not pass are said."""

    def __init__(self, *, as_json: bool, quiet: bool, out: str | None) -> None:
        self._as_json, self._quiet = as_json, quiet
        self._silent = as_json or out == "-"
        self._only_bad = out is not None
        self._progress: Progress | None = None
        self._told: set[str] = set()

    def begin(self, run: BatchRun, settings: Settings) -> None:
        """It starts."""
        terminal = sys.stderr.isatty() and not settings.dumb_terminal
        self._only_bad = self._only_bad or (terminal and sys.stdout.isatty())
        if not self._quiet:
            from e2brun.report.progress import Progress

            self._progress = Progress(run.tally.total, terminal=terminal)

    def finished(self, run: BatchRun, record: CaseRecord) -> None:
        """A case is over."""
        if not self._silent and (record.verdict is not Verdict.PASSED or not self._only_bad):
            from e2brun.report.summary import case_line

            self._clear()
            write_line(case_line(record))
        if self._progress is not None:
            tally = run.tally
            self._progress.show(
                tally.done,
                tally.count(Verdict.PASSED),
                tally.count(Verdict.FAILED),
                tally.count(Verdict.INFRASTRUCTURE),
                run.width.running,
            )

    def notice(self, line: str) -> None:
        """One line of ours, once, unless `--quiet`."""
        if not self._quiet and line not in self._told:
            self._told.add(line)
            self._clear()
            notice(line)

    def complain(self, error: E2brunError) -> None:
        """A failure of ours, which does not end the command."""
        self._clear()
        complain(error)

    def failed(self, error: E2brunError) -> int:
        """A failure that ends it. Returns the exit code."""
        self.complain(error)
        if self._as_json:
            from e2brun.report.run_json import refusal_document

            print_document(refusal_document(error, []))
        return error.exit_code

    def close(self, line: str) -> None:
        """The last words."""
        self._clear()
        if not self._quiet:
            say(line)

    def _clear(self) -> None:
        if self._progress is not None:
            self._progress.clear()
