"""The last line of a run, on stderr: how it ended, where, and how long it took."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from e2brun.jobs.diagnosis import EXIT_CODE
from e2brun.report.safe import encodable, one_line
from e2brun.sandbox.contract import Execution, Outcome

_COLORS = {Outcome.OK: "green", Outcome.ERROR: "red"}


def closing_line(
    execution: Execution, sandbox_id: str, backend: str, truncated: Mapping[str, int]
) -> str:
    """Such as `ok · i3k… · local · 0.05 s`; nothing in it is active on a terminal or in CI."""
    seconds = execution.execution_time
    parts = [
        _ending(execution),
        one_line(sandbox_id, 40),
        backend,
        f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s",
    ]
    parts += [
        f"{stream} cut: {dropped} bytes dropped (--max-output)"
        for stream, dropped in truncated.items()
        if dropped
    ]
    return " · ".join(part for part in parts if part)


def print_closing(
    execution: Execution,
    *,
    sandbox_id: str,
    backend: str,
    truncated: Mapping[str, int],
    color: bool,
    stream: TextIO | None = None,
) -> None:
    """Print the closing line on stderr: with Rich on a terminal, where `color` allows it."""
    stream = stream or sys.stderr
    if stream is None:  # pyright: ignore[reportUnnecessaryComparison] # started with 2>&-
        return
    line = closing_line(execution, sandbox_id, backend, truncated)
    with suppress(OSError):  # nobody listens any more; the exit code still says it
        if color and stream.isatty():
            _draw(line, execution.outcome, stream)
        else:
            print(encodable(line, stream), file=stream, flush=True)


def _draw(line: str, outcome: Outcome, stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    head, dot, rest = encodable(line, stream).partition(" ")
    text = Text.assemble((head, f"bold {_COLORS.get(outcome, 'yellow')}"), (dot + rest, "dim"))
    # Told outright: Rich would ask the environment, and wrap the line at 80 columns in CI.
    console = Console(
        file=stream, force_terminal=True, color_system="standard", no_color=False, soft_wrap=True
    )
    console.print(text)


def _ending(execution: Execution) -> str:
    outcome, detail = execution.outcome, one_line(execution.detail)
    match outcome:
        case Outcome.OK:
            return "ok" if execution.error is None else "ok, but see above (exit code 125)"
        case Outcome.ERROR:
            return _error(execution)
        case Outcome.TIMEOUT if detail.startswith("time limit "):
            return f"timeout after {detail.removeprefix('time limit ')}"
        case _:
            return f"{outcome.value}: {detail}" if detail else outcome.value


def _error(execution: Execution) -> str:
    reasons: list[str] = []
    raised = execution.error.name if execution.error is not None else EXIT_CODE
    if raised != EXIT_CODE:
        reasons.append(one_line(raised, 80))
    if execution.signal:
        reasons.append(_signal_name(execution.signal))
    if execution.exit_code is not None and raised == EXIT_CODE:
        reasons.append(f"exit code {execution.exit_code}")
    return f"error ({', '.join(reasons)})" if reasons else "error"


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"
