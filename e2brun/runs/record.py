"""What happened in a run, as data: reports draw it, the store keeps it, resume reads it.

Everything is immutable and made of plain values, so that it goes through JSON unchanged.
Times are seconds; `started` is seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_STDERR_SHOWN = 2000


class Verdict(StrEnum):
    """How a step, a case or a run was judged. Infrastructure is never the code's fault."""

    PASSED = "passed"
    FAILED = "failed"
    INFRASTRUCTURE = "infrastructure"
    SKIPPED = "skipped"

    @property
    def is_bad(self) -> bool:
        return self in {Verdict.FAILED, Verdict.INFRASTRUCTURE}

    @property
    def counted(self) -> str:
        """As cases are counted: `3 passed, 1 not run`."""
        return "not run" if self is Verdict.SKIPPED else self.value


class Severity(StrEnum):
    """How bad a finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong at a place in the candidate. Lines and columns count from 1; 0: unknown."""

    file: str
    line: int
    column: int
    rule: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return f"{where}: {self.severity}: {self.message} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution in a sandbox, as `e2brun exec --json` would tell it."""

    sandbox_id: str
    backend: str
    outcome: str
    exit_code: int | None
    stdout: str
    stderr: str
    execution_time: float
    error: str | None = None  # name: value
    traceback: str = ""
    hint: str | None = None
    results: tuple[Mapping[str, object], ...] = ()
    truncated: Mapping[str, int] = field(default_factory=dict[str, int])
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # remote -> local
    cached: bool = False
    peak_memory: int | None = None  # bytes; None: the backend does not tell
    completed: bool | None = None  # the code ran to its own end; None: nobody can tell

    @property
    def early_end(self) -> str:
        """What to say of code that is not known to have come to its own end; "" where it has."""
        if self.completed is None:
            return "nobody can tell whether it came to its end: it is no Python"
        return "" if self.completed else "it ended before its last line"

    @property
    def trouble(self) -> str:
        """What there is to read where it went wrong: traceback or end of stderr, and the hint."""
        shown = self.traceback.rstrip() or self.stderr[-_STDERR_SHOWN:].rstrip()
        return "\n".join(part for part in (shown, self.hint) if part)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one attempt: a generator, a validator, an execution or a check."""

    stage: str  # generate, validate, execute, check
    step: str  # files, syntax, program, stdout, ...
    verdict: Verdict
    seconds: float
    message: str = ""  # one line: what is wrong, or what was done
    details: str = ""  # expected against got as a short diff, a traceback, ...
    findings: tuple[Finding, ...] = ()
    execution: ExecutionRecord | None = None
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])  # input, output


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One candidate and what was done with it."""

    number: int  # from 1
    code: str
    steps: tuple[StepRecord, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its steps."""
        return worst(step.verdict for step in self.steps)


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One case: its parameters, every attempt, and how the last one went."""

    id: str
    file: str  # the candidate as the user knows it, for annotations; "" for generated code
    parameters: Mapping[str, object]
    attempts: tuple[AttemptRecord, ...]
    seconds: float
    started: float

    @property
    def verdict(self) -> Verdict:
        """Of the last attempt; SKIPPED when there was none."""
        return self.attempts[-1].verdict if self.attempts else Verdict.SKIPPED

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        return self.attempts[-1].steps if self.attempts else ()

    @property
    def bad_steps(self) -> list[StepRecord]:
        return [step for step in self.steps if step.verdict.is_bad]

    @property
    def executions(self) -> list[ExecutionRecord]:
        steps = (step for attempt in self.attempts for step in attempt.steps)
        return [step.execution for step in steps if step.execution is not None]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `finished` is None while it runs, or when it was killed."""

    id: str
    pipeline: str  # its name; of other runs what a reader knows them by
    file: str  # its TOML, or what else it was made from
    backend: str
    started: float
    finished: float | None = None
    cases: tuple[CaseRecord, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, verdict: Verdict) -> int:
        return sum(case.verdict is verdict for case in self.cases)


def exit_code(count: Callable[[Verdict], int], total: int, pass_rate: float) -> int:
    """Of a command for so many cases: 0 enough passed, 1 some code failed, 125 infrastructure,
    which is nobody's success."""
    if count(Verdict.INFRASTRUCTURE):
        return 125
    # Not a division: 0.95 of 20 is 19, whatever binary fractions make of it.
    return 0 if count(Verdict.PASSED) >= pass_rate * total - 1e-9 else 1


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Infrastructure before failed before passed before skipped; of none: skipped."""
    order = (Verdict.INFRASTRUCTURE, Verdict.FAILED, Verdict.PASSED)
    found = set(verdicts)
    return next((verdict for verdict in order if verdict in found), Verdict.SKIPPED)
