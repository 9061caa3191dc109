"""What commands that have a record of many cases say and write: `--report`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from e2brun.cli.signals import complain, notice, print_document, say
from e2brun.errors import E2brunError, UsageError

if TYPE_CHECKING:
    from e2brun.report.files import Report
    from e2brun.runs.record import RunRecord
    from e2brun.settings import Settings


def parse_reports(words: Sequence[str]) -> tuple[Report, ...]:
    """Which kind goes where. Raises UsageError: also for a place where nothing can be written."""
    if not words:
        return ()
    from e2brun.report.files import parse_report

    reports = tuple(map(parse_report, words))
    for report in reports:
        file, directory = report.file, report.file.absolute().parent
        if not os.path.isdir(directory) or os.path.isdir(file):
            raise UsageError(f"--report {file}: no such place for a file")
        if not os.access(file if os.access(file, os.F_OK) else directory, os.W_OK):
            raise UsageError(f"--report {file}: you may not write there")
    return reports


class Reporter:
    """What a run of many cases says beside its results; each notice once."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json, self._quiet = as_json, quiet
        self._told: set[str] = set()

    def clear(self) -> None:
        """Make room for a line, where something is drawn over."""

    def notice(self, line: str) -> None:
        """One line of ours, unless `--quiet`."""
        if not self._quiet and line not in self._told:
            self._told.add(line)
            self.clear()
            notice(line)

    def close(self, line: str) -> None:
        self.clear()
        if not self._quiet:
            say(line)

    def end(self, record: RunRecord) -> None:
        from e2brun.report.summary import closing_line

        self.close(closing_line(record))

    def figures(self) -> dict[str, object]:
        """What the document has beside the record."""
        return {}

    def tell(
        self, reports: Sequence[Report], settings: Settings, record: RunRecord, code: int
    ) -> int:
        """The end: write reports, tell GitHub, say the last, print the document. The exit code."""
        code = self._report(reports, settings, record, code)
        self.end(record)
        if self._as_json:
            from e2brun.report.run_json import run_document

            print_document({**run_document(record, code), **self.figures()})
        return code

    def _report(
        self, reports: Sequence[Report], settings: Settings, record: RunRecord, code: int
    ) -> int:
        from e2brun.report.files import append_summary, write_report

        writes: list[Callable[[], None]] = [
            partial(write_report, report, record, code) for report in reports
        ]
        if settings.github_actions:
            from e2brun.report.github import workflow_commands

            for line in workflow_commands(record):
                sys.stderr.write(f"{line}\n")
            if settings.step_summary.name:
                writes.append(partial(append_summary, settings.step_summary, record))
        for write in writes:
            try:
                write()
            except E2brunError as error:
                self.clear()
                complain(error)
                code = E2brunError.exit_code
        return code
