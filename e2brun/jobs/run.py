"""One job: a source, what it needs and what is wanted back; and running it in a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2brun.errors import E2brunError, FileTransferFailed, SandboxError, UsageError
from e2brun.jobs.source import Kind, Source
from e2brun.sandbox.contract import (
    CodeError,
    Execution,
    Limits,
    Outcome,
    Program,
    Result,
    Sandbox,
    SandboxSpec,
    Sink,
    Upload,
)

if TYPE_CHECKING:
    from pathlib import Path

    from e2brun.jobs.notebook import Notebook
    from e2brun.jobs.notebook_outputs import CellRun
    from e2brun.jobs.notebook_run import Rules


@dataclass(frozen=True, slots=True)
class Job:
    """Everything one run needs, read and checked: from here on only a sandbox can fail."""

    source: Source
    spec: SandboxSpec = SandboxSpec()
    timeout: float = 30.0
    as_cell: bool = False
    arguments: tuple[str, ...] = ()
    stdin: int | None = None
    cwd: str | None = None
    uploads: tuple[Upload, ...] = ()
    downloads: tuple[str, ...] = ()
    max_get: int = Limits().disk  # bytes of all downloads together
    notebook: Notebook | None = None
    rules: Rules | None = None  # of the notebook
    keep: bool = False


@dataclass(slots=True)
class Outputs:
    """Where what comes out goes while it runs."""

    stdout: Sink
    stderr: Sink
    on_result: Callable[[Result], None] = lambda _: None
    on_error: Callable[[CodeError], None] = lambda _: None  # of a cell, and the run goes on
    limit: int = 0  # bytes of each stream that an executed notebook keeps; 0: all


@dataclass(slots=True)
class Ran:
    """How a job went, and what is left of it."""

    execution: Execution
    sandbox_id: str
    template: str
    fetched: list[Path] = field(default_factory=list["Path"])
    left_out: list[str] = field(default_factory=list[str])  # of what was fetched, and why
    failures: list[E2brunError] = field(default_factory=list[E2brunError])
    cells: list[CellRun] = field(default_factory=list["CellRun"])
    widgets: dict[str, object] = field(default_factory=dict[str, object])  # of a notebook


def run(job: Job, sandbox: Sandbox, outputs: Outputs) -> Ran:
    """Run and fetch; whoever created the sandbox ends it.

    Raises SandboxError when the code never ran.
    """
    ran = Ran(Execution(Outcome.INFRASTRUCTURE), sandbox.id, sandbox.template)
    if job.notebook is not None:
        ran.execution = _run_notebook(job, job.notebook, sandbox, outputs, ran)
    elif job.as_cell:
        _prepare_cells(job, sandbox)
        ran.execution = _run_cell(sandbox, job.source.text(), job.timeout, outputs)
    else:
        ran.execution = sandbox.run_program(
            program(job), timeout=job.timeout, stdout=outputs.stdout, stderr=outputs.stderr
        )
    if ran.execution.outcome is not Outcome.LOST:
        _fetch(job, sandbox, ran)
    if job.keep:
        sandbox.release()
    return ran


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
    )


def _prepare_cells(job: Job, sandbox: Sandbox) -> None:
    if job.uploads:
        sandbox.write_files(job.uploads)
    if job.cwd is not None:
        from e2brun.jobs.notebook_language import PYTHON, enter_directory

        language = PYTHON if job.notebook is None else job.notebook.language
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
    from e2brun.jobs.notebook_run import Listeners, NotebookRun, Rules

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
