"""The candidate is there: a file, or code in the pipeline itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from e2brun.errors import UsageError
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.record import Finding, Severity, Verdict
from e2brun.stages.step import PASSED, Generator, Judgement
from e2brun.stages.template import render
from e2brun.stages.work import Work

_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class FilesGenerator(Generator, step="files"):
    """Reads the case's file, whatever is in it: what is not UTF-8 is kept as lone surrogates,
    which `candidate` turns back into the same bytes."""

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        """The work with the file's text. Raises UsageError when it cannot be read."""
        started = monotonic()
        path = work.case.file
        if path is None:
            raise UsageError(f"case {work.case.id}: it names no file")
        content = _read(path)
        file = work.file or str(path)
        if len(content) > _LIMIT:
            message = f"larger than {_LIMIT // 1024**2} MiB"
            finding = Finding(file, 0, 0, "size", Severity.HIGH, message)
            judgement = Judgement(Verdict.FAILED, message, findings=(finding,))
            return replace(work, file=file).with_step(self.record(judgement, started))
        code = content.decode("utf-8", "surrogateescape")
        judgement = Judgement(Verdict.PASSED, f"{len(content)} bytes")
        return replace(work, code=code, file=file).with_step(self.record(judgement, started))


def _read(path: Path) -> bytes:
    with UsageError.of_system(path):
        if not path.is_file():
            what = "not a regular file" if path.exists() else "no such file"
            raise UsageError(f"{path}: {what}")
        with path.open("rb") as file:
            return file.read(_LIMIT + 1)


@dataclass(frozen=True)
class CodeGenerator(Generator, step="code"):
    """`code`, with the case's variables filled in: `{{name!r}}` is safe, `{{name}}` is raw."""

    code: str

    def __post_init__(self) -> None:
        if not self.code.strip():
            raise UsageError("generate: the code is empty")

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        """The work with the code. Raises UsageError for a variable that is not there."""
        started = monotonic()
        code = render(self.code, work.case.variables)
        return replace(work, code=code).with_step(self.record(PASSED, started))
