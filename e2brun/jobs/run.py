"""One job: a source, what it needs and what is wanted back; and running it in a sandbox."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from e2brun.errors import E2brunError, FileTransferFailed, SandboxError
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

StreamName = Literal["stdout", "stderr"]
_VERSION_LENGTH = 64
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_OF_IMPORTS = frozenset({"AttributeError", "ImportError", "ModuleNotFoundError"})


class Outputs(Frozen):
    """Where what comes out goes while it runs."""

    stdout: Sink
    stderr: Sink
    on_result: Callable[[Result], None] = lambda _: None
    on_error: Callable[[CodeError], None] = lambda _: None  # of a cell, and the run goes on
    limit: int = 0  # bytes of each stream that an executed notebook keeps; 0: all
    at_once: bool = False  # a terminal: what a cell clears later is shown, too


class OutputStream:
    """One output stream: at most `limit` bytes (0: no limit) go on, the rest are counted. They go
    to `forward`, and are kept for `text()` if `keep`."""

    def __init__(self, limit: int, forward: Sink | None, keep: bool) -> None:
        self.dropped = 0
        self.broken = False  # nobody reads `forward` any more
        self.ends_line = True  # what we say next on the same terminal begins a line of its own
        self._limit = limit
        self._passed = 0
        self._forward = forward
        self._kept = bytearray() if keep else None

    def __call__(self, data: bytes) -> None:
        """Take the next bytes. Raises BrokenPipeError as `forward` does, then and ever after."""
        self._take(data, self._kept)

    def show(self, data: bytes) -> None:
        """Write what is shown among the output but no part of it: a cell's value. Not kept."""
        self._take(data, None)

    def _take(self, data: bytes, kept: bytearray | None) -> None:
        if self._limit:
            room = self._limit - self._passed
            if len(data) > room:
                self.dropped += len(data) - room
                data = data[:room]
        if not data:
            return
        self._passed += len(data)
        self.ends_line = data.endswith(b"\n")
        if kept is not None:
            kept += data
        if self._forward is not None:
            self._hand_on(self._forward, data)

    def _hand_on(self, forward: Sink, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        try:
            forward(data)
        except BrokenPipeError:
            self.broken = True
            raise

    def text(self) -> str:
        """What was kept, as UTF-8 with U+FFFD for what is not; no half character at a cut."""
        kept = bytes(self._kept or b"")
        return codecs.utf_8_decode(kept, "replace", not self.dropped)[0]


class LogLines:
    """The lines of both streams in the order in which they began; `limit` bytes of each.

    A line that is continued after the other stream spoke stays one line, where it began.
    It may be fed from two threads.
    """

    def __init__(self, limit: int) -> None:
        from array import array
        from threading import Lock

        # All bytes in order of arrival, and where the speaker changes: 8 bytes for each change,
        # however finely a hostile program interleaves its streams.
        self._data = bytearray()
        self._turns = array("Q")
        self._lock = Lock()
        self._limit = limit
        self._taken = [0, 0]

    def feed(self, stream: StreamName, data: bytes) -> None:
        index = int(stream == "stderr")
        with self._lock:
            if self._limit:
                data = data[: self._limit - self._taken[index]]
            if not data:
                return
            self._taken[index] += len(data)
            if len(self._turns) % 2 != index:
                self._turns.append(len(self._data))
            self._data += data

    def lines(self) -> list[str]:
        """Every line without its end; a last one without an end counts."""
        with self._lock:
            begun: list[bytes | bytearray] = []
            unfinished: list[bytearray | None] = [None, None]
            for stream, said in self._said():
                pieces = said.split(b"\n")
                line = unfinished[stream]
                if line is not None:
                    line += pieces[0]
                    if len(pieces) == 1:
                        continue
                    del pieces[0]
                begun += pieces[:-1]
                unfinished[stream] = bytearray(pieces[-1]) if pieces[-1] else None
                begun += [tail for tail in (unfinished[stream],) if tail is not None]
            return [line.decode("utf-8", "replace").removesuffix("\r") for line in begun]

    def _said(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        for turn, end in enumerate((*self._turns, len(self._data))):
            if end > start:
                yield turn % 2, bytes(self._data[start:end])
            start = end


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
    """Run and fetch; whoever created the sandbox ends it. How it ended is explained. Raises
    SandboxError when the code never ran, SourceUnfit when it wants another Python."""
    if job.requires_python is not None:
        _check_python(job.requires_python, job, sandbox)
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


def _check_python(required: str, job: Job, sandbox: Sandbox) -> None:
    from e2brun.jobs.requirements import check_requires_python

    said = OutputStream(_VERSION_LENGTH, None, keep=True)
    asking = Program(("python3", "-c", "import sys; print(*sys.version_info[:3])"))
    sandbox.run_program(asking, timeout=job.timeout, stdout=said, stderr=lambda _: None)
    words = said.text().split()
    if len(words) == 3 and all(word.isdecimal() for word in words):  # else there is none
        check_requires_python(required, tuple(map(int, words)), job.source.name)


def _executed(job: Job, sandbox: Sandbox, outputs: Outputs, ran: Ran) -> Execution:
    if job.unreadable is not None:
        return Execution(Outcome.ERROR, 1, error=job.unreadable)
    if job.notebook is None and not job.as_cell:
        return sandbox.run_program(
            program(job), timeout=job.timeout, stdout=outputs.stdout, stderr=outputs.stderr
        )
    if job.uploads:
        sandbox.write_files(job.uploads)
    if job.notebook is not None:
        return _run_notebook(job, job.notebook, sandbox, outputs, ran)
    return _run_cells(job, sandbox, outputs)


def _run_cells(job: Job, sandbox: Sandbox, outputs: Outputs) -> Execution:
    code = job.source.text()
    clears = "clear_output" in code
    paths = _python_path(job)
    if clears or paths or job.cwd is not None:
        from e2brun.jobs.notebook_run import Prelude

        Prelude(job.cwd, paths, "clear" if clears else "").run(sandbox, job.timeout)
    if job.setup:
        execution = _run_cell(sandbox, job.setup, job.timeout, outputs)
        if execution.outcome is not Outcome.OK:
            return execution
    if not clears:
        return _run_cell(sandbox, code, job.timeout, outputs)
    from e2brun.jobs.job import Rules
    from e2brun.jobs.notebook import Cell, Notebook
    from e2brun.jobs.notebook_run import NotebookRun

    notebook = Notebook({}, (Cell(0, code),))
    return NotebookRun(notebook, sandbox, Rules(lives_on=True), outputs).run(job.timeout)


def _python_path(job: Job) -> list[str]:
    return [path for path in job.spec.env.get("PYTHONPATH", "").split(":") if path]


def _explained(job: Job, execution: Execution, stderr: bytes) -> Execution:
    """With what to do about a module beside the source that was not sent, or that it hides."""
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
    from e2brun.jobs.notebook_format import PYTHON
    from e2brun.jobs.notebook_run import NotebookRun, Prelude

    rules, prelude = job.rules or Rules(), None
    if notebook.language == PYTHON:
        prelude = Prelude(job.cwd, _python_path(job), "all", rules.charts)
    running = NotebookRun(notebook, sandbox, rules, outputs, prelude, job.cwd)
    ran.cells = running.cells  # also of one that is interrupted
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
                ran.left_out.append(f"{path}: {left_out}")
