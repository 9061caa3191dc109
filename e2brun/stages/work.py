"""What passes from stage to stage: a case, its candidate, and the steps taken so far.

Every stage is a `Primitive[Work, Work]` that adds its `StepRecord`s and changes nothing else but
what it made. A stage given work that is `stopped` adds nothing and hands it on, so that stages
compose with `>>` and a failing candidate costs no sandbox. The refining loop around them reads
`steps` to tell the generator what was wrong.

What comes out of the sandbox (`Collected`, `Probed`) is data of a stranger, kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from e2brun.errors import UsageError
from e2brun.jobs.source import Kind, Source, kind_of
from e2brun.runs.record import AttemptRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.sandbox.contract import Upload

MAIN = "main.py"
FILE_LIMIT = 10 * 1024 * 1024  # bytes read of one file that a check looks at


@dataclass(frozen=True, slots=True)
class Collected:
    """A file as it was when the program had ended; `content` is None where there is `problem`."""

    content: bytes | None = None
    problem: str = ""
    missing: bool = False  # it is not there, as against: it could not be read
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What a check asks of a sandbox before it ends: a program of the pipeline's author, run beside
    the candidate once that has ended."""

    key: str
    argv: tuple[str, ...]
    files: tuple[Upload, ...]
    report: str  # the file it writes
    timeout: float
    install: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """How a probe ended, the ends of what it printed, and its report."""

    outcome: str
    exit_code: int | None
    stdout: str
    stderr: str
    report: Collected = field(default_factory=Collected)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One input of a pipeline: its id, and the variables that prompts, code and checks may use."""

    id: str
    variables: Mapping[str, object] = field(default_factory=dict[str, object])
    file: Path | None = None  # the candidate, where `files` names it


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt at one case, under way."""

    case: Case
    attempt: int = 1
    code: str | None = None  # the candidate; None before generate
    file: str = ""  # as the user knows it
    earlier: tuple[AttemptRecord, ...] = ()  # for a generator that refines
    execution: ExecutionRecord | None = None
    steps: tuple[StepRecord, ...] = ()
    collected: Mapping[str, Collected] = field(default_factory=dict[str, Collected])
    probed: Mapping[str, Probed] = field(default_factory=dict[str, Probed])

    @property
    def stopped(self) -> bool:
        """A step failed: nothing more is to be done with this candidate."""
        return any(step.verdict not in {Verdict.PASSED, Verdict.SKIPPED} for step in self.steps)

    def content(self) -> bytes:
        """The candidate as it was read. Raises UsageError: nothing made one."""
        if self.code is None:
            raise UsageError("there is no candidate: the pipeline has no [generate]")
        return self.code.encode("utf-8", "surrogateescape")

    def source(self, name: str = MAIN) -> Source:
        """The candidate as something to run; code that is in no file is called `name`. Raises
        SourceUnfit for a file of no known kind."""
        data = self.content()
        path = Path(PurePosixPath(self.file).name or name)
        directory = None if self.case.file is None else self.case.file.parent
        return Source(self.file or name, data, kind_of(path, data), path, directory)

    def is_python(self) -> bool:
        try:
            return self.source().kind is Kind.PYTHON
        except UsageError:  # of no known kind
            return False

    def with_step(self, *steps: StepRecord) -> Work:
        return replace(self, steps=(*self.steps, *steps))
