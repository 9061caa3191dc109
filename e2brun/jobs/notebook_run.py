"""Running a notebook: every cell in order, until one does not end well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import SandboxError
from e2brun.frozen import Frozen
from e2brun.jobs.notebook_format import Json
from e2brun.jobs.notebook_language import PYTHON
from e2brun.jobs.notebook_outputs import CellRun, Recorder
from e2brun.sandbox import endings
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result, Sandbox, Sink

if TYPE_CHECKING:
    from e2brun.jobs.job import Rules
    from e2brun.jobs.notebook import Cell, Notebook

_GONE = frozenset({"ForgedResults"})  # errors that leave no context to go on in


class Listeners(Frozen):
    """Who hears of a run as it goes; `limit` bytes of each stream are kept, 0 for all."""

    stdout: Sink
    stderr: Sink
    on_result: Callable[[Result], None]
    on_error: Callable[[CodeError], None]  # one that does not end the run
    limit: int = 0


class NotebookRun:
    """One run; `cells` grows as it goes."""

    def __init__(
        self,
        notebook: Notebook,
        sandbox: Sandbox,
        rules: Rules,
        listeners: Listeners,
        cells: list[CellRun],
    ) -> None:
        self.notebook, self.sandbox, self.rules = notebook, sandbox, rules
        self.listeners, self.cells = listeners, cells
        self._recorder = Recorder(listeners.limit)

    @property
    def widgets(self) -> Json:
        """The state of ipywidgets' widgets, by the ids that outputs name them with."""
        return self._recorder.widgets

    def run(self, timeout: float) -> Execution:
        """How it ended; `timeout` is for the whole of it. Raises SandboxError when no cell
        could be started."""
        end = monotonic() + timeout
        if (failed := self._prepare(end, timeout)) is not None:
            return failed
        results: list[Result] = []
        elapsed = 0.0
        whole = Execution(Outcome.OK, 0)
        for cell in self.notebook.cells:
            execution = self._cell(cell, end, timeout)
            cell_run, shown = self._recorder.end(cell.index, execution)
            self.cells.append(cell_run)
            results += shown
            elapsed += execution.execution_time
            if not self._goes_on(cell, execution):
                whole = execution
                break
        if whole.outcome in {Outcome.OK, Outcome.ERROR}:
            if self._recorder.has_widgets:
                self._hidden(_TELL_WIDGETS, max(1.0, end - monotonic()))
            if self.rules.lives_on and self.notebook.language == PYTHON:
                self._hidden(_END, 5.0)
        return whole.but(results=tuple(results), execution_time=elapsed)

    def _prepare(self, end: float, timeout: float) -> Execution | None:
        """Connect what tells more of a notebook than results; how it ended if that was the end."""
        if self.notebook.language != PYTHON or not self.notebook.cells:
            return None
        ended = self._hidden(prelude(charts=self.rules.charts), max(0.001, end - monotonic()))
        if ended.outcome in {Outcome.OK, Outcome.ERROR}:  # without it, a little is lost
            return None
        if ended.outcome is Outcome.TIMEOUT:
            return ended.but(detail=endings.time_limit(timeout))
        return ended

    def _hidden(self, code: str, timeout: float) -> Execution:
        return self.sandbox.run_cell(
            code, timeout=timeout, stdout=_drop, stderr=_drop, on_result=self._take_hidden
        )

    def _take_hidden(self, told: Result) -> None:
        self._recorder.result(told)

    def _cell(self, cell: Cell, end: float, timeout: float) -> Execution:
        self._recorder.begin(len(self.cells) + 1)
        left = max(0.001, end - monotonic())
        limit = min(left, self.rules.cell_timeout or left)
        try:
            execution = self.sandbox.run_cell(
                cell.source,
                timeout=limit,
                stdout=self._tee("stdout", self.listeners.stdout),
                stderr=self._tee("stderr", self.listeners.stderr),
                on_result=self._take_result,
                language=None if self.notebook.language == PYTHON else self.notebook.language,
            )
        except SandboxError as error:
            if not self.cells:
                raise
            return Execution(Outcome.LOST, detail=str(error))
        if execution.outcome is Outcome.TIMEOUT:
            of_cell = f"{endings.time_limit(limit)} (cell {cell.index + 1})"
            detail = of_cell if limit < left else endings.time_limit(timeout)
            return execution.but(detail=detail)
        return execution

    def _tee(self, name: str, sink: Sink) -> Sink:
        broken = False

        def take(data: bytes) -> None:
            nonlocal broken
            self._recorder.stream(name, data)
            if not broken:
                try:
                    sink(data)
                except BrokenPipeError:  # nobody reads it any more; the document is still made
                    broken = True

        return take

    def _take_result(self, told: Result) -> None:
        result = self._recorder.result(told)
        if result is not None:
            self.listeners.on_result(result)

    def _goes_on(self, cell: Cell, execution: Execution) -> bool:
        if execution.outcome is Outcome.OK:
            return execution.left is None or cell.may_raise
        error = execution.error
        if execution.outcome is not Outcome.ERROR or error is None or error.name in _GONE:
            return False
        allowed = cell.may_raise or (self.rules.allow_errors and execution.left is None)
        if allowed:
            self.listeners.on_error(error)
        return allowed


def _drop(_: bytes) -> None:
    """Of cells that are not the notebook's."""


def prelude(*, charts: bool = True) -> str:
    """The cell before the first one. Its module has names of its own in there, and none of ours."""
    source = Path(__file__).with_name("notebook_prelude.py").read_text(encoding="utf-8")
    return (
        f"exec(compile({source!r}, '<notebook>', 'exec', dont_inherit=True), "
        f"{{'__name__': 'e2brun_notebook', 'CHARTS': {charts}}})"
    )


_TELL_WIDGETS = "get_ipython().e2brun_connection.tell_widgets()"
_END = "get_ipython().e2brun_connection.end()"
