"""What a batch says: result lines on stdout, how far it is on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from e2brun.cli.reporting import Reporter
from e2brun.cli.signals import write_line
from e2brun.runs.record import CaseRecord, Verdict

if TYPE_CHECKING:
    from e2brun.batch.run import BatchRun
    from e2brun.report.progress import Progress
    from e2brun.settings import Settings


class Voice(Reporter):
    """Where results go to a file, or many to a terminal, only those that did not pass are said."""

    def __init__(self, *, as_json: bool, quiet: bool, out: str | None) -> None:
        super().__init__(as_json=as_json, quiet=quiet)
        self._silent = as_json or out == "-"
        self._only_bad = out is not None
        self._progress: Progress | None = None

    def begin(self, run: BatchRun, settings: Settings) -> None:
        terminal = sys.stderr.isatty() and not settings.dumb_terminal
        self._only_bad = self._only_bad or (terminal and sys.stdout.isatty())
        if not self._quiet:
            from e2brun.report.progress import Progress

            self._progress = Progress(run.tally.total, terminal=terminal)

    def finished(self, run: BatchRun, record: CaseRecord) -> None:
        if not self._silent and (record.verdict is not Verdict.PASSED or not self._only_bad):
            from e2brun.report.summary import case_line

            self.clear()
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

    def clear(self) -> None:
        if self._progress is not None:
            self._progress.clear()
