"""`Step`: what every stage is; `Judge`: a step that only judges; `Together`: several judges.

A step hands on work that is stopped, and times what it does. A judge's settings may hold
`{{variables}}` of the case.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar, Self

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.record import ExecutionRecord, Finding, Severity, StepRecord, Verdict
from e2brun.stages.template import fill_fields
from e2brun.stages.work import Probe, Work
from e2brun.values import clipped

MESSAGE_LIMIT = 500
_ORDER = (Severity.LOW, Severity.MEDIUM, Severity.HIGH)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a step has to say."""

    verdict: Verdict
    message: str = ""
    details: str = ""
    findings: tuple[Finding, ...] = ()
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])


PASSED = Judgement(Verdict.PASSED)


def failed(message: str, details: str = "") -> Judgement:
    """The candidate is at fault."""
    return Judgement(Verdict.FAILED, message, details)


class Step(Primitive[Work, Work]):
    """One step of a pipeline."""

    stage: ClassVar[str] = ""
    step: ClassVar[str] = ""

    def __init_subclass__(cls, *, step: str = "", **options: object) -> None:
        super().__init_subclass__(**options)
        cls.step = step or cls.step

    @property
    def name(self) -> str:
        """As in records: `syntax`, `stdout`."""
        return self.step or type(self).__name__

    async def execute(self, data: Work, context: WorkflowContext) -> Work:
        """The work with this step taken; work that is stopped as it is."""
        return data if data.stopped else await self.take(data, context)

    @abstractmethod
    async def take(self, work: Work, context: WorkflowContext) -> Work:
        """Do it."""

    def record(
        self, judgement: Judgement, started: float, execution: ExecutionRecord | None = None
    ) -> StepRecord:
        """What was done since `started` (monotonic)."""
        return StepRecord(
            self.stage,
            self.name,
            judgement.verdict,
            monotonic() - started,
            one_line(judgement.message),
            judgement.details,
            judgement.findings,
            execution,
            judgement.tokens,
        )


class Judge(Step):
    """A step that looks at the work and changes nothing."""

    values: ClassVar[frozenset[str]] = frozenset()  # fields where a variable keeps its type
    gate: ClassVar[bool] = False  # nothing beside it makes sense once it failed
    judges_exit: ClassVar[bool] = False  # whether it says which exit codes are right
    asks_for_end: ClassVar[bool] = False  # whether it looks at `completed`

    @property
    def collects(self) -> tuple[str, ...]:
        """Paths of files it wants out of the sandbox."""
        return ()

    def probe(self, work: Work) -> Probe | None:
        """A program it wants to have run in the sandbox."""
        return None

    def rendered(self, variables: Mapping[str, object]) -> Self:
        """The same with the case's variables filled in. Raises UsageError."""
        return fill_fields(self, variables, self.values)

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        started = monotonic()
        try:
            judgement = await self.rendered(work.case.variables).judge(work)
        except UsageError:
            raise
        except E2brunError as error:  # a tool of ours failed, which says nothing of the candidate
            judgement = Judgement(Verdict.INFRASTRUCTURE, str(error), error.hint)
        return work.with_step(self.record(judgement, started))

    @abstractmethod
    async def judge(self, work: Work) -> Judgement:
        """Say what is to be said about it."""


class Generator(Step):
    """A step that makes the candidate."""

    stage: ClassVar[str] = "generate"


class Validator(Judge):
    """A judge of a candidate that has not run; what is not Python is skipped."""

    stage: ClassVar[str] = "validate"

    async def judge(self, work: Work) -> Judgement:
        if not work.is_python():
            return Judgement(Verdict.SKIPPED, "not Python")
        return await self.looked_at(work.content(), work.file)

    @abstractmethod
    async def looked_at(self, source: bytes, file: str) -> Judgement:
        """Say what is to be said about it."""


class Check(Judge):
    """A judge of how it ran."""

    stage: ClassVar[str] = "check"


@dataclass(frozen=True)
class Together(Step):
    """Every one of `steps` is heard, also when an earlier one failed.

    So a report, and a generator that tries again, know of all that is wrong at once. After a
    failed `syntax` the others are skipped.
    """

    steps: tuple[Judge, ...]

    @property
    def name(self) -> str:
        return "+".join(step.name for step in self.steps)

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        taken: list[StepRecord] = []
        closed = ""
        for step in self.steps:
            if closed:
                reason = Judgement(Verdict.SKIPPED, f"not looked at: {closed} failed")
                taken.append(step.record(reason, monotonic()))
                continue
            new = (await step.execute(work, context)).steps[len(work.steps) :]
            taken += new
            if step.gate and any(record.verdict is not Verdict.PASSED for record in new):
                closed = step.name
        return work.with_step(*taken)


def judged(
    findings: list[Finding], threshold: Severity, note: str = "", *, most: int = 1000
) -> Judgement:
    """Failed when a finding is as severe as the threshold; all are told, in their order."""
    findings = sorted(findings, key=lambda finding: (finding.line, finding.column, finding.rule))
    serious = [f for f in findings if _ORDER.index(f.severity) >= _ORDER.index(threshold)]
    kept = tuple(findings[:most])
    if not serious:
        return Judgement(Verdict.PASSED, note, findings=kept)
    first = max(serious, key=lambda finding: _ORDER.index(finding.severity))
    more = f" (and {len(serious) - 1} more)" if len(serious) > 1 else ""
    where = f"line {first.line}: " if first.line else ""
    details = "\n".join(_line(finding) for finding in serious[:50])
    return Judgement(Verdict.FAILED, f"{where}{first.message} [{first.rule}]{more}", details, kept)


def _line(finding: Finding) -> str:
    return (
        f"line {finding.line}, column {finding.column}: "
        f"{finding.severity} [{finding.rule}] {finding.message}"
    )


def one_line(text: str) -> str:
    return clipped(" ".join(text.split()), MESSAGE_LIMIT)


def executed(work: Work) -> ExecutionRecord:
    """How the candidate ran. Raises UsageError: nothing ran it."""
    if work.execution is None:
        raise UsageError("a check needs something that ran: the pipeline has no [execute]")
    return work.execution
