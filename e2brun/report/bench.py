"""A comparison as a table with bars, for a terminal or a pipe."""

from __future__ import annotations

import sys

from e2brun.primitives.benchmark import Comparison, Measurement
from e2brun.report.safe import one_line

_BAR = 20  # columns
_PIPE_WIDTH = 200


def print_comparison(comparison: Comparison, *, color: bool) -> None:
    """On stdout: times in milliseconds, the median with its 95 % interval."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("", "median ms", "95 %", "spread", "ratio", "lines", ""):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    slowest = max((m.median for m in comparison.measurements if m.median is not None), default=1.0)
    fastest = comparison.fastest
    for found in comparison.measurements:
        style = "green" if found is fastest else "red" if not found.success else ""
        table.add_row(*(Text(cell) for cell in _row(found, slowest)), style=style)
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(
        file=sys.stdout, no_color=not color, highlight=False, markup=False, width=width
    )
    console.print(table, soft_wrap=True)
    if not comparison.same_output:
        console.print(Text("They did not all print the same."), soft_wrap=True)


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
