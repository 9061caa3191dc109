"""A run on a terminal: running cases below, finished ones above as trees, a table at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.report.safe import one_line, shown
from e2brun.report.summary import reason, sandbox_id
from e2brun.runs import events
from e2brun.runs.record import CaseRecord, RunRecord, StepRecord, Verdict

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text
    from rich.tree import Tree

_MARKS = {
    Verdict.PASSED: ("✓", "green"),
    Verdict.FAILED: ("✗", "red"),
    Verdict.INFRASTRUCTURE: ("!", "yellow"),
    Verdict.SKIPPED: ("·", "dim"),
}
_SHOWN_RUNNING = 12
_ALL_STEPS_UP_TO = 20  # cases; of more, only those that failed are shown step by step
_DETAIL_LINES = 20


@dataclass
class _Running:
    step: str = "starting"
    sandbox_id: str = ""
    since: float = field(default_factory=monotonic)


class LiveView:
    """A subscriber that draws on stderr; use as a context manager around the run."""

    def __init__(self, *, color: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(
            file=sys.stderr, force_terminal=True, no_color=not color, highlight=False, markup=False
        )
        self._running: dict[str, _Running] = {}
        self._total = self._done = 0
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: events.RunEvent) -> None:
        match event:
            case events.RunStarted(cases=cases):
                self._total = len(cases)
            case events.CaseStarted(case=case):
                self._running[case] = _Running()
            case events.StepStarted(case=case, step=step) if case in self._running:
                self._running[case].step = step
            case events.SandboxStarted(case=case, sandbox_id=found) if case in self._running:
                self._running[case].sandbox_id = found
            case events.CaseFinished(record=record):
                self._running.pop(record.id, None)
                self._done += 1
                self._console.print(self._finished(record))
            case events.Told(line=line):
                self._console.print(f"e2brun: {one_line(line)}", style="dim")
            case _:
                pass

    def close(self, record: RunRecord) -> None:
        from rich.table import Table

        table = Table(title=one_line(record.pipeline), title_justify="left")
        for heading in ("verdict", "cases", "seconds"):
            table.add_column(heading, justify="left" if heading == "verdict" else "right")
        for verdict, (mark, style) in _MARKS.items():
            found = [case for case in record.cases if case.verdict is verdict]
            if found:
                seconds = f"{sum(case.seconds for case in found):.2f}"
                table.add_row(f"{mark} {verdict.value}", str(len(found)), seconds, style=style)
        self._console.print(table)

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        now = monotonic()
        lines: list[Text] = []
        for case, running in list(self._running.items())[:_SHOWN_RUNNING]:
            elapsed = f"{now - running.since:.1f} s"
            line = Text(f"… {one_line(case, 60)}  ")
            line.append(f"{one_line(running.step, 40)}  {elapsed}  {one_line(running.sandbox_id)}",
                        style="dim")  # fmt: skip
            lines.append(line)
        if self._total > 1:
            lines.append(Text(f"{self._done} of {self._total} cases", style="dim"))
        return Group(*lines)

    def _finished(self, case: CaseRecord) -> Tree:
        from rich.tree import Tree

        mark, style = _MARKS[case.verdict]
        tree = Tree(_line(mark, style, one_line(case.id), case.seconds, sandbox_id(case)))
        if self._total > _ALL_STEPS_UP_TO:
            if case.verdict is not Verdict.PASSED:
                tree.add(_plain(reason(case), style))
            return tree
        for attempt in case.attempts:
            branch = tree
            if len(case.attempts) > 1:
                branch = tree.add(_plain(f"attempt {attempt.number}", "dim"))
            for step in attempt.steps:
                self._step(branch, step)
        return tree

    def _step(self, tree: Tree, step: StepRecord) -> None:
        mark, style = _MARKS[step.verdict]
        name = f"{step.stage} {one_line(step.step, 60)}"
        branch = tree.add(_line(mark, style, name, step.seconds, one_line(step.message, 200)))
        if step.verdict.is_bad and step.details:
            lines = shown(step.details).rstrip().splitlines()
            branch.add(_plain("\n".join(lines[-_DETAIL_LINES:]), "dim"))


def _line(mark: str, style: str, name: str, seconds: float, rest: str) -> Text:
    from rich.text import Text

    line = Text()
    line.append(f"{mark} {name}", style=style)
    line.append(f"  {seconds:.2f} s  {rest}".rstrip(), style="dim")
    return line


def _plain(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style=style)
