"""Running cells one after the other, until one does not end well: those of a notebook, and others
whose output is looked at as a notebook's is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import FileTransferFailed, SandboxError
from e2brun.frozen import Frozen
from e2brun.jobs.notebook_format import PYTHON, Json
from e2brun.jobs.notebook_outputs import CellRun, Recorder
from e2brun.sandbox import endings
from e2brun.sandbox.contract import Execution, KernelSpec, Outcome, Result, Sandbox, Sink

if TYPE_CHECKING:
    from e2brun.jobs.job import Rules
    from e2brun.jobs.notebook import Cell, Notebook
    from e2brun.jobs.run import Outputs

_GONE = frozenset({"ForgedResults"})  # errors that leave no context to go on in


class Prelude(Frozen):
    """What makes a Python context ready: where cells run, from where they import beside that, and
    what is told of them beside their results: see prelude.py."""

    directory: str | None = None
    paths: Sequence[str] = ()
    tells: str = ""  # "clear", or "all"
    charts: bool = True

    def run(
        self, sandbox: Sandbox, timeout: float, on_result: Callable[[Result], None] | None = None
    ) -> Execution:
        """Run it, for nobody to see. Raises FileTransferFailed without that directory."""
        source = Path(__file__).with_name("prelude.py").read_text(encoding="utf-8")
        names = {
            "__name__": "e2brun_prelude",  # names of its own, and none of ours
            "DIRECTORY": self.directory,
            "PATHS": list(self.paths),
            "TELLS": self.tells,
            "CHARTS": self.charts,
        }
        code = f"exec(compile({source!r}, '<notebook>', 'exec', dont_inherit=True), {names})"
        ended = hidden(sandbox, code, timeout, on_result)
        if ended.outcome is Outcome.ERROR and self.directory is not None:
            raise FileTransferFailed(endings.no_directory(self.directory))
        return ended


class NotebookRun:
    """One run; `cells` grows as it goes."""

    def __init__(
        self,
        notebook: Notebook,
        sandbox: Sandbox,
        rules: Rules,
        outputs: Outputs,
        prelude: Prelude | None = None,
        cwd: str | None = None,
    ) -> None:
        """`cwd` is where a kernel begins that is not Python's."""
        is_python = notebook.language == PYTHON
        self._kernel = None if is_python else KernelSpec(notebook.language, cwd)
        self.notebook, self.sandbox, self.rules = notebook, sandbox, rules
        self.outputs, self.prelude = outputs, prelude
        self.cells: list[CellRun] = []
        self._recorder = Recorder(outputs.limit, holds=not outputs.at_once)

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
                left = max(1.0, end - monotonic())
                hidden(self.sandbox, _TELL_WIDGETS, left, self._take_hidden)
            if self.rules.lives_on and self.notebook.language == PYTHON:
                hidden(self.sandbox, _END, 5.0, self._take_hidden)
        return whole.but(results=tuple(results), execution_time=elapsed)

    def _prepare(self, end: float, timeout: float) -> Execution | None:
        """Connect what tells more of a notebook than results; how it ended if that was the end."""
        if self.prelude is None or not self.notebook.cells:
            return None
        ended = self.prelude.run(self.sandbox, max(0.001, end - monotonic()), self._take_hidden)
        if ended.outcome in {Outcome.OK, Outcome.ERROR}:  # without it, a little is lost
            return None
        if ended.outcome is Outcome.TIMEOUT:
            return ended.but(detail=endings.time_limit(timeout))
        return ended

    def _take_hidden(self, told: Result) -> None:
        self._recorder.result(told)

    def _cell(self, cell: Cell, end: float, timeout: float) -> Execution:
        self._recorder.begin(len(self.cells) + 1, clears="clear_output" in cell.source)
        left = max(0.001, end - monotonic())
        limit = min(left, self.rules.cell_timeout or left)
        try:
            execution = self.sandbox.run_cell(
                cell.source,
                timeout=limit,
                stdout=self._tee("stdout", self.outputs.stdout),
                stderr=self._tee("stderr", self.outputs.stderr),
                on_result=self._take_result,
                kernel=self._kernel,
            )
        except SandboxError as error:
            if not self.cells:
                raise
            return Execution(Outcome.LOST, detail=str(error))
        finally:  # whatever ends it: nothing that was put out is lost
            self._recorder.release()
        if execution.outcome is Outcome.TIMEOUT:
            of_cell = f"{endings.time_limit(limit)} (cell {cell.index + 1})"
            detail = of_cell if limit < left else endings.time_limit(timeout)
            return execution.but(detail=detail)
        return execution

    def _tee(self, name: str, sink: Sink) -> Sink:
        broken = False

        def say(data: bytes) -> None:
            nonlocal broken
            if not broken:
                try:
                    sink(data)
                except BrokenPipeError:  # nobody reads it any more; the document is still made
                    broken = True

        def take(data: bytes) -> None:
            self._recorder.stream(name, data)
            self._recorder.tell(lambda: say(data), len(data))

        return take

    def _take_result(self, told: Result) -> None:
        result = self._recorder.result(told)
        if result is not None:
            now: Result = {**result}  # an update may change it while it waits
            self._recorder.tell(lambda: self.outputs.on_result(now))

    def _goes_on(self, cell: Cell, execution: Execution) -> bool:
        if execution.outcome is Outcome.OK:
            return execution.left is None or cell.may_raise
        error = execution.error
        if execution.outcome is not Outcome.ERROR or error is None or error.name in _GONE:
            return False
        allowed = cell.may_raise or (self.rules.allow_errors and execution.left is None)
        if allowed:
            self.outputs.on_error(error)
        return allowed


def _drop(_: bytes) -> None:
    """Of cells that are not the user's."""


def hidden(
    sandbox: Sandbox, code: str, timeout: float, on_result: Callable[[Result], None] | None = None
) -> Execution:
    """Run a cell that is ours."""
    return sandbox.run_cell(code, timeout=timeout, stdout=_drop, stderr=_drop, on_result=on_result)


_TELL_WIDGETS = "get_ipython().e2brun_connection.tell_widgets()"
_END = "get_ipython().e2brun_connection.end()"
