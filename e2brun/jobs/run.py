"""One job: a source, what it needs and what is wanted back; and running it in a sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from e2brun.errors import E2brunError, FileTransferFailed, SandboxError, UsageError
from e2brun.frozen import Frozen
from e2brun.jobs.diagnosis import TAIL, explained
from e2brun.jobs.source import Kind
from e2brun.sandbox.contract import (
    CodeError,
    Execution,
    Outcome,
    Program,
    Result,
    Sandbox,
    Sink,
    Upload,
)

if TYPE_CHECKING:
    from pathlib import Path

    from e2brun.jobs.job import Job
    from e2brun.jobs.notebook import Notebook
    from e2brun.jobs.notebook_outputs import CellRun

_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_OF_IMPORTS = frozenset({"AttributeError", "ImportError", "ModuleNotFoundError"})
# What makes a context ready is no cell of the user's: it is neither counted nor kept. Its
# interpreter has started before it knew of a PYTHONPATH.
_ENTER = """
import contextlib, os, sys
if directory is not None:
    os.chdir(os.path.expanduser(directory))
sys.path[sys.path[:1] == [""]:0] = [path for path in paths if path not in sys.path]
with contextlib.suppress(ImportError, AttributeError):
    from IPython import get_ipython
    shell = get_ipython()
    def forget(*_):
        shell.events.unregister("post_run_cell", forget)
        if shell.execution_count == 2:
            shell.history_manager.reset(new_session=True)
            shell.history_manager._i00 = shell.history_manager._i = ""
            shell.user_ns.update(_i="", _ii="", _iii="")
            shell.user_ns.pop("_i1", None)
            shell.execution_count = 1
    shell.events.register("post_run_cell", forget)
"""


class Outputs(Frozen):
    """Where what comes out goes while it runs."""

    stdout: Sink
    stderr: Sink
    on_result: Callable[[Result], None] = lambda _: None
    on_error: Callable[[CodeError], None] = lambda _: None  # of a cell, and the run goes on
    limit: int = 0  # bytes of each stream that an executed notebook keeps; 0: all


class Ran:
    """How a job went, and what is left of it."""

    def __init__(self, execution: Execution, sandbox_id: str, template: str) -> None:
        self.execution, self.sandbox_id, self.template = execution, sandbox_id, template
        self.fetched: list[Path] = []
        self.left_out: list[str] = []  # of what was fetched, and why
        self.failures: list[E2brunError] = []
        self.cells: list[CellRun] = []
        self.widgets: dict[str, object] = {}  # of a notebook


class _Tail:
    """A sink that remembers the end of what it passes on."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.kept = b""

    def __call__(self, data: bytes) -> None:
        self.kept = (self.kept + data[-TAIL:])[-TAIL:]
        self._sink(data)


def run(job: Job, sandbox: Sandbox, outputs: Outputs) -> Ran:
    """Run and fetch; whoever created the sandbox ends it. How it ended is explained.

    Raises SandboxError when the code never ran.
    """
    ran = Ran(Execution(Outcome.INFRASTRUCTURE), sandbox.id, sandbox.template)
    stderr = _Tail(outputs.stderr)
    execution = _executed(job, sandbox, outputs.but(stderr=stderr), ran)
    if job.tells_end and (job.as_cell or job.notebook is not None):
        whole = execution.outcome is Outcome.OK and execution.left is None
        execution = execution.but(completed=whole)
    ran.execution = _explained(job, execution, stderr.kept)
    if execution.outcome is not Outcome.LOST:
        _fetch(job, sandbox, ran)
    if job.keep:
        sandbox.release()
    return ran


def _executed(job: Job, sandbox: Sandbox, outputs: Outputs, ran: Ran) -> Execution:
    if job.unreadable is not None:
        return Execution(Outcome.ERROR, 1, error=job.unreadable)
    if job.notebook is not None:
        return _run_notebook(job, job.notebook, sandbox, outputs, ran)
    if not job.as_cell:
        return sandbox.run_program(
            program(job), timeout=job.timeout, stdout=outputs.stdout, stderr=outputs.stderr
        )
    _prepare_cells(job, sandbox)
    execution = Execution(Outcome.OK, 0)
    for code in filter(None, (job.setup, job.source.text())):
        execution = _run_cell(sandbox, code, job.timeout, outputs)
        if execution.outcome is not Outcome.OK:
            break
    return execution


def _explained(job: Job, execution: Execution, stderr: bytes) -> Execution:
    """With what to do about a module that lies beside the source and was not sent, or that is
    hidden by the source."""
    execution = explained(execution, stderr)
    error = execution.error
    if error is None or job.source.kind not in {Kind.PYTHON, Kind.NOTEBOOK}:
        return execution
    said = f"{error.value}\n{stderr[-2000:].decode(errors='replace')}"
    hint = _hidden(job, error, said) or _beside(job, said)
    return execution.but(error=error.but(hint=hint or error.hint))


def _hidden(job: Job, error: CodeError, said: str) -> str | None:
    source = job.source
    is_program = source.path is not None and not job.as_cell and source.kind is Kind.PYTHON
    if not is_program or error.name not in _OF_IMPORTS:
        return None
    from e2brun.jobs.local_modules import hidden_by

    return hidden_by(source.inside, source.content, said)


def _beside(job: Job, said: str) -> str | None:
    directory, found = job.source.directory, _NO_MODULE.search(said)
    if directory is None or found is None:
        return None
    from e2brun.jobs.local_modules import Beside

    cells = job.as_cell or job.notebook is not None
    return Beside(directory).hint(found[1], job.cwd if cells else None)


def program(job: Job) -> Program:
    """The program a job runs, with the files it is to find."""
    source = job.source
    files = job.uploads
    if source.path is not None:
        files = (
            *files,
            Upload(source.inside, source.content, executable=source.kind is Kind.SHELL),
        )
    return Program(
        source.argv(job.arguments, job.cwd),
        files,
        cwd=job.cwd,
        stdin=job.stdin if source.path is not None else source.content,
        tells_end=job.tells_end,
    )


def _prepare_cells(job: Job, sandbox: Sandbox) -> None:
    from e2brun.jobs.notebook_language import PYTHON

    if job.uploads:
        sandbox.write_files(job.uploads)
    language = PYTHON if job.notebook is None else job.notebook.language
    if language != PYTHON:
        _enter(job, sandbox, language)
        return
    paths = [path for path in job.spec.env.get("PYTHONPATH", "").split(":") if path]
    if job.cwd is None and not paths:
        return
    silent = Outputs(_drop, _drop)
    code = f"exec({_ENTER!r}, {{'directory': {job.cwd!r}, 'paths': {paths!r}}})"
    if _run_cell(sandbox, code, job.timeout, silent).outcome is not Outcome.OK:
        raise FileTransferFailed(f"{job.cwd}: no such directory in the sandbox")


def _enter(job: Job, sandbox: Sandbox, language: str) -> None:
    """The working directory of a kernel that is not Python's."""
    from e2brun.jobs.notebook_language import enter_directory

    if job.cwd is None:
        return
    code = enter_directory(language, job.cwd)
    if code is None:
        raise UsageError(f"--cwd: a {language} kernel cannot leave its directory")
    entered = sandbox.run_cell(
        code, timeout=job.timeout, stdout=_drop, stderr=_drop, language=language
    )
    if entered.outcome is not Outcome.OK:
        raise FileTransferFailed(f"{job.cwd}: no such directory in the sandbox")


def _drop(_: bytes) -> None:
    """Of a cell that is not the user's."""


def _run_cell(sandbox: Sandbox, code: str, timeout: float, outputs: Outputs) -> Execution:
    return sandbox.run_cell(
        code,
        timeout=timeout,
        stdout=outputs.stdout,
        stderr=outputs.stderr,
        on_result=outputs.on_result,
    )


def _run_notebook(
    job: Job, notebook: Notebook, sandbox: Sandbox, outputs: Outputs, ran: Ran
) -> Execution:
    from e2brun.jobs.job import Rules
    from e2brun.jobs.notebook_run import Listeners, NotebookRun

    _prepare_cells(job, sandbox)
    listeners = Listeners(
        outputs.stdout, outputs.stderr, outputs.on_result, outputs.on_error, outputs.limit
    )
    running = NotebookRun(notebook, sandbox, job.rules or Rules(), listeners, ran.cells)
    execution = running.run(job.timeout)
    ran.widgets = running.widgets
    return execution


def _fetch(job: Job, sandbox: Sandbox, ran: Ran) -> None:
    if job.downloads:
        from e2brun.jobs import downloads

        allowance = downloads.Allowance(job.max_get)
        for argument in job.downloads:
            try:
                path, left_out = downloads.fetch(sandbox, argument, allowance)
            except SandboxError as error:
                ran.failures.append(FileTransferFailed(f"--get {argument}: {error}"))
                continue
            ran.fetched.append(path)
            if left_out:
                ran.left_out.append(f"{path}: {left_out} links, FIFOs or devices")
