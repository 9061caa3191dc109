"""A comparison as a table with bars, for a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from e2brun.primitives.benchmark import Comparison, Measurement
from e2brun.report.columns import columns, painted
from e2brun.report.safe import one_line
from e2brun.runs.record import AttemptRecord, CaseRecord, RunRecord, StepRecord, Verdict

_BAR = 20  # columns


def print_comparison(comparison: Comparison, write: Callable[[str], None], *, color: bool) -> None:
    """Times in milliseconds, the median with its 95 % interval."""
    slowest = max((m.median for m in comparison.measurements if m.median is not None), default=1.0)
    headings = ("", "median ms", "95 %", "spread", "ratio", "lines", "")
    rows = [headings, *(_row(found, slowest) for found in comparison.measurements)]
    styles = [
        "green" if found is comparison.fastest else "" if found.success else "red"
        for found in comparison.measurements
    ]
    for line, style in zip(columns(rows, range(1, 6)), ("", *styles), strict=True):
        write(painted(line, style if color else ""))
    if not comparison.same_output:
        write("They did not all print the same.")


def comparison_record(comparison: Comparison, backend: str, started: float) -> RunRecord:
    """The comparison as the record of a run, one case an implementation: for every report there
    is. A case takes the seconds of its median."""
    cases = tuple(_case(found, started) for found in comparison.measurements)
    return RunRecord("", "bench", "", backend, started, finished=time(), cases=cases)


def _case(found: Measurement, started: float) -> CaseRecord:
    cells = _row(found, 1.0)
    message = f"median {cells[1]} ms, 95 % {cells[2]}, spread {cells[3]}, ratio {cells[4] or 1}"
    step = StepRecord(
        "execute",
        "bench",
        Verdict.PASSED if found.success else Verdict.FAILED,
        found.median or 0.0,
        message if found.success else _why(found),
        found.error or "",
    )
    attempt = AttemptRecord(1, "", (step,))
    file = found.name if found.name.endswith(".py") else ""
    return CaseRecord(found.name, file, {}, (attempt,), found.median or 0.0, started)


def _row(found: Measurement, slowest: float) -> tuple[str, ...]:
    name = one_line(found.name, 60)
    if found.median is None or found.interval is None:
        return name, "failed", "", "", "", str(found.lines_of_code), _why(found)
    low, high = (1000 * end for end in found.interval)
    return (
        name,
        f"{1000 * found.median:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{1000 * (found.spread or 0):.2f}",
        f"{found.ratio:.2f}" if found.ratio is not None else "",
        str(found.lines_of_code),
        "█" * max(1, round(_BAR * found.median / (slowest or 1.0))),
    )


def _why(found: Measurement) -> str:
    """The last line of a traceback says it."""
    lines = (found.error or "").strip().splitlines()
    return one_line(lines[-1], 60) if lines else ""
