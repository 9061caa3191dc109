"""`--report`, for every command that has a record of many cases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

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
        if not report.file.absolute().parent.is_dir() or report.file.is_dir():
            raise UsageError(f"--report {report.file}: no such place for a file")
    return reports


def written(
    reports: Sequence[Report], settings: Settings, record: RunRecord, code: int
) -> Iterator[E2brunError]:
    """Write every report, and tell GitHub; those that could not be written come as errors."""
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
            yield error
